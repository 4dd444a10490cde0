"""The heading line of a pmap table decides what its columns are; without it, a note says so."""

from __future__ import annotations

import pytest
from fuzz import pmap_headings

import smapskit
from smapskit import Mapping, Note, ParseError
from smapskit.formats.pmap.columns import COLUMN_OF_WORD, COLUMNS

EXTENDED = """\
42:   ./a.out x
Address           Kbytes     RSS   Dirty Mode  Mapping
000055f3e745d000     352       4       0 r---- a.out
000055f3e7579000      36      16      12 rw---   [ anon ]
---------------- ------- ------- -------
total kB             388      20      12
"""
BUSYBOX = (
    "1: mem -n 1024\nAddress\t\t  Kbytes     PSS   Dirty    Swap  Mode  Mapping\n"
    "000055c423976000      24      23       0       1  r-xp  /usr/local/bin/mem\n"
    "000055c4251e2000    1048    1047     104       2  rw-p  [heap]\n"
    "----------------  ------  ------  ------  ------\n"
    "total\t\t    1072    1070     104       3\n"
)
DETAIL = """\
42:   ./a.out
     Address Perm   Offset Device  Inode Size Rss Pss Tomorrow  VmFlags Mapping
55f3e745d000 r--p 00000000  fe:00 260386  352   4   4        1 rd mr mw ls
55f3e7579000 rw-p 00000000  00:00      0   36  16  16        0 rd wr ac
                                         ==== === === ========
                                          388  20  20        1 KB
"""
SLES = """\
START               SIZE     RSS     PSS   DIRTY    SWAP PERM OFFSET           DEVICE MAPPING
0000000000400000     12K      8K      4K      0K      0K r-xp 0000000000000000 08:02  /bin/x
00007f1000000000      4K      4K      4K      4K      0K rw-s 0000000000001000 00:04  /SYSV0108cd26
Total:               16K     12K      8K      4K      0K
"""


def columns_of(text: str) -> list[tuple[int | None, ...]]:
    return [
        (m.size, m.rss, m.pss, m.pmap_dirty, m.private_dirty, m.swap, m.anonymous, m.locked)
        for m in smapskit.parse_pmap(text)
    ]


def only(heading: str, row: str) -> Mapping:
    (mapping,) = smapskit.parse_pmap(f"{heading}\n{row}\n")
    return mapping


def rejected(text: str, message: str, line: int) -> None:
    with pytest.raises(ParseError, match=message) as caught:
        smapskit.parse_pmap(text, strict=False)
    assert caught.value.line_number == line


class TestMappedByWords:
    def test_swapped_columns(self) -> None:
        swapped = EXTENDED.replace("    RSS   Dirty", "  Dirty     RSS")
        assert columns_of(swapped) == [
            (352, 0, None, 4, None, None, None, None),
            (36, 12, None, 16, None, None, None, None),
        ]

    def test_the_name_between_other_columns(self) -> None:
        heading = "Mode Address Mapping Locked RSS Kbytes Offset Device"
        mapping = only(heading, "rw-s- 00400000 a  b 1 7 8 00001000 fe:01")
        assert (mapping.start, mapping.size, mapping.rss, mapping.locked) == (0x400000, 8, 7, 1)
        assert (mapping.pathname, mapping.is_shared) == ("a  b", True)
        assert (mapping.offset, str(mapping.device)) == (0x1000, "fe:01")

    @pytest.mark.parametrize(
        ("row", "name"),
        [
            ("a b 00400000 8 4 r----", "a b"),
            ("  [ anon ] 00400000 8 4 r----", "[ anon ]"),
            (" 00400000 8 4 r----", ""),
        ],
    )
    def test_the_name_first(self, row: str, name: str) -> None:
        mapping = only("Mapping Address Kbytes RSS Mode", row)
        assert (mapping.pathname, mapping.size, mapping.rss) == (name, 8, 4)

    def test_uss_has_no_attribute_of_its_own(self) -> None:
        text = "Address Kbytes USS Anon Perm Mapping\n00400000 8 3 - r-xp a\ntotal 8 3 -\n"
        (mapping,) = smapskit.parse_pmap(text)
        assert (mapping.extra, mapping.anonymous, str(mapping.perms)) == ({"USS": 3}, None, "r-xp")

    def test_dirty_of_busybox_in_another_order(self) -> None:
        heading = "Address Kbytes Swap Dirty Mode Mapping"
        raw, padded = (only(heading, f"00400000 8 1 4 {mode} a") for mode in ("rw-p", "rw---"))
        assert (raw.swap, raw.private_dirty, raw.pmap_dirty) == (1, 4, None)
        assert (padded.swap, padded.private_dirty, padded.pmap_dirty) == (1, None, 4)

    def test_busybox_and_toybox_are_distinguished_by_all_rows(self) -> None:
        heading = "Address Kbytes PSS Dirty Swap Mode Mapping\n"
        shared = "00400000 8 7 6 5 rw-s a\n"
        for other, attribute in (("r--p", "private_dirty"), ("r----", "pmap_dirty")):
            snapshot = smapskit.parse_pmap(f"{heading}{shared}00500000 8 7 6 5 {other} b\n")
            assert [getattr(m, attribute) for m in snapshot] == [6, 6]
            assert snapshot.notes == ()
        (note,) = smapskit.parse_pmap(heading + shared).notes
        assert note == "the rows fit several pmaps: columns read as those of busybox -x"
        mixed = f"{heading}{shared}00500000 8 7 6 5 r--p b\n00600000 8 7 6 5 r---- c\n"
        rejected(mixed, "expected a row such as '00007f3f92355000 352 4 4 4 r", 4)


class TestTranslated:
    @pytest.mark.parametrize(
        "heading",
        [
            "Adresse           kByte      RSS   Dirty Modus  Zuordnung",
            "Dirección         Kbytes     RSS   Sucio Modo  Asignación",
            "Adresse           kilo-octets     RSS   Modifié Mode  Carte",
            "Endereço          Kbytes     RSS    Suja Modo  Mapeamento",
            "Adres                 KB     RSS  Brudne Tryb  Odwzorowanie",
            "Adresă           Kocteți     RSS  Murdar Mod  Atribuire",
            "Adress             kbyte     RSS Smutsig Läge  Mappning",
            "Адреса           кбайтів     RSS  Брудно Режим  Відповідність",
            "მისამართი         კბაიტი     RSS ბინძური რეჟიმი მიბმა",
            "주  소            Kbytes     RSS   Dirty 모  드 매  핑",
            "Địa chỉ            Kbyte     RSS     Bẩn Chế độ Ánh xạ",
            "地址              Kbytes     RSS   Dirty Mode  Mapping",
        ],
    )
    def test_extended(self, heading: str) -> None:
        english = EXTENDED.split("\n")[1]
        translated = smapskit.parse_pmap(EXTENDED.replace(english, heading))
        assert translated.mappings == smapskit.parse_pmap(EXTENDED).mappings

    @pytest.mark.parametrize(
        "places",
        [
            "Adresse Zugr Versatz Gerät Inode Zuordnung",
            "Địa_chỉ Perm Offset Thiết_bị Inode Ánh_xạ",
            "Адреса Доступ Зміщення Пристрій Inode Відповідність",
        ],
    )
    def test_details(self, places: str) -> None:
        english = "Address Perm Offset Device Inode Mapping"
        heading = DETAIL.split("\n")[1]
        translated = heading
        for ours, theirs in zip(english.split(), places.split(), strict=True):
            translated = translated.replace(ours, theirs.replace("_", " "))
        snapshot = smapskit.parse_pmap(DETAIL.replace(heading, translated))
        assert snapshot[1].vm_flags == ("rd", "wr", "ac")
        assert [m.inode for m in snapshot] == [260386, 0]

    def test_each_word_is_of_one_column(self) -> None:
        words = [word.casefold() for column in COLUMNS.values() for word in column.words]
        assert len(words) == len(COLUMN_OF_WORD)


class TestRejectedHeadings:
    @pytest.mark.parametrize(
        ("old", "new", "message"),
        [
            ("Kbytes", "Mbytes", "expected a known column, got 'Mbytes'"),
            ("RSS", "RS5", "expected a known column, got 'RS5'"),
            ("Dirty", "Dirty of", "expected a known column, got 'of'"),
            ("Dirty", "RSS", "expected each column once, got 'RSS' again"),
            ("Dirty", "SIZE", "expected each column once, got 'SIZE' again"),
            ("Address", "", "expected a heading with a column Address"),
            ("Kbytes", "", "expected a heading with a column Kbytes"),
            ("Mode", "", "expected a heading with a column Mode"),
            ("Mapping", "", "expected a heading with a column Mapping"),
            (
                "Mapping",
                "\x1b[31mMapping",
                r"expected a known column, got '\\x1b\[31mMapping'",
            ),
            ("Mapping", "M" * 999, r"expected a known column, got 'M{40}\.\.\.'"),
        ],
    )
    def test_by_name(self, old: str, new: str, message: str) -> None:
        rejected(EXTENDED.replace(old, new), f"line 2: {message}", 2)

    def test_a_damaged_heading_that_contains_the_name_of_a_command(self) -> None:
        rejected(
            EXTENDED.split("\n", 1)[1].replace("Mapping", "map-ing"),
            "expected a known column, got 'map-ing'",
            1,
        )

    def test_one_damaged_letter_of_busybox(self) -> None:
        for old, new in (
            ("PSS", "PSs?"),
            ("Swap", "Swep"),
            ("Address", "Adress_"),
            ("Mode", "Mde"),
        ):
            rejected(
                BUSYBOX.replace(old, new),
                f"expected a known column, got '{new}'".replace("?", r"\?"),
                2,
            )

    @pytest.mark.parametrize(
        ("old", "new", "message"),
        [
            ("Address", "Adddress", "expected the column Address, got 'Adddress'"),
            ("Perm", "Prem", "expected the column Perm, got 'Prem'"),
            ("Device", "Offset", "expected the column Device, got 'Offset'"),
            ("Inode", "lnode", "expected the column Inode, got 'lnode'"),
            ("Size", "Sise", "expected the column Size, got 'Sise'"),
            ("Rss", "Rsx", "expected a heading with a column Rss"),
            ("Pss", "pss", "expected the column Pss, got 'pss'"),
            ("Pss", "P$s", r"expected the name of a field, got 'P\$s'"),
            ("Tomorrow", "Pss", "expected each column once, got 'Pss' again"),
            ("Mapping", "Maping", "expected the column Mapping at the end, got 'Maping'"),
            ("Mapping", "", "expected the column Mapping at the end, got 'VmFlags'"),
        ],
    )
    def test_of_details(self, old: str, new: str, message: str) -> None:
        rejected(DETAIL.replace(old, new), message, 2)

    def test_an_unknown_field_of_details_is_kept(self) -> None:
        assert [m.extra for m in smapskit.parse_pmap(DETAIL)] == [{"Tomorrow": 1}, {"Tomorrow": 0}]


class TestRejectedRows:
    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ("     352       4 ", "     352 "),
            ("     352       4 ", "     352       4       4 "),
            ("r----", "r---- 0000000000002000 103:00002"),
        ],
    )
    def test_a_first_row_with_a_column_lost_or_gained(self, old: str, new: str) -> None:
        text = EXTENDED.replace(old, new)
        if "103" in new:  # it is the name, by the heading
            assert smapskit.parse_pmap(text)[0].pathname == "0000000000002000 103:00002 a.out"
        else:
            rejected(text, "expected a row such as '00007f3f92355000 352 4 4 r---- a.out'", 3)

    def test_rows_of_another_dialect(self) -> None:
        rows = BUSYBOX.split("\n", 2)[2]
        rejected(EXTENDED.split("\n")[1] + "\n" + rows, "expected a row such as", 2)
        details = "\n".join(DETAIL.split("\n")[2:])
        rejected(EXTENDED.split("\n")[1] + "\n" + details, "expected a row such as", 2)

    def test_details_with_a_value_lost_or_gained(self) -> None:
        rejected(
            DETAIL.replace(" 352   4 ", " 352 "), "expected a row of -X such as .*then 4 values", 3
        )

    @pytest.mark.parametrize(
        ("order", "message", "line"),
        [
            ((0, 5, 1, 2, 3), "expected the heading before the totals", 3),
            ((0, 5, 2, 3), "expected all rows before the totals", 3),
            ((0, 1, 2, 5, 3), "expected all rows before the totals", 5),
            ((0, 2, 1, 3, 5), "expected one heading, before the rows", 3),
            ((0, 1, 1, 2, 3, 5), "expected one heading, before the rows", 3),
            ((0, 1, 2, 3, 1), "expected one heading, before the rows", 5),
        ],
    )
    def test_lines_in_another_order(self, order: tuple[int, ...], message: str, line: int) -> None:
        lines = EXTENDED.split("\n")
        rejected("\n".join(lines[at] for at in order), message, line)

    def test_a_second_heading(self) -> None:
        lines = EXTENDED.split("\n")
        lines.insert(2, "Address           Kbytes     PSS   Dirty Mode  Mapping")
        rejected("\n".join(lines), "expected one heading, before the rows", 3)

    def test_remarks_after_the_totals_are_not_headings(self) -> None:
        text = EXTENDED + "The Mode of the Mapping is odd\n$ \n"
        assert smapskit.parse_pmap(text).notes == (Note.TRAILING_TEXT,)

    @pytest.mark.parametrize("total", [" total 4k", " total 4K", " total 4", "Total: 4k"])
    def test_the_unit_of_a_total(self, total: str) -> None:
        snapshot = smapskit.parse_pmap(f"00400000 4K r---- a\n{total}\n")
        assert snapshot.totals().size == 4
        wrong_total = total.replace("4", "5")
        with pytest.raises(ParseError, match="size adds up to 5, got 4"):
            smapskit.parse_pmap(f"00400000 4K r---- a\n{wrong_total}\n")


class TestWithoutHeading:
    @pytest.mark.parametrize(
        ("row", "name", "known"),
        [
            ("00400000 8 4 2 r---- a", "procps -x", {"rss": 4, "pmap_dirty": 2}),
            ("00400000 8 - - - r---- a", "procps 3.2 -x", {}),
            ("00400000 8 7 4 1 r-xp a", "busybox -x", {"pss": 7, "private_dirty": 4, "swap": 1}),
            ("00400000 8 7 4 1 r-x-- a", "toybox -x", {"pss": 7, "pmap_dirty": 4, "swap": 1}),
            (
                "00400000 8 7 6 4 1 r--p- a",
                "openSUSE",
                {"rss": 7, "pss": 6, "pmap_dirty": 4, "swap": 1},
            ),
            (
                "00400000 8 7 6 4 1 r-xp 00001000 08:02 a",
                "SLES",
                {"rss": 7, "pss": 6, "pmap_dirty": 4, "swap": 1},
            ),
        ],
    )
    def test_a_guess_is_noted(self, row: str, name: str, known: dict[str, int]) -> None:
        snapshot = smapskit.parse_pmap(row)
        assert snapshot.notes == (f"no heading: columns guessed from the rows as {name}",)
        counters = ("rss", "pss", "pmap_dirty", "private_dirty", "swap", "anonymous", "locked")
        found = {what: getattr(snapshot[0], what) for what in counters}
        assert {what: kb for what, kb in found.items() if kb is not None} == known

    @pytest.mark.parametrize(
        "row", ["00400000 8K r-xp a", "00400000 8K r-x-- a", "00400000 8 r---- 00001000 fe:00 a"]
    )
    def test_a_size_alone_is_not_a_guess(self, row: str) -> None:
        snapshot = smapskit.parse_pmap(row)
        assert (snapshot[0].size, snapshot[0].rss, snapshot.notes) == (8, None, ())

    @pytest.mark.parametrize("columns", ["4 2", "4 2 1 1", "4 2 1 1 1 1"])
    def test_modes_of_busybox_with_other_columns(self, columns: str) -> None:
        rejected(f"00400000 8 {columns} r-xp a", "expected a row such as", 1)

    @pytest.mark.parametrize(
        "rows",
        [
            "00400000 8 4 2 r---- a\n00500000 8 4 2 1 r---- b",
            "00400000 8 4 2 1 r---- a\n00500000 8 4 2 r---- b",
            "00400000 8 4 2 r---- a\n00500000 8 r---- b",
            "00400000 8 r---- a\n00500000 8 r---- 00001000 fe:00 b",
            "00400000 8 r---- 00001000 fe:00 a\n00500000 8 r---- 00001000 fe:0x b",
            "00400000 8 4 2 1 r--p a\n00500000 8 4 2 1 r---- b",
            "00400000 8 - - - r---- a\n00500000 8 4 2 1 r--p b",
        ],
    )
    def test_rows_that_disagree(self, rows: str) -> None:
        rejected(rows, "expected a row such as", 2)


@pytest.mark.parametrize("heading", ["", "Address Kbytes RSS Dirty Mode Mapping\n"])
def test_totals_of_more_columns_than_the_rows_have(heading: str) -> None:
    text = f"{heading}00400000 8 7 4 r-x-- a\ntotal 8 7 4"
    assert smapskit.parse_pmap(f"{text} -\n").totals().size == 8
    rejected(f"{text} 1\n", "expected 3 totals, got 4", 2 + bool(heading))


def test_a_shared_memory_segment_without_inode_is_printed_by_name() -> None:
    snapshot = smapskit.parse_pmap(SLES)
    for layout in ("short", "extended", "device"):
        table = smapskit.format_pmap(snapshot, layout)
        assert any(line.endswith(" /SYSV0108cd26") for line in table.splitlines())
        assert smapskit.parse_pmap(table)[1].pathname == "/SYSV0108cd26"
    assert "SYSV0108cd26" in smapskit.format_pmap(snapshot, "XX")


def test_a_reference_reader_agrees() -> None:
    assert list(pmap_headings.differences(cases=2000, seed=1)) == []
