"""Each dialect of pmap, from a text written after the format strings of that pmap."""

from __future__ import annotations

import pytest

import smapskit
from smapskit import Backing, Note, ParseError, Permissions, Snapshot

EXTENDED = """\
42:   ./a.out x
Address           Kbytes     RSS   Dirty Mode  Mapping
000055f3e745d000     352       4       0 r---- a.out
000055f3e7579000      36      16      16 rw---   [ anon ]
00007f3f92355000      80      76       8 rw-s- temp file
00007ffccfa37000     132      16      16 rw---   [ stack ]
---------------- ------- ------- ------- 
total kB             600     112      40
"""
SHORT = """\
42:   ./a.out x
000055f3e745d000    352K r---- a.out
000055f3e7579000     36K rw---   [ anon ]
 total              388K
"""
DEVICE = """\
42:   ./a.out x
Address           Kbytes Mode  Offset           Device    Mapping
000055f3e745d000     352 r---- 0000000000002000 103:00002 a.out
000055f3e7579000      36 rw--- 0000000000000000 000:00000   [ anon ]
00007f3f92355000      80 rw-s- 0000000000000000 0fe:00000 temp file
mapped: 468K    writeable/private: 36K    shared: 80K
"""


class TestProcps4:
    def test_extended(self) -> None:
        snapshot = smapskit.parse_pmap(EXTENDED)
        assert (snapshot.pid, snapshot.command) == (42, "./a.out x")
        first, anon, shared, stack = snapshot
        assert (first.start, first.end) == (0x55F3E745D000, 0x55F3E745D000 + 352 * 1024)
        assert (first.size, first.rss, first.dirty) == (352, 4, 0)
        assert (first.pss, first.swap, first.uss, first.private_dirty) == (None,) * 4
        assert (first.offset, first.device, first.inode, first.vm_flags) == (None,) * 4
        assert str(first.perms) == "r--p"
        assert (shared.is_shared, shared.pathname) == (True, "temp file")
        assert (anon.pathname, anon.backing) == ("[ anon ]", Backing.ANONYMOUS)
        assert (stack.pathname, stack.backing) == ("[ stack ]", Backing.ANONYMOUS)

    def test_device(self) -> None:
        first, *_ = smapskit.parse_pmap(DEVICE)
        assert (first.offset, str(first.device), first.rss) == (0x2000, "103:02", None)

    def test_short(self) -> None:
        assert [m.size for m in smapskit.parse_pmap(SHORT)] == [352, 36]

    @pytest.mark.parametrize("text", [EXTENDED, SHORT, DEVICE])
    def test_printed_again_it_is_the_same(self, text: str) -> None:
        layout = {EXTENDED: "extended", SHORT: "short", DEVICE: "device"}[text]
        snapshot = smapskit.parse_pmap(text)
        assert smapskit.format_pmap(snapshot, layout) == text

    def test_several_processes(self) -> None:
        thread = "2:   [kthreadd]\nAddress           Kbytes     RSS   Dirty Mode  Mapping\n"
        thread += (
            "---------------- ------- ------- ------- \ntotal kB               0       0       0\n"
        )
        first, second, third = smapskit.parse_pmaps(EXTENDED + thread + EXTENDED)
        assert [s.pid for s in (first, second, third)] == [42, 2, 42]
        assert first == third
        assert (len(second), second.notes) == (0, (Note.NO_ROWS,))
        with pytest.raises(ParseError, match="expected one process, got 3"):
            smapskit.parse_pmap(EXTENDED + thread + EXTENDED)

    def test_a_shared_memory_segment(self) -> None:
        row = "00007f7023000000      64       4       4 rw-s-   [ shmid=0x138019 ]\n"
        (segment,) = smapskit.parse_pmap(row)
        assert segment.backing is Backing.SHMEM
        assert smapskit.format_pmap(Snapshot((segment,)), quiet=True) == row

    @pytest.mark.parametrize(
        "name", [" leading", "trailing ", "[heap]", "a  b", "memfd:x (deleted)"]
    )
    def test_unusual_names(self, name: str) -> None:
        text = EXTENDED.replace("temp file", name)
        snapshot = smapskit.parse_pmap(text)
        assert snapshot[2].pathname == name
        assert smapskit.format_pmap(snapshot) == text


DETAIL = """\
42:   ./a.out
         Address Perm   Offset Device  Inode Size Rss Tomorrow THPeligible           VmFlags Mapping
    55f3e745d000 r--p 00000000  fe:00 260386  352   4        1           0       rd mr mw me ls
    55f3e7579000 rw-p 00000000  00:00      0   36  16        0           1 rd wr mr mw me ac 
ffffffffff600000 --xp 00000000  00:00      0    4   0        0           0                ex [vsyscall]
                                             ==== === ======== =========== 
                                              392  20        1           1 KB 
"""


class TestDetails:
    def test_a_column_for_each_field(self) -> None:
        first, second, last = smapskit.parse_pmap(DETAIL)
        assert (first.start, str(first.perms), first.inode) == (0x55F3E745D000, "r--p", 260386)
        assert (first.size, first.rss, first.extra) == (352, 4, {"Tomorrow": 1})
        assert first.vm_flags == ("rd", "mr", "mw", "me")
        assert first.pathname == "ls"  # it looks like a flag
        assert (second.thp_eligible, second.pathname) == (1, "")
        assert second.vm_flags == ("rd", "wr", "mr", "mw", "me", "ac")
        assert (last.vm_flags, last.backing) == (("ex",), Backing.SPECIAL)

    def test_printed_again_it_is_the_same(self) -> None:
        assert smapskit.format_pmap(smapskit.parse_pmap(DETAIL), "XX") == DETAIL

    def test_headings_in_german(self) -> None:
        german = DETAIL.replace("Address Perm", "Adresse Zugr").replace("  Offset", " Versatz")
        german = german.replace("Device", "Gerät").replace("Mapping", "Zuordnung")
        assert smapskit.parse_pmap(german).mappings == smapskit.parse_pmap(DETAIL).mappings

    def test_without_headings_the_values_have_no_names(self) -> None:
        quiet = "\n".join(DETAIL.split("\n")[2:5])
        snapshot = smapskit.parse_pmap(quiet)
        assert snapshot.notes == (Note.COLUMNS_UNNAMED,)
        assert [m.pathname for m in snapshot] == ["ls", "", "[vsyscall]"]
        assert snapshot[0].size == 352
        assert snapshot[0].extra == {"column 2": 4, "column 3": 1, "column 4": 0}

    def test_columns_moved_by_pasting(self) -> None:
        pasted = "\n".join(" ".join(line.split()) for line in DETAIL.split("\n"))
        pasted = pasted.replace(" ls\n", " libc.so.6\n")
        (first, *rest) = smapskit.parse_pmap(pasted)
        assert first.pathname == "libc.so.6"
        assert [m.vm_flags for m in rest] == [m.vm_flags for m in smapskit.parse_pmap(DETAIL)[1:]]

    def test_a_wrong_sum(self) -> None:
        with pytest.raises(ParseError, match="Rss adds up to 21, got 20"):
            smapskit.parse_pmap(DETAIL.replace(" 392  20 ", " 392  21 "))


class TestOthers:
    def test_procps_3_2_reports_no_rss(self) -> None:
        text = """\
3401:   man pmap
Address   Kbytes     RSS    Anon  Locked Mode   Mapping
00110000    1272       -       -       - r-x--  libc-2.10.1.so
bf7eb000      84       -       -       - rw---    [ stack ]
-------- ------- ------- ------- -------
total kB    1356       -       -       -
"""
        libc, stack = smapskit.parse_pmap(text)
        assert (libc.size, libc.rss, libc.anonymous, libc.locked) == (1272, None, None, None)
        assert (libc.pathname, stack.pathname) == ("libc-2.10.1.so", "[ stack ]")
        assert "    1272       -       - r-x-- libc" in smapskit.format_pmap(
            smapskit.parse_pmap(text)
        )

    def test_procps_3_3_2(self) -> None:
        text = """\
5371:   nginx
Address           Kbytes     RSS   Dirty Mode   Mapping
0000000000400000     564     344       0 r-x--  nginx
000000000069d000      56      12      12 rw---    [ anon ]
----------------  ------  ------  ------
total kB             620     356      12
"""
        nginx, anon = smapskit.parse_pmap(text)
        assert (nginx.rss, nginx.pathname) == (344, "nginx")
        assert (anon.dirty, anon.pathname) == (12, "[ anon ]")

    @pytest.mark.parametrize("kbytes", ["      0", "    352"])
    def test_rows_that_occur_twice_are_counted_once(self, kbytes: str) -> None:
        lines = EXTENDED.split("\n")
        doubled = lines[:2]
        for line in lines[2:6]:
            size = line[17:24] if kbytes.strip() != "0" else kbytes
            doubled += [line, f"{line[:17]}{size}       0       0{line[40:]}"]
        snapshot = smapskit.parse_pmap("\n".join([*doubled, *lines[6:]]))
        assert snapshot.mappings == smapskit.parse_pmap(EXTENDED).mappings
        assert snapshot.notes == (Note.DUPLICATED_ROWS,)

    def test_opensuse(self) -> None:
        row = "0000000000400000       4       4       2       1       0 r--p- /usr/bin/a  b\n"
        header = "Address           Kbytes     RSS     PSS   Dirty    Swap Mode  Mapping\n"
        for text in (row, header + row):
            (mapping,) = smapskit.parse_pmap(text)
            assert (mapping.size, mapping.rss, mapping.pss, mapping.dirty, mapping.swap) == (
                4,
                4,
                2,
                1,
                0,
            )
            assert (str(mapping.perms), mapping.pathname) == ("r--p", "/usr/bin/a  b")

    @pytest.mark.parametrize("unit", ["", "K"])
    def test_sles(self, unit: str) -> None:
        text = f"""\
START               SIZE     RSS     PSS   DIRTY    SWAP PERM OFFSET           DEVICE MAPPING
0000000000400000     12{unit}      8{unit}      4{unit}      0{unit}      0{unit} r-xp 0000000000000000 08:02  /bin/x
00007f0000000000     20{unit}     16{unit}     16{unit}     16{unit}      0{unit} rw-p 0000000000000000 00:00  [heap]
00007f1000000000      4{unit}      4{unit}      4{unit}      4{unit}      0{unit} rw-s 0000000000001000 00:04  /SYSV00000000
Total:               36{unit}     28{unit}     24{unit}     20{unit}      0{unit}
20K writable-private, 12K readonly-private, 4K shared, and 28K referenced
"""
        snapshot = smapskit.parse_pmap(text)
        assert [m.size for m in snapshot] == [12, 20, 4]
        assert [str(m.perms) for m in snapshot] == ["r-xp", "rw-p", "rw-s"]
        assert (snapshot[2].offset, str(snapshot[2].device)) == (4096, "00:04")
        assert snapshot.totals().pss == 24

    def test_busybox_counts_private_dirty_alone(self) -> None:
        text = (
            "1: mem -n 1024\nAddress\t\t  Kbytes     PSS   Dirty    Swap  Mode  Mapping\n"
            "000055c423976000      24      24       0       0  r-xp  /usr/local/bin/mem\n"
            "000055c4251e2000    1048    1048     104       0  rw-p  [heap]\n"
            "----------------  ------  ------  ------  ------\n"
            "total\t\t    1072    1072     104       0\n"
        )
        snapshot = smapskit.parse_pmap(text)
        assert snapshot.totals().private_dirty == 104
        assert (snapshot[0].dirty, snapshot[0].rss) == (None, None)
        assert snapshot[1].backing is Backing.ANONYMOUS

    def test_toybox(self) -> None:
        text = (
            "7: sh\nAddress            Kbytes     PSS   Dirty    Swap  Mode  Mapping\n"
            "0000000012c00000  524288   11884   11884       0 rw---  [anon:dalvik-main space]\n"
            "000000006f04a000    2620    1278    1256       4 rw---  boot.art]\n"
        )
        first, second = smapskit.parse_pmap(text)
        assert (first.pss, first.dirty, first.swap) == (11884, 11884, 0)
        assert (first.pathname, first.backing) == ("[anon:dalvik-main space]", Backing.ANONYMOUS)
        assert second.swap == 4

    def test_uutils(self) -> None:
        text = EXTENDED.replace("temp file", "[ anon ]")
        assert smapskit.parse_pmap(text)[2].pathname == "[ anon ]"

    def test_32_bit(self) -> None:
        text = "9:   x\n08048000    768K r-x--  /home/x/redis\nbf8c0000     84K rw---    [ stack ]\n total      852K\n"
        assert [m.start for m in smapskit.parse_pmap(text)] == [0x8048000, 0xBF8C0000]

    def test_solaris_is_rejected_by_name(self) -> None:
        text = (
            "102905:    sh\n Address  Kbytes     RSS    Anon  Locked Mode   Mapped File\n"
            "00010000     192     192       -       - r-x--  ksh\n"
        )
        with pytest.raises(ParseError, match=r"line 2: expected smaps, .*got pmap of Solaris"):
            smapskit.parse_pmap(text)


class TestPasted:
    def test_prompt_and_what_follows(self) -> None:
        snapshot = smapskit.parse_pmap(f"$ pmap -x 42\n{EXTENDED}$ \n")
        assert snapshot.mappings == smapskit.parse_pmap(EXTENDED).mappings
        assert snapshot.notes == (Note.COMMAND_SKIPPED, Note.TRAILING_TEXT)

    @pytest.mark.parametrize("mark", ["> ", "    ", "\t", ">> "])
    def test_indent(self, mark: str) -> None:
        quoted = "".join(f"{mark}{line}\n" for line in EXTENDED.splitlines())
        assert smapskit.parse_pmap(quoted).mappings == smapskit.parse_pmap(EXTENDED).mappings

    def test_crlf(self) -> None:
        text = EXTENDED.replace("\n", "\r\n")
        assert smapskit.parse_pmap(text).mappings == smapskit.parse_pmap(EXTENDED).mappings

    def test_without_the_first_line_the_header_or_the_footer(self) -> None:
        lines = EXTENDED.split("\n")
        whole = smapskit.parse_pmap(EXTENDED)
        for cut in (lines[1:], lines[2:], lines[:6], lines[2:6], lines[:1] + lines[2:]):
            assert smapskit.parse_pmap("\n".join(cut)).mappings == whole.mappings

    def test_collapsed_columns_and_truncated_modes(self) -> None:
        text = " ".join(EXTENDED.replace("r----", "r--").split(" ")).replace("rw---", "rw--")
        text = "\n".join(" ".join(line.split()) for line in text.split("\n"))
        snapshot = smapskit.parse_pmap(text)
        assert [str(m.perms) for m in snapshot] == ["r--p", "rw-p", "rw-s", "rw-p"]
        assert [m.pathname for m in snapshot] == ["a.out", "[ anon ]", "temp file", "[ stack ]"]

    @pytest.mark.parametrize("dots", ["...", "[...]", ".....", "…", "  ..."])
    def test_omitted_rows_are_noted_and_so_is_the_sum(self, dots: str) -> None:
        lines = EXTENDED.split("\n")
        lines[3] = dots
        snapshot = smapskit.parse_pmap("\n".join(lines))
        assert [m.pathname for m in snapshot] == ["a.out", "temp file", "[ stack ]"]
        assert len(snapshot.notes) == 4  # and three sums that differ

    def test_a_remark_after_a_row(self) -> None:
        snapshot = smapskit.parse_pmap(EXTENDED.replace("[ anon ]", "[ anon ]  <-- the heap"))
        assert snapshot[1].pathname == "[ anon ]"
        assert snapshot.notes == (Note.REMARK,)

    @pytest.mark.parametrize(("mode", "notes"), [("rw-s-", (Note.ASSUMED_SHMEM,)), ("rw---", ())])
    def test_a_row_that_is_assumed_to_be_shared_memory(
        self, mode: str, notes: tuple[Note, ...]
    ) -> None:
        snapshot = smapskit.parse_pmap(f"1:   x\n00007f0000000000      4K {mode} zero (deleted)\n")
        assert snapshot.notes == notes
        assert (snapshot[0].backing is smapskit.Backing.SHMEM) == bool(notes)


class TestRejected:
    def test_a_wrong_sum_unless_strict_is_false(self) -> None:
        wrong = EXTENDED.replace(" 600 ", " 601 ")
        with pytest.raises(ParseError, match=r"a\.txt, line 8: .*size adds up to 601, got 600"):
            smapskit.parse_pmap(wrong, source="a.txt")
        snapshot = smapskit.parse_pmap(wrong, strict=False)
        assert snapshot.notes == (
            "a total is not the sum of the rows: size is 601, the rows add up to 600",
        )

    @pytest.mark.parametrize(
        ("text", "line"),
        [
            ("", 1),
            ("hello\n", 1),
            ("\x00\xff" * 100, 1),
            (EXTENDED.replace("     352 ", "     -52 "), 3),
            (EXTENDED.replace("     352 ", "     35x "), 3),
            (EXTENDED.replace("     352 ", " " + "9" * 30 + " "), 3),
            (EXTENDED.replace("r----", "rwxyz"), 3),
            (EXTENDED.replace("000055f3e7579000", "000055f3e757900g"), 4),
            (EXTENDED.replace("000055f3e7579000", "1" * 17), 4),
            (EXTENDED.replace("rw-s- temp", "rw-s-temp"), 5),
        ],
    )
    def test_with_the_line(self, text: str, line: int) -> None:
        with pytest.raises(ParseError, match="expected a row") as caught:
            smapskit.parse_pmap(text)
        assert caught.value.line_number == line


@pytest.mark.parametrize(
    "row",
    [
        "fffffffffffff000 4K r---- x",
        "00400000 999999999999999K r---- x\n00500000 4K r---- x",
        "55f3e745d000 r--p 00000000 fe:00 99999999999999999999 4 4 x",
    ],
)
def test_no_row_reaches_beyond_the_address_space(row: str) -> None:
    if "9" * 15 in row and "9" * 20 not in row:
        assert smapskit.parse_pmap(row).totals().size == 10**15 - 1 + 4
    else:
        with pytest.raises(
            ParseError, match=r"line 1: expected a range and an inode below 2\*\*64"
        ):
            smapskit.parse_pmap(row)


def test_permissions_of_a_row_are_those_of_the_kernel() -> None:
    modes = {"rwxs-": "rwxs", "-----": "---p", "rw-sR": "rw-s", "r-xp": "r-xp", "rw-s": "rw-s"}
    for mode, perms in modes.items():
        (row,) = smapskit.parse_pmap(f"00400000 4K {mode} x\n")
        assert row.perms == Permissions.parse(perms)
