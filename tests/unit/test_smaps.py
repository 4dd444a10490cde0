from __future__ import annotations

import io
import itertools
import pickle
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from support import kernel_texts
from support.kernel_texts import HEADER, NAMELESS
from support.readers import parse_lines, parse_uniform, uniform_parser

import smapskit
from smapskit import Device, Note, ParseError, Permissions
from smapskit.formats.smaps.files import MAPS, SMAPS
from smapskit.formats.smaps.grammar import MAX_FIELD_NAMES
from smapskit.formats.smaps.parse import read_snapshot
from smapskit.formats.smaps.reader import ColumnReader
from smapskit.formats.smaps.scan import FieldScanner
from smapskit.model.mapping import kernel_fields
from smapskit.model.totals import group_columns
from smapskit.views import frames

FIELDS_6_18 = kernel_texts.FIELDS["6.18"].split()
RECORD = kernel_texts.record(FIELDS_6_18)


class TestEachKernel:
    @pytest.mark.parametrize("kernel", kernel_texts.FIELDS)
    def test_every_field_is_parsed_and_missing_ones_are_none(self, kernel: str) -> None:
        named, nameless = smapskit.parse_smaps(kernel_texts.text(kernel))
        names = kernel_texts.FIELDS[kernel].split()
        assert (named.size, named.rss, named.shared_clean, named.private_dirty) == (352, 100, 80, 8)
        assert (nameless.pathname, nameless.size) == ("", 4)
        for kernel_name, field in kernel_fields(smapskit.Mapping).items():
            value = getattr(named, field.attribute)
            assert (value is not None) == (kernel_name in names), kernel_name
        assert named.extra == ({"Folios": 0} if "Folios" in names else {})

    @pytest.mark.parametrize("kernel", kernel_texts.FIELDS)
    def test_written_again_it_is_the_same_text(self, kernel: str) -> None:
        text = kernel_texts.text(kernel)
        assert smapskit.format_smaps(smapskit.parse_smaps(text)) == text

    def test_header_of_a_mapping(self) -> None:
        (mapping,) = smapskit.parse_smaps(RECORD)
        assert mapping.start == 0x55F3E745D000
        assert mapping.end == 0x55F3E74B5000
        assert mapping.perms == Permissions(read=True, write=False, execute=False, shared=False)
        assert (mapping.offset, mapping.device, mapping.inode) == (0, Device(0xFE, 0), 260386)
        assert mapping.pathname == "/usr/bin/head"
        assert (mapping.thp_eligible, mapping.protection_key) == (1, 1)
        assert mapping.vm_flags == ("rd", "mr", "mw", "me")
        assert (mapping.dirty, mapping.uss) == (16, 12)

    def test_an_nvme_disk_has_three_digits(self) -> None:
        (mapping,) = smapskit.parse_smaps(RECORD.replace("fe:00", "103:02"))
        assert mapping.device == Device(0x103, 2)
        assert str(mapping.device) == "103:02"

    @pytest.mark.parametrize(
        "perms", ["".join(p) for p in itertools.product("r-", "w-", "x-", "sp")]
    )
    def test_permissions_print_as_they_were(self, perms: str) -> None:
        (mapping,) = smapskit.parse_smaps(RECORD.replace(" r--p ", f" {perms} "))
        assert str(mapping.perms) == perms
        assert mapping.is_shared == (perms[3] == "s") != mapping.is_private

    def test_a_32_bit_process(self) -> None:
        header = "b6f00000-b6f01000 rw-s 00001000 b3:02 1234       /dev/mem"
        nameless = "bef00000-bef21000 rw-p 00000000 00:00 0 "
        text = kernel_texts.record(["Size", "Rss"], header) + kernel_texts.record(
            ["Size", "Rss"], nameless
        )
        snapshot = smapskit.parse_smaps(text)
        assert [m.end for m in snapshot] == [0xB6F01000, 0xBEF21000]
        assert smapskit.format_smaps(snapshot) == text


class TestNames:
    @pytest.mark.parametrize(
        "name",
        [
            "/usr/bin/hello   world",
            "/a/trailing blank ",
            "/new\\012line",
            "/back\\slash",
            "/tab\there",
            "/vertical\x0btab, \x85 and \u2028 are no line ends",
            "/not utf-8 \udcff",
            "/ümlaut ☃",
            "/esc\x1b[31m",
            "/really called so (deleted)",
            "/memfd:x (deleted)",
            "/SYSV0000002a (deleted)",
            "anon_inode:[perf_event]",
            "anon_inode:i915.gem",
            "socket:[123]",
            "[heap]",
            "[stack:20824]",
            "[anon: Go: gc bits]",
            "[anon:/with/slashes and blanks]",
            "[anon_shmem:x]",
            "relative/path",
            "/Rss: 4 kB",
            "/" + "x" * 4095,
        ],
    )
    @pytest.mark.parametrize("is_uniform", [True, False])
    def test_is_written_as_it_was_parsed(self, name: str, is_uniform: bool) -> None:
        text = RECORD.replace("/usr/bin/head", name)
        if not is_uniform:
            text += RECORD.replace("KSM:                   0 kB\n", "")
        raw = text.encode("utf-8", "surrogateescape")
        assert (parse_uniform(raw) is not None) == is_uniform
        with uniform_parser(is_used=True):
            snapshot = smapskit.parse_smaps(raw)
        assert snapshot[0].pathname == name
        assert snapshot.mappings == parse_lines(raw)
        assert smapskit.parse_smaps(text) == snapshot
        assert smapskit.format_smaps(snapshot).encode("utf-8", "surrogateescape") == raw

    @pytest.mark.parametrize("is_uniform", [False, True])
    def test_a_live_name_that_ends_in_cr_is_kept(self, is_uniform: bool) -> None:
        text = RECORD.replace("/usr/bin/head", "/x\r") * 2
        with uniform_parser(is_used=is_uniform):
            for file, data in ((SMAPS, text), (MAPS, text[: text.index("\n") + 1])):
                snapshot = read_snapshot([data.encode()], file, None)
                assert {m.pathname for m in snapshot} == {"/x\r"}
                assert snapshot.notes == ()
            # Other fields in the second record: frames and sums are read by lines.
            for data in (text, text + RECORD.replace("KSM", "Folios")):
                frame = frames.from_columns(ColumnReader(SMAPS).columns([data.encode()]))
                assert frame["pathname"][0] == "/x\r"
                columns = ColumnReader(SMAPS).columns([data.encode()])
                assert "/x\r" in group_columns(columns, "pathname")
        rows = FieldScanner(["Rss"]).scan(text.encode())
        assert rows is not None
        assert rows[0][6] == b"/x\r"
        # A saved text keeps it as well, unless every line ends so.
        assert smapskit.parse_smaps(text)[0].pathname == "/x\r"
        assert smapskit.parse_frame(text)["pathname"][0] == "/x\r"

    def test_a_wide_header_moves_its_name_to_the_right(self) -> None:
        # 16-digit addresses, a long offset and a 64-bit inode reach over the column.
        wide = "ffffffffff600000-ffffffffff601000 --xp 123456789abc 103:02 18446744073709551615  /x"
        text = RECORD + kernel_texts.record(FIELDS_6_18, wide)
        assert smapskit.format_smaps(smapskit.parse_smaps(text)) == text

    def test_the_narrowest_of_wide_headers_determines_the_column(self) -> None:
        wide = "ffffffffff600000-ffffffffff601000 --xp 123456789abc 103:02 18446744073709551615  /x"
        exact = "7f0000000000-7f0000002000 --xs 123456789abc 103:02 18446744073709551615  /x"
        text = kernel_texts.record(["Rss"], exact) + kernel_texts.record(["Rss"], wide)
        text = text.replace("\nRss", "\nSize:                  8 kB\nRss")
        assert smapskit.format_smaps(smapskit.parse_smaps(text)) == text

    def test_one_blank_before_the_name(self) -> None:
        text = RECORD.replace(" " * 21 + "/", " /")
        assert smapskit.format_smaps(smapskit.parse_smaps(text)) == text


class TestIrregularText:
    def test_fields_on_some_records_only(self) -> None:
        plain = ["Size", "Rss", "Locked"]
        text = kernel_texts.record(plain) + kernel_texts.record(
            ["Size", "Rss", "Nonlinear", "Locked"]
        )
        snapshot = smapskit.parse_smaps(text)
        assert [m.extra for m in snapshot] == [{}, {"Nonlinear": 0}]
        assert smapskit.format_smaps(snapshot) == text

    def test_a_field_whose_value_is_text(self) -> None:
        name = "Name:           [anon:dalvik: 7 kB]\n"
        head, _, rest = RECORD.partition("\n")
        text = f"{head}\n{name}{rest}{RECORD}"
        snapshot = smapskit.parse_smaps(text)
        assert snapshot[0].extra == {"Name": "[anon:dalvik: 7 kB]"}
        assert smapskit.format_smaps(snapshot) == text

    def test_unknown_fields_keep_their_unit(self) -> None:
        text = RECORD + "Pages: 24\nWriteback:             3 kB\nksm_state: on 5\n"
        snapshot = smapskit.parse_smaps(text)
        assert snapshot[0].extra == {"Pages": 24, "Writeback": 3, "ksm_state": "on 5"}
        assert smapskit.format_smaps(snapshot) == text

    def test_an_unknown_field_of_another_type_is_kept_as_text(self) -> None:
        records = [RECORD + f"Odd: {value}\n" for value in ("24", "24 kB", "many", "007")]
        snapshot = smapskit.parse_smaps("".join(records))
        assert [m.extra["Odd"] for m in snapshot] == [24, "24 kB", "many", "007"]
        assert smapskit.format_smaps(snapshot) == "".join(records)

    def test_the_unit_of_an_unknown_field_is_that_of_its_own_record(self) -> None:
        # One record in sixteen may differ in a uniform chunk.
        texts = [RECORD.replace("VmFlags", f"Folios:         {4:8d} kB\nVmFlags")] * 20
        texts[7] = RECORD.replace("VmFlags", f"Folios:         {1048576:8d}\nVmFlags")
        raw = "".join(texts).encode()
        expected: list[int | str] = [4] * 20
        expected[7] = "1048576"
        assert [m.extra["Folios"] for m in parse_lines(raw)] == expected
        found = parse_uniform(raw)
        assert found is None or [m.extra["Folios"] for m in found] == expected
        for is_used in (True, False):
            with uniform_parser(is_used=is_used):
                for snapshot in (smapskit.parse_smaps(raw), read_snapshot([raw], SMAPS, None)):
                    assert [m.extra["Folios"] for m in snapshot] == expected
                    assert smapskit.format_smaps(snapshot).count("1048576 kB") == 0
                frame = smapskit.parse_frame(raw)
            assert list(frame["Folios"]) == [str(value) for value in expected]

    def test_records_do_not_share_their_unknown_fields(self) -> None:
        folios = RECORD.replace("VmFlags:", "Folios:                4 kB\nVmFlags:")
        for text in (RECORD * 3, folios * 3):
            for found in (parse_uniform(text.encode()), parse_lines(text.encode())):
                assert found is not None
                first, *others = found
                assert all(first.extra is not other.extra for other in others)

    def test_each_record_has_its_unknown_fields_in_their_own_order(self) -> None:
        orders = [["B"], ["A", "B"], [], ["B"], ["B", "A"], ["C", "A"]]
        text = "".join(kernel_texts.record(["Size", *order, "Rss"]) for order in orders)
        snapshot = smapskit.parse_smaps(text)
        assert [list(mapping.extra) for mapping in snapshot] == orders
        assert [mapping.size for mapping in snapshot] == [352] * 6
        pd.testing.assert_frame_equal(smapskit.parse_frame(text), snapshot.to_frame())

    def test_unknown_flags_are_kept(self) -> None:
        text = RECORD.replace("rd mr mw me ", "rd ?? zz me ")
        snapshot = smapskit.parse_smaps(text)
        assert snapshot[0].vm_flags == ("rd", "??", "zz", "me")
        assert smapskit.format_smaps(snapshot) == text

    @pytest.mark.parametrize("flags", ["VmFlags: ", "VmFlags:", "VmFlags:  "])
    def test_an_empty_list_of_flags_is_not_none(self, flags: str) -> None:
        (mapping,) = smapskit.parse_smaps(RECORD.replace("VmFlags: rd mr mw me ", flags))
        assert mapping.vm_flags == ()

    def test_tabs_before_a_number(self) -> None:
        text = RECORD.replace("THPeligible:           1", "THPeligible:\t\t1")
        assert smapskit.format_smaps(smapskit.parse_smaps(text)) == text

    def test_another_order_is_kept(self) -> None:
        text = kernel_texts.record(reversed(FIELDS_6_18)) * 2
        assert smapskit.format_smaps(smapskit.parse_smaps(text)) == text

    def test_the_same_field_twice(self) -> None:
        twice = RECORD + "Rss:                 100 kB\n"
        snapshot = smapskit.parse_smaps(twice)
        assert snapshot[0].rss == 100
        assert snapshot.notes == (Note.DUPLICATE_FIELD,)
        with pytest.raises(ParseError, match="expected Rss once"):
            smapskit.parse_smaps(RECORD + "Rss:                 101 kB\n")

    def test_crlf_prompt_and_blank_lines(self) -> None:
        text = f"$ cat /proc/1/smaps\n\n{RECORD}\n{RECORD}".replace("\n", "\r\n")
        snapshot = smapskit.parse_smaps(text)
        assert snapshot.mappings == smapskit.parse_smaps(RECORD * 2).mappings
        assert len(snapshot.notes) == 2

    @pytest.mark.parametrize("mark", ["> ", ">> ", "    ", "> > "])
    def test_quote_marks_of_a_mail(self, mark: str) -> None:
        quoted = "".join(f"{mark}{line}\n" for line in RECORD.splitlines())
        snapshot = smapskit.parse_smaps(quoted)
        assert snapshot.mappings == smapskit.parse_smaps(RECORD).mappings
        assert len(snapshot.notes) == 1

    def test_a_missing_last_newline_is_noted(self) -> None:
        snapshot = smapskit.parse_smaps(RECORD[:-1])
        assert snapshot.mappings == smapskit.parse_smaps(RECORD).mappings
        assert snapshot.notes == (Note.NO_NEWLINE,)

    def test_empty(self) -> None:
        snapshot = smapskit.parse_smaps(b"")
        assert len(snapshot) == 0
        assert snapshot.notes == (Note.EMPTY,)
        assert smapskit.format_smaps(snapshot) == ""

    def test_an_empty_range_is_noted(self) -> None:
        text = RECORD.replace("-55f3e74b5000", "-55f3e745d000") + RECORD
        empty, mapping = snapshot = smapskit.parse_smaps(text)
        assert (empty.start, empty.end, empty.rss) == (mapping.start, mapping.start, 100)
        assert snapshot.notes == (Note.EMPTY_RANGE,)
        assert smapskit.format_smaps(snapshot) == text
        assert [m.start for m in smapskit.iter_mappings(text.splitlines())] == [empty.start] * 2
        assert smapskit.parse_frame(text).equals(snapshot.to_frame())
        (alone,) = maps = smapskit.parse_maps(text.partition("\n")[0] + "\n")
        assert (alone.size, maps.notes) == (0, (Note.EMPTY_RANGE,))

    def test_a_size_that_differs_from_the_range_is_the_kernels(self) -> None:
        stack = "7ffc0000000-7ffc0021000 rw-p 00000000 00:00 0                          [stack]"
        text = kernel_texts.record(["Size", "Rss"], stack).replace("352", "136")
        (mapping,) = smapskit.parse_smaps(text)
        assert mapping.size == 136
        assert (mapping.end - mapping.start) // 1024 == 132


class TestFieldNames:
    def test_as_many_as_are_allowed(self) -> None:
        names = [f"F{number}" for number in range(MAX_FIELD_NAMES)]
        (mapping,) = smapskit.parse_smaps(kernel_texts.record(names))
        assert len(mapping.extra) == MAX_FIELD_NAMES

    @pytest.mark.parametrize(
        "records",
        [
            [range(100_000)],
            [range(n, n + 2) for n in range(0, 100_000, 2)],
            [range(257)] * 100,
        ],
        ids=["in one record", "two in each record", "in all records"],
    )
    def test_more_are_rejected_at_once_by_every_reader(self, records: list[range]) -> None:
        text = "".join(kernel_texts.record([f"F{n}" for n in numbers]) for numbers in records)
        data = text.encode()
        readers: list[Callable[[], object]] = [
            lambda: smapskit.parse_smaps(text),
            lambda: smapskit.parse_smaps_all(text),
            lambda: list(smapskit.iter_mappings(data.splitlines())),
            lambda: smapskit.parse_frame(text),
            lambda: smapskit.load(io.BytesIO(data)),
            lambda: group_columns(ColumnReader(SMAPS).columns([data])),
            lambda: read_snapshot([data], SMAPS, None),
            lambda: smapskit.parse_rollup(text.replace("/usr/bin/head", "[rollup]")),
        ]
        for read in readers:
            began = time.process_time()
            with pytest.raises(ParseError, match="at most 256 different fields"):
                read()
            assert time.process_time() - began < 2
        assert FieldScanner(["F0"]).scan(data) is None


BINARY = bytes(range(256)) * 8


class TestMalformed:
    @pytest.mark.parametrize(
        ("text", "line", "message"),
        [
            (RECORD + RECORD[:300], 35, "expected 'Shared_Dirty: N kB'"),
            (RECORD + RECORD[: RECORD.index("Pss:")], 31, "expected Pss, Pss_Dirty, Shared_Clean"),
            (RECORD + HEADER + "\n", 27, "expected Size, KernelPageSize, MMUPageSize next"),
            (HEADER + "\n", 1, "expected its fields next"),
            (HEADER + "\n" + RECORD, 2, "expected fields such as"),
            (RECORD[500:], 1, "expected a line like"),
            (RECORD[RECORD.index("Pss:") :], 1, "got a field"),
            ("Rss:  4 kB\n", 1, "the beginning is truncated"),
            (RECORD.replace("55f3e74b5000 ", "5000 "), 1, "end is after its start"),
            (RECORD.replace("55f3e74b5000 ", "x "), 1, "expected a line like"),
            (RECORD.replace("-55f3e74b5000", "-" + "5" * 17), 1, "expected a range"),
            (RECORD.replace("r--p", "r--"), 1, "expected permissions like rw-p, got 'r--'"),
            (RECORD.replace("00000000 fe", "zz fe"), 1, "expected an offset in hex, got 'zz'"),
            (RECORD.replace("fe:00", "fe00"), 1, "expected a device like fe:00, got 'fe00'"),
            (RECORD.replace("260386", "2x"), 1, "expected an inode in decimal, got '2x'"),
            (RECORD.replace("260386", str(2**64)), 1, "inode below 2**64"),
            (
                RECORD.replace("Rss:                 100", "Rss:                 ten"),
                5,
                "'Rss: N kB'",
            ),
            (
                RECORD.replace("Rss:                 100", "Rss:                  -4"),
                5,
                "'Rss: N kB'",
            ),
            (RECORD.replace("Rss:                 100", f"Rss: {2**53}"), 5, "below 2**53"),
            (RECORD.replace("Rss:                 100", "Rss: " + "9" * 9999), 5, "below 2**53"),
            (RECORD.replace("100 kB", "100 MB"), 5, "'Rss: N kB'"),
            (RECORD.replace("100 kB", "100"), 5, "'Rss: N kB'"),
            (
                RECORD.replace("THPeligible:           1", "THPeligible: 1 kB"),
                24,
                "'THPeligible: N'",
            ),
            (RECORD.replace("rd mr", "rd m"), 26, "two-letter codes"),
            (RECORD.replace("rd mr", "rd ☃☃"), 26, "two-letter codes"),
            (RECORD.replace("mw me ", "mw me \r"), 26, "two-letter codes"),
            (RECORD + "Rss what is this\n", 27, "expected a field such as"),
            (BINARY, 1, "expected a line like"),
            (b"\x00" * 5000, 1, "expected a line like"),
            ("total 12\ndrwxr-xr-x 3 root root 4096 .\n", 1, "expected a line like"),
            ("\n\n\nhello\n", 4, "expected a line like"),
            ("cat /proc/1/smaps\n", 1, "expected a line like"),
            (HEADER.replace("/usr/bin/head", "[rollup]") + "\nRss: 4 kB\n", 1, "use parse_rollup"),
            ("\ud800", 1, "lone surrogate U+D800"),
        ],
    )
    def test_is_rejected_with_its_line(self, text: str | bytes, line: int, message: str) -> None:
        with pytest.raises(ParseError) as caught:
            smapskit.parse_smaps(text, source="a-file.txt")
        assert message in str(caught.value)
        assert (caught.value.source, caught.value.line_number) == ("a-file.txt", line)
        assert str(caught.value).startswith(f"a-file.txt, line {line}: ")
        assert isinstance(caught.value, ValueError)
        assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)

    def test_other_types_are_rejected(self) -> None:
        with pytest.raises(TypeError, match="expected str or bytes, got int"):
            smapskit.parse_smaps(4)

    def test_the_complete_records_of_a_truncated_text_if_not_strict(self) -> None:
        head_cut = smapskit.parse_smaps(RECORD[500:] + RECORD * 2, strict=False)
        tail_cut = smapskit.parse_smaps(RECORD * 2 + HEADER + "\n", strict=False)
        line_cut = smapskit.parse_smaps(RECORD * 2 + RECORD[:300], strict=False)
        whole = smapskit.parse_smaps(RECORD * 2)
        assert head_cut.mappings == tail_cut.mappings == whole.mappings
        assert line_cut.mappings == whole.mappings
        assert head_cut.notes == tail_cut.notes == (Note.TRUNCATED,)
        assert set(line_cut.notes) == {Note.NO_NEWLINE, Note.TRUNCATED}

    def test_rows_that_were_visibly_omitted_are_noted(self) -> None:
        snapshot = smapskit.parse_smaps(f"{RECORD}[...]\n{RECORD}")
        assert len(snapshot) == 2
        assert snapshot.notes == (f"{Note.ROWS_OMITTED}: line 27: '[...]'",)


class TestMaps:
    def test_headers_alone(self) -> None:
        text = f"{HEADER}\n{NAMELESS}\n"
        snapshot = smapskit.parse_maps(text)
        assert [(m.size, m.rss, m.vm_flags) for m in snapshot] == [
            (352, None, None),
            (4, None, None),
        ]
        assert smapskit.format_smaps(snapshot) == text

    def test_fields_are_rejected(self) -> None:
        with pytest.raises(ParseError, match="use parse_smaps"):
            smapskit.parse_maps(RECORD)


class TestRollup:
    TEXT = (
        "55b90f52a000-7ffd622e7000 ---p 00000000 00:00 0                          [rollup]\n"
        "Rss:                1608 kB\nPss:                 778 kB\nPss_Anon:            112 kB\n"
        "Pss_File:            666 kB\nPss_Shmem:             0 kB\nTomorrow:              1 kB\n"
    )

    def test_its_own_fields(self) -> None:
        rollup = smapskit.parse_rollup(self.TEXT)
        assert (rollup.rss, rollup.pss_anon, rollup.pss_file, rollup.pss_shmem) == (
            1608,
            112,
            666,
            0,
        )
        assert (rollup.start, rollup.end) == (0x55B90F52A000, 0x7FFD622E7000)
        assert rollup.swap is None
        assert rollup.extra == {"Tomorrow": 1}
        assert repr(rollup) == "<Rollup 55b90f52a000-7ffd622e7000: rss 1,608 kB, pss 778 kB>"

    def test_of_a_process_without_mappings(self) -> None:
        text = self.TEXT.replace("55b90f52a000-7ffd622e7000", "00000000-00000000")
        rollup = smapskit.parse_rollup(text)
        assert (rollup.start, rollup.end, rollup.rss) == (0, 0, 1608)

    @pytest.mark.parametrize("separator", ["", "---\n", "=====\n", "\n"])
    def test_of_several_processes(self, separator: str) -> None:
        other = self.TEXT.replace("1608", "2000")
        text = self.TEXT + separator + other
        assert smapskit.parse_rollup_all(text) == [
            smapskit.parse_rollup(self.TEXT),
            smapskit.parse_rollup(other),
        ]
        assert smapskit.parse_rollup_all(other) == [smapskit.parse_rollup(other)]
        with pytest.raises(ParseError, match="expected one process, got 2: parse_rollup_all"):
            smapskit.parse_rollup(text)

    def test_several_of_which_one_is_truncated_are_rejected(self) -> None:
        cut = self.TEXT[: self.TEXT.index("Pss_Shmem")]
        for text in (self.TEXT + cut, self.TEXT + cut + self.TEXT):
            with pytest.raises(ParseError, match="expected"):
                smapskit.parse_rollup_all(text)

    @pytest.mark.parametrize("text", ["", RECORD, RECORD + TEXT])
    def test_anything_else_is_rejected(self, text: str) -> None:
        with pytest.raises(ParseError, match="the one record of smaps_rollup"):
            smapskit.parse_rollup(text, source="x")


class TestStream:
    def test_yields_the_records_of_the_text(self, process_folder: Path) -> None:
        path = process_folder / "smaps.txt"
        with path.open("rb") as lines:
            assert (
                tuple(smapskit.iter_mappings(lines))
                == smapskit.parse_smaps(path.read_bytes()).mappings
            )

    def test_yields_before_the_end_of_the_lines(self) -> None:
        endless = itertools.chain.from_iterable(itertools.repeat(RECORD.splitlines()))
        assert [m.rss for m in itertools.islice(smapskit.iter_mappings(endless), 3)] == [100] * 3

    @pytest.mark.parametrize("is_used", [True, False])
    def test_yields_every_record_before_an_error(self, is_used: bool) -> None:
        lines = (RECORD * 30 + "nonsense\n").splitlines()
        with uniform_parser(is_used=is_used):
            mappings = smapskit.iter_mappings(lines)
            assert len([next(mappings) for _ in range(29)]) == 29
            with pytest.raises(ParseError, match=f"line {len(lines)}: expected a field"):
                next(mappings)

    def test_a_whole_text_is_rejected(self) -> None:
        with pytest.raises(TypeError, match="parse_smaps reads that"):
            next(smapskit.iter_mappings(RECORD))
