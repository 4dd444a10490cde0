"""What was recorded: files, frames, plots and markers."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import attrs
import pandas as pd
import pytest
from support.marks import RECORDING_NAMES

from smapskit import ParseError, Recording, Totals
from smapskit.sources.recording import Sample


def row(seconds: float, rss: int, group: str = "", marker: str = "") -> Sample:
    totals = Totals(count=1, size=10, rss=rss, shared_rss=rss // 4, anonymous=rss // 2)
    moment = datetime(2026, 1, 1, 0, 0, int(seconds), tzinfo=UTC)
    return Sample(moment, seconds, 0.001, group, totals, marker)


SHORT = Recording(
    (row(0, 100), row(1, 200), row(1.5, 0, marker='half, "way"\nthere'), row(2, 300)),
    pid=7,
    command="x",
    interval=1.0,
)


class TestFiles:
    @pytest.mark.parametrize("name", RECORDING_NAMES)
    @pytest.mark.parametrize("kept", [SHORT, Recording(())], ids=["rows", "none"])
    def test_what_is_saved_is_loaded(self, name: str, kept: Recording, tmp_path: Path) -> None:
        kept.save(tmp_path / name)
        assert Recording.load(tmp_path / name) == kept
        assert [file.name for file in tmp_path.iterdir()] == [name]

    def test_all_complete_samples_of_a_truncated_file_are_loaded(self, tmp_path: Path) -> None:
        file = tmp_path / "run.csv"
        SHORT.save(file)
        text = file.read_text()
        for cut in range(text.index("2026"), len(text)):
            file.write_text(text[:cut])
            found = Recording.load(file).rows
            assert found == SHORT.rows[: text[:cut].count("\n") - 2]

    @pytest.mark.parametrize(
        ("text", "line"),
        [
            ("", 1),
            ("hello\n", 1),
            ("# smapskit recording {\n", 1),
            ("# smapskit recording {}\nx,y\n", 2),
        ],
    )
    def test_other_files_are_rejected(self, text: str, line: int, tmp_path: Path) -> None:
        (tmp_path / "x").write_text(text)
        with pytest.raises(ParseError, match="expected a recording") as caught:
            Recording.load(tmp_path / "x")
        assert caught.value.line_number == line

    def test_an_error_in_a_value_has_its_line(self, tmp_path: Path) -> None:
        file = tmp_path / "x.csv"
        attrs.evolve(SHORT, rows=SHORT.rows[:2]).save(file)
        file.write_text(file.read_text().replace(",200,", ",many,"))
        with pytest.raises(ParseError, match="line 4: expected the values of a sample"):
            Recording.load(file)

    def test_no_partial_file_is_left(self, tmp_path: Path) -> None:
        folder = tmp_path / "there.csv"
        folder.mkdir()
        with pytest.raises(OSError, match=r"there\.csv"):
            SHORT.save(folder)
        assert [file.name for file in tmp_path.iterdir()] == ["there.csv"]


def test_as_a_frame() -> None:
    frame = SHORT.to_frame()
    assert frame["rss"].tolist() == [100, 200, 300]
    assert frame["seconds"].tolist() == [0, 1, 2]
    assert isinstance(frame.index, pd.DatetimeIndex)
    assert frame["pss"].isna().all()
    assert frame.attrs["events"] == [[1.5, 'half, "way"?there']]


def test_as_a_picture() -> None:
    (axes,) = SHORT.plot().axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("time (s)", "memory (MiB)")
    lines = {str(line.get_label()): line for line in axes.lines}
    assert list(lines["RSS"].get_ydata()) == [100 / 1024, 200 / 1024, 300 / 1024]
    assert list(lines["RSS of shared mappings"].get_ydata()) == [25 / 1024, 50 / 1024, 75 / 1024]
    assert [text.get_text() for text in axes.texts] == ['half, "way"?there']


def test_a_marker_is_between_the_samples_around_it() -> None:
    recording = Recording((row(0, 100), row(1, 200), row(2, 300)), pid=7)
    marked = recording.add_marker(1.5, "deployed").add_marker(0.5, "started")
    assert marked.markers == ((0.5, "started"), (1.5, "deployed"))
    assert [each.seconds for each in marked.rows] == [0, 0.5, 1, 1.5, 2]
    assert (marked.rows[3].time - marked.rows[0].time).total_seconds() == 1.5
    assert marked.samples == recording.samples
    with pytest.raises(ValueError, match="with samples"):
        Recording(()).add_marker(1, "nothing began")


@pytest.mark.parametrize("name", RECORDING_NAMES)
def test_notes_are_saved_with_a_recording(name: str, tmp_path: Path) -> None:
    recording = Recording((row(0, 100),), notes={"host": "db1", "limits": [1, 2.5, None]})
    recording.save(tmp_path / name)
    assert Recording.load(tmp_path / name) == recording
