"""Texts of several processes, and torn reads of one."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest
from support.paths import FIXTURES, PROCESSES
from support.readers import uniform_parser

import smapskit
from smapskit import Note, ParseError, Snapshot
from smapskit.formats.smaps.files import MAPS, SMAPS, ProcFile
from smapskit.formats.smaps.parse import parse_columns_all, read_snapshot
from smapskit.formats.smaps.reader import ColumnReader
from smapskit.model.totals import group_columns
from smapskit.views import frames

KINDS = "all_mapping_kinds"
NAMES = [folder.name for folder in PROCESSES]
RECORD = b"%b rw-p 00000000 00:00 0 \nSize:                  4 kB\nRss:                   4 kB\n"

HIGH, MIDDLE, LOW = b"7f00a000-7f00b000", b"00500000-00501000", b"00400000-00401000"

Parse = Callable[[bytes], Snapshot]
ParseAll = Callable[[bytes], list[Snapshot]]
FILES: dict[str, tuple[Parse, ParseAll]] = {
    "smaps": (smapskit.parse_smaps, smapskit.parse_smaps_all),
    "maps": (smapskit.parse_maps, smapskit.parse_maps_all),
}


def records(*ranges: bytes) -> bytes:
    return b"".join(RECORD % range_ for range_ in ranges)


def text_of(name: str, file: str) -> bytes:
    return (FIXTURES / name / f"{file}.txt").read_bytes()


@pytest.fixture(params=[False, True], ids=["line parser", "uniform parser"])
def any_parser(request: pytest.FixtureRequest) -> Iterator[None]:
    with uniform_parser(is_used=request.param):
        yield


@pytest.mark.usefixtures("any_parser")
@pytest.mark.parametrize("file", FILES)
class TestSeveral:
    @pytest.mark.parametrize("names", [NAMES, NAMES[::-1], ["sleep", "sleep"], [KINDS, "java"]])
    def test_each_is_parsed_as_it_is_alone(self, file: str, names: list[str]) -> None:
        parse, parse_all = FILES[file]
        texts = [text_of(name, file) for name in names]
        found = parse_all(b"".join(texts))
        assert [s.mappings for s in found] == [parse(text).mappings for text in texts]
        assert [s.layout for s in found] == [parse(text).layout for text in texts]
        assert [smapskit.format_smaps(s).encode("utf-8", "surrogateescape") for s in found] == texts
        assert all(snapshot.check() == [] for snapshot in found)

    def test_the_parser_of_one_process_rejects_several(self, file: str) -> None:
        parse, _ = FILES[file]
        first = text_of("java", file)
        line = first.count(b"\n") + 1
        with pytest.raises(ParseError) as caught:
            parse(first + text_of("sleep", file))
        assert caught.value.line_number == line
        assert f"parse_{file}_all reads several" in str(caught.value)
        assert "expected one process" in str(caught.value)

    def test_one_alone_is_a_list_of_one(self, file: str) -> None:
        parse, parse_all = FILES[file]
        for text in (text_of("sleep", file), b""):
            assert parse_all(text) == [parse(text)]

    def test_load(self, file: str, tmp_path: Path) -> None:
        capture = tmp_path / "several"
        capture.write_bytes(text_of("sleep", file) + text_of(KINDS, file))
        found = smapskit.load_all(capture)
        assert [len(s) for s in found] == [
            len(smapskit.load(FIXTURES / name / f"{file}.txt")) for name in ("sleep", KINDS)
        ]
        assert {s.source for s in found} == {str(capture)}
        with pytest.raises(ParseError, match="expected one process, got 2: load_all reads several"):
            smapskit.load(capture)


@pytest.mark.usefixtures("any_parser")
class TestSmaps:
    def test_a_note_on_the_whole_text_is_on_each_process(self) -> None:
        text = (text_of("sleep", "smaps") + text_of("awk", "smaps")).replace(b"\n", b"\r\n")
        found = smapskit.parse_smaps_all(text)
        assert [s.notes for s in found] == [(Note.CRLF,)] * 2
        assert found[1].mappings == smapskit.parse_smaps(text_of("awk", "smaps")).mappings

    def test_a_note_is_on_its_own_process_alone(self) -> None:
        twice = text_of("sleep", "smaps").replace(b"VmFlags", b"Swap: 0 kB\nVmFlags", 1)
        found = smapskit.parse_smaps_all(text_of("awk", "smaps") + twice)
        assert [len(s.notes) for s in found] == [0, 1]

    def test_each_has_its_own_order_of_fields_and_units(self) -> None:
        old = b"00400000-00401000 r--p 00000000 00:00 0 \nRss: 4 kB\nOdd: 7\nSize: 4 kB\n"
        new = text_of("sleep", "smaps").replace(b"VmFlags", b"Odd:                   8 kB\nVmFlags")
        found = smapskit.parse_smaps_all(new + old)
        assert [s[0].extra for s in found] == [{"Odd": 8}, {"Odd": 7}]
        assert [smapskit.format_smaps(s).encode() for s in found] == [new, old]

    @pytest.mark.parametrize("cut", [b"\nVmFlags", b"\nPss"])
    def test_one_truncated_within_its_last_record_is_rejected(self, cut: bytes) -> None:
        first = text_of("sleep", "smaps")
        first = first[: first.rindex(cut) + 1]
        text = first + text_of("awk", "smaps")
        with pytest.raises(ParseError, match=r"expected \w+.* next, got the end of the text"):
            smapskit.parse_smaps_all(text)
        sleep, awk = smapskit.parse_smaps_all(text, strict=False)
        assert len(sleep) == len(smapskit.parse_smaps(text_of("sleep", "smaps"))) - 1
        assert awk.mappings == smapskit.parse_smaps(text_of("awk", "smaps")).mappings
        assert len(sleep.notes) == 1

    def test_a_stream_rejects_another_process_when_it_is_reached(self) -> None:
        text = text_of("sleep", "smaps") + text_of("awk", "smaps")
        mappings = smapskit.iter_mappings(io.BytesIO(text))
        count = len(smapskit.parse_smaps(text_of("sleep", "smaps")))
        assert len([next(mappings) for _ in range(count - 1)]) == count - 1
        with pytest.raises(ParseError, match="parse_smaps_all reads several"):
            list(mappings)

    def test_frames(self, tmp_path: Path) -> None:
        names = ["sleep", KINDS]
        text = b"".join(text_of(name, "smaps") for name in names)
        with pytest.raises(ParseError, match="parse_smaps_all reads several"):
            smapskit.parse_frame(text)
        found = [frames.from_columns(parts) for parts in parse_columns_all(text)[0]]
        for name, frame in zip(names, found, strict=True):
            pd.testing.assert_frame_equal(frame, smapskit.parse_frame(text_of(name, "smaps")))
        capture = tmp_path / "several"
        capture.write_bytes(text)
        assert len(smapskit.load_frame([capture])) == sum(map(len, found))


class TestBoundaries:
    """A boundary is a mapping completely below the one before it, and nothing else."""

    @pytest.mark.parametrize(
        "ranges",
        [
            [b"7f00a000-7f00b000", b"7f00a000-7f00b000"],  # read twice
            [b"7f00a000-7f00b000", b"7f009000-7f00c000"],  # merged meanwhile
            [b"7f00a000-7f00b000", b"00400000-7f00a001"],
            [b"7f00a000-7f00a000", b"7f00a000-7f00b000"],
            [b"7f00a000-7f00a000", b"7f00a000-7f00a000"],
            [b"00000000-00000000", b"00000000-00001000"],
        ],
    )
    def test_torn_reads_are_one_process(self, ranges: list[bytes]) -> None:
        text = records(*ranges)
        assert len(smapskit.parse_smaps(text)) == len(ranges)
        assert len(smapskit.parse_smaps_all(text)) == 1
        assert len(list(smapskit.iter_mappings(io.BytesIO(text)))) == len(ranges)

    @pytest.mark.parametrize(
        "ranges",
        [
            [b"7f00a000-7f00b000", b"7f009000-7f00a000"],
            [b"ffffffffff600000-ffffffffff601000", b"00400000-00401000"],
            [b"7f00a000-7f00b000", b"00000000-00000000"],
        ],
    )
    def test_a_mapping_completely_below_begins_another(self, ranges: list[bytes]) -> None:
        text = records(*ranges)
        assert [len(s) for s in smapskit.parse_smaps_all(text)] == [1, 1]
        with pytest.raises(ParseError, match="expected one process"):
            smapskit.parse_smaps(text)

    @pytest.mark.usefixtures("any_parser")
    def test_one_truncated_within_its_only_record_is_rejected(self) -> None:
        whole = [records(range_) + b"Pss:                   4 kB\n" for range_ in (HIGH, LOW)]
        cut = records(MIDDLE)
        assert [len(s) for s in smapskit.parse_smaps_all(b"".join(whole))] == [1, 1]
        for text in (whole[0] + cut, whole[0] + cut + whole[1]):
            with pytest.raises(ParseError, match=r"expected Pss next, got the end of the text"):
                smapskit.parse_smaps_all(text)
            sizes = [len(s) for s in smapskit.parse_smaps_all(text, strict=False)]
            assert sizes == [1, 0, 1][: len(sizes)]

    @pytest.mark.usefixtures("any_parser")
    @pytest.mark.parametrize("file", [SMAPS, MAPS], ids=lambda file: file.name)
    def test_the_text_of_a_live_process_is_never_split(self, file: ProcFile) -> None:
        text = b"".join(text_of(name, file.name) for name in (KINDS, "sleep"))
        snapshot = read_snapshot([text[:999], text[999:]], file, None)
        count = text.count(b"\n") if file is MAPS else text.count(b"\nSize:")
        assert len(snapshot) == count
        assert len(snapshot.check()) == 1
        if file is SMAPS:
            assert group_columns(ColumnReader(SMAPS).columns([text]))[""].count == count
            parts = [text_of(KINDS, "smaps"), text_of("sleep", "smaps")]
            frame = frames.from_columns(ColumnReader(SMAPS).columns(parts))
            assert len(frame) == count


class TestRollup:
    def test_load(self, tmp_path: Path) -> None:
        capture = tmp_path / "rollups"
        capture.write_bytes(text_of("sleep", "smaps_rollup") + text_of(KINDS, "smaps_rollup"))
        found = smapskit.load_rollup_all(capture)
        assert found == [
            smapskit.load_rollup(FIXTURES / name / "smaps_rollup.txt") for name in ("sleep", KINDS)
        ]
        with pytest.raises(
            ParseError, match="rollups: expected one process, got 2: load_rollup_all"
        ):
            smapskit.load_rollup(capture)
