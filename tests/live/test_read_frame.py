"""Live processes as frames."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pandas as pd
import pytest
from support.pmap_tool import CHANGED_BY_OTHERS
from support.subjects import MANY, stopped

import smapskit
from smapskit.views import frames


class TestLive:
    @pytest.mark.slow
    def test_forty_thousand_mappings_in_one_call(
        self, start: Callable[..., subprocess.Popen[str]]
    ) -> None:
        pid = start(sys.executable, "-c", MANY, "40000").pid
        with stopped(pid):
            frame, snapshot = smapskit.read_frame(pid), smapskit.read(pid)
        assert len(frame) > 40_000
        assert frame.attrs["pid"] == pid
        assert frame.attrs["time"] is not None
        columns = [name for name in frames.COLUMNS if name not in CHANGED_BY_OTHERS]
        pd.testing.assert_frame_equal(frame[columns], snapshot.to_frame()[columns])

    def test_errors(self) -> None:
        gone = subprocess.Popen(["true"])
        gone.wait()
        with pytest.raises(smapskit.ProcessNotFound):
            smapskit.read_frame(gone.pid)

    def test_psutil_reports_the_same(self, start: Callable[..., subprocess.Popen[str]]) -> None:
        psutil = pytest.importorskip("psutil")
        code = "import pandas; print('ready', flush=True); input()"
        pid = start(sys.executable, "-c", code).pid
        with stopped(pid):
            frame = smapskit.read_frame(pid, "bytes")
            theirs = psutil.Process(pid).memory_maps(grouped=False)
        assert len(theirs) == len(frame) > 300
        assert [m.addr for m in theirs] == [
            f"{start:08x}-{end:08x}"
            for start, end in zip(frame["start"], frame["end"], strict=True)
        ]
        assert [m.perms for m in theirs] == frame["perms"].tolist()
        for name in ("rss", "size", "anonymous", "swap"):
            assert [getattr(m, name) for m in theirs] == frame[name].tolist(), name
        # Other processes that map the same libraries move pages between shared and private.
        for state in ("clean", "dirty"):
            sums = frame[f"shared_{state}"] + frame[f"private_{state}"]
            found = [getattr(m, f"shared_{state}") + getattr(m, f"private_{state}") for m in theirs]
            assert found == sums.tolist(), state
