"""All readers of smaps text return the same values: by columns, by lines, in any chunks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from fuzz import smaps_readers
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from support import strategies
from support.frames import assert_same
from support.paths import FIXTURES, corpus
from support.readers import cut, parse_chunks, parse_lines, parse_uniform, uniform_parser

import smapskit
from smapskit.formats.smaps import reader, uniform
from smapskit.formats.smaps.chunks import split_between_records
from smapskit.formats.smaps.files import SMAPS
from smapskit.formats.smaps.parse import read_snapshot
from smapskit.formats.smaps.reader import ColumnReader
from smapskit.formats.smaps.scan import FieldScanner
from smapskit.model.mapping import kernel_fields
from smapskit.model.totals import GroupName, group_columns
from smapskit.views.frames import Unit

TEXTS = [*FIXTURES.glob("*/smaps.txt"), *corpus("smaps")]
ALL_KINDS = (FIXTURES / "all_mapping_kinds" / "smaps.txt").read_bytes()
RELAXED = settings(deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module", autouse=True)
def _numpy_for_small_texts() -> Iterator[None]:
    """Parse by columns whatever the size of the text."""
    with uniform_parser(is_used=True):
        yield


@pytest.mark.slow
class TestReference:
    def test_every_reader_agrees_with_it(self, capsys: pytest.CaptureFixture[str]) -> None:
        status = smaps_readers.main(["--cases", "300", "--seed", "7"])
        assert (status, "300 cases" in (printed := capsys.readouterr().out)) == (0, True), printed


class TestChunks:
    @RELAXED
    @given(strategies.smaps(), st.integers(1, 3000), st.integers(1, 3000))
    def test_the_text_is_split_between_records(self, text: bytes, read: int, size: int) -> None:
        chunks = list(split_between_records(cut(text, read), size))
        assert b"".join(chunks) == text
        assert [m for chunk in chunks for m in parse_lines(chunk)] == list(parse_lines(text))

    @RELAXED
    @given(st.binary(max_size=300), st.integers(1, 50), st.integers(1, 50))
    def test_nothing_of_any_bytes_is_lost(self, text: bytes, read: int, size: int) -> None:
        assert b"".join(split_between_records(cut(text, read), size)) == text

    def test_a_long_text_becomes_chunks_of_limited_size(self) -> None:
        text = ALL_KINDS * (5_000_000 // len(ALL_KINDS))
        for chunks in ([text], cut(text, 4096)):
            sizes = [len(chunk) for chunk in split_between_records(chunks)]
            assert len(sizes) > 2
            assert max(sizes) <= 2 << 20


class TestUniform:
    @pytest.mark.parametrize("size", [0, 99_999_999, 100_000_000, 2**40, 2**53 - 1])
    def test_a_number_wider_than_its_column_is_parsed_in_its_row(self, size: int) -> None:
        records = ALL_KINDS.split(b"VmFlags:")
        before, _, after = records[5].partition(b"Rss:")
        line = f"Rss:            {size:8d} kB".encode()
        records[5] = before + line + after[after.index(b"\n") :]
        changed = b"VmFlags:".join(records)
        found = parse_uniform(changed)
        assert found is not None
        assert found == parse_lines(changed)
        assert found[5].rss == size

    @pytest.mark.parametrize(
        ("line", "other"),
        [
            (b"       4 kB", b"      04 kB"),
            (b"       4 kB", b"     4 4 kB"),
            (b"       4 kB", b"       x kB"),
            (b"       4 kB", b"       : kB"),
            (b"       4 kB", b"       / kB"),
            (b"       4 kB", b"      4  kB"),
            (b"       4 kB", b"      -4 kB"),
            (b"       4 kB", b"         kB"),
            (b"       4 kB", b"\xb7      4 kB"),
            (b"       4 kB", b"00000004 kB"),
            (b"       4 kB", b"       4 MB"),
            (b"Rss: ", b"rss: "),
        ],
    )
    def test_text_that_no_kernel_writes_is_not_uniform(self, line: bytes, other: bytes) -> None:
        place = ALL_KINDS.index(line, len(ALL_KINDS) // 2)
        changed = ALL_KINDS[:place] + other + ALL_KINDS[place + len(line) :]
        assert parse_uniform(ALL_KINDS) == parse_lines(ALL_KINDS)
        assert parse_uniform(changed) is None

    @given(st.lists(st.integers(0, 99_999_999), min_size=1))
    @example([0, 1, 9, 10, 99, 12345678, 99999999, 90000000, 10000000, 1234567])
    def test_numbers_of_eight_characters(self, numbers: list[int]) -> None:
        text = "".join(f"{number:8d}" for number in numbers).encode()
        characters = np.frombuffer(text, dtype=np.uint8).reshape(len(numbers), 8)
        found = uniform._parse_numbers(characters)
        assert found is not None
        assert found.tolist() == numbers

    @given(st.text(" 0123456789x", min_size=16, max_size=16))
    def test_other_characters_are_not_numbers(self, text: str) -> None:
        words = [text[:8], text[8:]]
        is_number = all(word == f"{int(word):8d}" for word in words if word.strip().isdigit())
        is_number = is_number and all(word.strip().isdigit() for word in words)
        characters = np.frombuffer(text.encode(), dtype=np.uint8).reshape(2, 8)
        found = uniform._parse_numbers(characters)
        assert (found is not None) == is_number

    def test_its_records_are_like_any_other(self) -> None:
        found = parse_uniform(ALL_KINDS)
        assert found is not None
        assert type(found[0]) is smapskit.Mapping
        with pytest.raises(AttributeError):
            found[0].rss = 1  # type: ignore[misc]
        assert hash(found[0]) == hash(parse_lines(ALL_KINDS)[0])
        assert found[0].extra is not found[1].extra


class TestReader:
    @RELAXED
    @given(strategies.smaps(), st.integers(1, 3000), st.integers(100, 5000))
    def test_any_chunks_give_the_records_of_the_lines(
        self, text: bytes, read: int, size: int
    ) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                reader,
                "split_between_records",
                lambda chunks: split_between_records(chunks, size),
            )
            assert parse_chunks(cut(text, read)) == parse_lines(text)

    def test_a_chunk_with_other_fields_is_parsed_line_by_line(self) -> None:
        odd = ALL_KINDS.replace(b"VmFlags:", b"Odd: text\nVmFlags:")
        text = b"".join([ALL_KINDS, odd, ALL_KINDS, ALL_KINDS, ALL_KINDS, ALL_KINDS])
        chunks = len(ALL_KINDS) - 100
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                reader, "split_between_records", lambda parts: split_between_records(parts, chunks)
            )
            assert parse_chunks([text]) == parse_lines(text)

    def test_every_reader_returns_an_unknown_field_with_another_unit_as_text(self) -> None:
        head, *records = ALL_KINDS.split(b"Locked:")
        kb, plain = b"Warm:                  7 kB\n", b"Warm:            1048576\n"
        units = [kb, *[kb, plain, kb, kb, kb, plain] * len(records)]
        text = head + b"".join(
            line + b"Locked:" + record for line, record in zip(units, records, strict=False)
        )
        found = parse_chunks([text])
        assert found == parse_lines(text)
        assert {m.extra["Warm"] for m in found} == {7, "1048576"}
        assert smapskit.parse_frame(text)["Warm"].tolist() == [str(m.extra["Warm"]) for m in found]
        snapshot = smapskit.parse_smaps(text)
        assert smapskit.parse_smaps(smapskit.format_smaps(snapshot)).mappings == found

    def test_fields_keep_their_order_across_chunks(self) -> None:
        header = ALL_KINDS[: ALL_KINDS.index(b"\n") + 1]
        line = b"%-16s%8d kB\n"
        size, rss, pss, new = (line % (n + b":", 4) for n in (b"Size", b"Rss", b"Pss", b"New"))
        text = (header + size + rss + pss + header + size + rss) * 4
        text += (header + size + rss + new + pss) * 40
        for length in (100, 300, 900, 2000, 1 << 20):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(
                    reader,
                    "split_between_records",
                    lambda parts, length=length: split_between_records(parts, length),
                )
                snapshot = smapskit.parse_smaps(text)
            assert smapskit.format_smaps(snapshot).encode() == text

    @pytest.mark.parametrize("full", [1, 2, 5])
    def test_a_last_record_without_its_last_fields_is_truncated(self, full: int) -> None:
        # A field with text: no record except the truncated one can be parsed by columns.
        record = ALL_KINDS[: ALL_KINDS.index(b"VmFlags:")] + b"Name:           [anon:x]\n"
        text = record * full + record[: record.index(b"Locked:")]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                reader,
                "split_between_records",
                lambda parts: split_between_records(parts, len(record) - 100),
            )
            with pytest.raises(
                smapskit.ParseError, match="expected Locked, THPeligible, Name next"
            ):
                parse_chunks([text])

    def test_an_error_has_its_line_in_the_whole_text(self) -> None:
        lines = (ALL_KINDS * 3).split(b"\n")
        number = next(n for n in range(1400, 1500) if lines[n].startswith(b"Pss:"))
        lines[number] = b"Pss:               four kB"
        text = b"\n".join(lines)
        with pytest.raises(smapskit.ParseError, match=rf"x, line {number + 1}: expected 'Pss: N"):
            parse_chunks(cut(text, 5000))

    @pytest.mark.parametrize(
        "header",
        [
            b"7f00b000-7f00a000 r--p 00000000 fe:00 1",
            b"7f00a000-7f00b000 r--p 00000000 fe:00 99999999999999999999",
            b"7f00a000-7f00b000 r--p 00000000 fe:00 0          [rollup]",
        ],
    )
    def test_every_reader_rejects_a_wrong_header(self, header: bytes) -> None:
        changed = ALL_KINDS + header + ALL_KINDS[ALL_KINDS.index(b"\n") :]
        line = ALL_KINDS.count(b"\n") + 1
        ways: list[Callable[[bytes], object]] = [
            smapskit.parse_smaps,
            smapskit.parse_frame,
            lambda text: list(smapskit.iter_mappings(text.splitlines(keepends=True))),
            lambda text: group_columns(ColumnReader(SMAPS).columns([text])),
        ]
        assert parse_uniform(changed) is None
        for read in ways:
            with pytest.raises(smapskit.ParseError, match=f"line {line}: expected"):
                read(changed)

    def test_too_many_field_names_are_rejected_at_once(self) -> None:
        names = b"".join(b"Field_%d: 1 kB\n" % number for number in range(100_000))
        text = ALL_KINDS[: ALL_KINDS.index(b"\n") + 1] + b"Rss: 4 kB\n" + names
        with pytest.raises(smapskit.ParseError, match="expected at most 256 different fields"):
            smapskit.parse_smaps(text)


class TestLines:
    def test_a_text_without_records_is_rejected_before_it_is_read_to_its_end(self) -> None:
        read = 0

        def garbage() -> Iterator[bytes]:
            nonlocal read
            while True:
                read += 1
                yield b"garbage without end\n"

        with pytest.raises(smapskit.ParseError, match="line 1: expected a line like"):
            next(smapskit.iter_mappings(garbage()))
        assert read < 1_000_000

    @pytest.mark.parametrize("cut", [9, 40])
    def test_a_truncated_last_line_is_as_in_the_whole_text(self, cut: int) -> None:
        text = ALL_KINDS[:-cut]
        with pytest.raises(smapskit.ParseError):
            list(smapskit.iter_mappings(text.splitlines(keepends=True)))
        found = list(smapskit.iter_mappings(text.splitlines(keepends=True), strict=False))
        assert found == list(smapskit.parse_smaps(text, strict=False))

    def test_lines_may_have_no_line_ends(self) -> None:
        assert tuple(smapskit.iter_mappings(ALL_KINDS.split(b"\n")[:-1])) == parse_lines(ALL_KINDS)


class TestSums:
    @pytest.mark.parametrize("file", TEXTS, ids=lambda file: f"{file.parent.name}/{file.name}")
    def test_are_those_of_the_records(self, file: Path) -> None:
        text = file.read_bytes()
        try:
            snapshot = read_snapshot([text], SMAPS, None)
        except smapskit.ParseError:  # pasted text, which no live process has
            with pytest.raises(smapskit.ParseError):
                list(ColumnReader(SMAPS).columns(cut(text, 5000)))
            return
        parts = list(ColumnReader(SMAPS).columns(cut(text, 5000)))
        assert group_columns(parts) == {"": snapshot.totals()}
        names: list[GroupName] = ["backing", "sharing", "kind", "perms", "pathname"]
        for by in names:
            found = group_columns(parts, by)
            assert found == snapshot.group_by(by)
            assert sum(totals.shared_rss or 0 for totals in found.values()) == snapshot.shared_rss()

    @pytest.mark.parametrize(
        ("count", "one_in"), [(3000, 1), (20_000, 17)], ids=["in many chunks", "in one chunk"]
    )
    def test_larger_than_int64(self, count: int, one_in: int) -> None:
        largest = 2**53 - 1
        record = b"%012x-%012x rw-s 00000000 00:00 0 \n"
        record += b"Size:           %8d kB\nRss:            %8d kB\nVmFlags: rd \n"
        # A few records of a chunk may have numbers wider than their column.
        sizes = [4 if at == 0 or at % one_in else largest for at in range(count)]
        chunks = [record % (at, at + 1, kb, kb) for at, kb in enumerate(sizes)]
        if one_in > 1:
            chunks = [b"".join(chunks)]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(reader, "split_between_records", iter)
            parts = list(ColumnReader(SMAPS).columns(chunks))
        assert all(isinstance(part.values["rss"], np.ndarray) for part in parts)
        found = group_columns(parts)[""]
        assert sum(sizes) > 2**63
        assert (found.size, found.rss, found.shared_rss) == (sum(sizes),) * 3
        assert smapskit.parse_smaps(b"".join(chunks)).totals() == found

    def test_by_a_function(self) -> None:
        found = group_columns(ColumnReader(SMAPS).columns([ALL_KINDS]), lambda m: m.is_anonymous)
        assert found == smapskit.parse_smaps(ALL_KINDS).group_by(lambda m: m.is_anonymous)

    def test_add_up_over_uniform_and_other_chunks(self) -> None:
        text = ALL_KINDS + ALL_KINDS.replace(b"VmFlags:", b"Odd: text\nVmFlags:")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                reader, "split_between_records", lambda parts: split_between_records(parts, 9000)
            )
            found = group_columns(ColumnReader(SMAPS).columns([text]), "backing")
        assert found == smapskit.group_by(parse_lines(text), "backing")


class TestFrame:
    @pytest.mark.parametrize("file", TEXTS, ids=lambda file: f"{file.parent.name}/{file.name}")
    def test_is_that_of_the_records(self, file: Path) -> None:
        text = file.read_bytes()
        units: list[Unit] = ["kB", "bytes", "MiB"]
        try:
            snapshot = smapskit.parse_smaps(text)
        except smapskit.ParseError:
            for unit in units:
                with pytest.raises(smapskit.ParseError):
                    smapskit.parse_frame(text, unit)
            return
        for unit in units:
            assert_same(smapskit.parse_frame(text, unit), snapshot.to_frame(unit))


class TestScanner:
    @pytest.mark.parametrize("file", TEXTS, ids=lambda file: f"{file.parent.name}/{file.name}")
    def test_returns_the_values_of_the_records(self, file: Path) -> None:
        text = file.read_bytes()
        rows = FieldScanner(["Size", "Rss"]).scan(text)
        if rows is not None:
            found = [(int(r[0], 16), int(r[7]), int(r[8])) for r in rows]
            assert found == [(m.start, m.size, m.rss) for m in parse_lines(text)]
        else:
            assert file.parent.name == "smaps"  # captures of others may have any shape

    @pytest.mark.parametrize("file", TEXTS, ids=lambda file: f"{file.parent.name}/{file.name}")
    def test_returns_all_fields(self, file: Path) -> None:
        text = file.read_bytes()
        scanner = FieldScanner(None)
        rows = scanner.scan(text)
        if rows is None:
            assert file.parent.name == "smaps"
            return
        records = parse_lines(text)
        fields = kernel_fields(smapskit.Mapping)
        assert scanner.names
        for position, name in enumerate(scanner.names, 7):
            known = fields.get(name)
            values = [
                m.extra[name] if known is None else getattr(m, known.attribute) for m in records
            ]
            texts = [row[position].decode() for row in rows]
            if name == "VmFlags":
                assert [tuple(text.split()) for text in texts] == values
            else:
                assert list(map(int, texts)) == values

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            (b"VmFlags: rd ", b"VmFlags: r "),
            (b"VmFlags: rd ", b"VmFlags: read "),
            (b"\nSwapPss: ", b"\nSwapPss: x"),
            (b"\nPss: ", b"\nRss: "),
        ],
    )
    def test_rejects_a_field_that_is_not_valid(self, old: bytes, new: bytes) -> None:
        assert FieldScanner(None).scan(ALL_KINDS) is not None
        for text in (ALL_KINDS.replace(old, new), ALL_KINDS.replace(old, new, 1)):
            assert text != ALL_KINDS
            assert FieldScanner(None).scan(text) is None

    def test_skips_no_record(self) -> None:
        head, record, rest = ALL_KINDS.partition(b"\nSwapPss:")
        scanner = FieldScanner(["Size", "Rss"])
        assert scanner.scan(head + b"\nStrange:  1 kB" + record + rest) is None
        assert FieldScanner(["Size", "Strange"]).scan(ALL_KINDS) is None
