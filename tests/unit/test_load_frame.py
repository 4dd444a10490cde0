"""Many captures in one frame."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from support.paths import FIXTURES

import smapskit
from smapskit.views import frames

CAPTURES = [
    path
    for path in sorted(FIXTURES.glob("*/*.txt"))
    if path.name != "smaps_rollup.txt" and path.parent.name != "oom"
]


class TestLoadFrames:
    @pytest.mark.slow
    def test_has_the_rows_of_each_capture(self) -> None:
        frame = smapskit.load_frame(CAPTURES, "MiB")
        assert frame.attrs == {"unit": "MiB", "unreadable": {}}
        snapshots = [smapskit.load(path) for path in CAPTURES]
        expected = smapskit.concat(snapshots, "MiB")
        paths = [str(path) for path, s in zip(CAPTURES, snapshots, strict=True) for _ in s]
        expected["source"] = pd.Categorical(paths)
        # Fields of some captures are integers here, and would be floats in a concatenation.
        extra = [name for name in expected if name not in [*frames.COLUMNS, "source"]]
        pd.testing.assert_frame_equal(frame.drop(columns=extra), expected.drop(columns=extra))
        for name in extra:
            assert frame[name].isna().tolist() == expected[name].isna().tolist()
            assert frame[name].dropna().tolist() == expected[name].dropna().tolist()

    @pytest.mark.parametrize("unit", ["kB", "bytes"])
    def test_captures_of_several_layouts(self, unit: frames.Unit) -> None:
        """Also of one process that another follows, and of one without an unknown field."""
        chosen = [FIXTURES / name / "smaps.txt" for name in ("sleep", "java", "all_mapping_kinds")]
        chosen = [path for path in chosen if path.exists()] + [CAPTURES[0]]
        frame = smapskit.load_frame(chosen, unit, workers=1)
        expected = smapskit.concat(map(smapskit.load, chosen), unit)
        pd.testing.assert_frame_equal(frame.drop(columns="source"), expected[[*frame][:-1]])

    def test_an_error_names_the_line_of_its_own_capture(self, tmp_path: Path) -> None:
        text = (FIXTURES / "sleep" / "smaps.txt").read_bytes()
        bad = text.replace(b"Rss:", b"Rss: x", 3).replace(b"Rss: x", b"Rss:", 2)
        paths = [tmp_path / name for name in ("good", "bad", "good too")]
        for path, data in zip(paths, (text, bad, text), strict=True):
            path.write_bytes(data)
        frame = smapskit.load_frame(paths)
        line = bad[: bad.index(b"Rss: x")].count(b"\n") + 1
        (reason,) = frame.attrs["unreadable"].values()
        assert reason.startswith(f"{paths[1]}, line {line}: expected 'Rss: N kB'")
        assert list(frame["source"].cat.categories) == [str(paths[0]), str(paths[2])]
        assert len(frame) == 2 * len(smapskit.parse_smaps(text))

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


def test_one_path_is_rejected() -> None:
    for path in ("one/path", Path("one/path")):
        with pytest.raises(TypeError, match="expected paths of captures, got one path"):
            smapskit.load_frame(path)  # type: ignore[arg-type]
