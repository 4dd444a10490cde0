"""Many captures in one frame."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from support.paths import FIXTURES

import smapskit

CAPTURES = [
    path
    for path in sorted(FIXTURES.glob("*/*.txt"))
    if path.name != "smaps_rollup.txt" and path.parent.name != "oom"
]


class TestLoadFrames:
    @pytest.mark.slow
    def test_has_the_rows_of_each_capture(self) -> None:
        frame = smapskit.load_frame(CAPTURES, "MiB")
        assert frame.attrs["unreadable"] == {}
        assert set(frame["source"].cat.categories) == set(map(str, CAPTURES))
        for path in CAPTURES[::5]:
            part = frame[frame["source"] == str(path)]
            expected = smapskit.load(path).to_frame("MiB")
            assert part["start"].tolist() == expected["start"].tolist()
            assert part["rss"].fillna(-1).tolist() == expected["rss"].fillna(-1).tolist()

    @pytest.mark.slow
    def test_many_captures_are_read_by_several_processes(self, tmp_path: Path) -> None:
        text = (FIXTURES / "sleep" / "smaps.txt").read_bytes()
        paths = [tmp_path / f"{number}.txt" for number in range(130)]
        for path in paths:
            path.write_bytes(text)
        (tmp_path / "bad.txt").write_text("nonsense")
        seen: list[int] = []
        frame = smapskit.load_frame([*paths, tmp_path / "bad.txt"], workers=2, progress=seen.append)
        assert len(frame) == 130 * len(smapskit.parse_smaps(text))
        assert frame["source"].nunique() == 130
        (reason,) = frame.attrs["unreadable"].values()
        assert "bad.txt, line 1: none of smaps" in reason
        assert seen == [64, 128, 131]

    def test_of_none_is_empty(self) -> None:
        frame = smapskit.load_frame([])
        assert len(frame) == 0
        assert isinstance(frame, pd.DataFrame)

    def test_a_malformed_one_is_never_fatal(self, tmp_path: Path) -> None:
        bad = tmp_path / "bad.gz"
        bad.write_bytes(b"\x1f\x8b nonsense")
        frame = smapskit.load_frame([bad, tmp_path / "missing", CAPTURES[0]])
        assert set(frame.attrs["unreadable"]) == {str(bad), str(tmp_path / "missing")}
        assert len(frame) > 0
