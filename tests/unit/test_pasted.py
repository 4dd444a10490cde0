"""Listings as people paste them: the same records, and a note for all that was removed."""

from __future__ import annotations

import contextlib
import io
import re
import time

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from support.disguises import DISGUISES, Disguise, disguise

import smapskit
from smapskit import Mapping, Note, ParseError, Snapshot

SMAPS = """\
00400000-00452000 r--p 00000000 fe:00 260386                             /usr/bin/head
Size:                328 kB
Rss:                 100 kB
VmFlags: rd ex mr mw me
00e03000-00e24000 rw-p 00000000 00:00 0                                  [heap]
Size:                132 kB
Rss:                   8 kB
VmFlags: rd wr mr mw me ac
7f00a0000000-7f00a0021000 rw-s 00000000 00:05 7                          /dev/zero (deleted)
Size:                132 kB
Rss:                   4 kB
VmFlags: rd wr sh mr mw me ms
"""
MAPS = "".join(f"{line}\n" for line in SMAPS.splitlines() if "-" in line)
PMAP = """\
42:   ./a.out x
000055f3e745d000    352K r---- a.out
000055f3e7579000     36K rw---   [ anon ]
00007f0000000000     64K rw-s- memfd:x (deleted)
 total              452K
"""
PMAP_X = """\
42:   ./a.out x
Address           Kbytes     RSS   Dirty Mode  Mapping
000055f3e745d000     352       4       0 r---- a.out
000055f3e7579000      36      16      16 rw---   [ anon ]
00007f0000000000      64       0       0 rw-s- memfd:x (deleted)
---------------- ------- ------- -------
total kB             452      20      16
"""
PMAP_D = """\
42:   ./a.out x
Address           Kbytes Mode  Offset           Device    Mapping
000055f3e745d000     352 r---- 0000000000000000 0fe:00000 a.out
000055f3e7579000      36 rw--- 0000000000000000 000:00000   [ anon ]
00007f0000000000      64 rw-s- 0000000000001000 000:00005 memfd:x (deleted)
mapped: 452K    writeable/private: 36K    shared: 64K
"""
PMAP_XX = """\
42:   ./a.out x
         Address Perm   Offset Device  Inode Size Rss     VmFlags Mapping
    55f3e745d000 r--p 00000000  fe:00 260386  352   4    rd mr mw a.out
    55f3e7579000 rw-p 00000000  00:00      0   36  16 rd wr mr mw [heap]
ffffffffff600000 --xp 00000000  00:00      0    4   0          ex [vsyscall]
                                             ==== ===
                                              392  20 KB
"""
LISTINGS = {
    "smaps": SMAPS,
    "maps": MAPS,
    "pmap": PMAP,
    "pmap -x": PMAP_X,
    "pmap -d": PMAP_D,
    "pmap -XX": PMAP_XX,
}


def load(data: bytes | str) -> Snapshot:
    return smapskit.load(io.BytesIO(data if isinstance(data, bytes) else data.encode()))


@pytest.mark.parametrize(
    "listing",
    [
        pytest.param(name, marks=() if name in ("smaps", "pmap -x") else pytest.mark.slow)
        for name in LISTINGS
    ],
)
@pytest.mark.parametrize("first", DISGUISES, ids=lambda each: each.name)
def test_every_combination_of_two_disguises(listing: str, first: Disguise) -> None:
    text = LISTINGS[listing]
    plain = load(text)
    for second in DISGUISES:
        disguises = (first,) if second is first else (first, second)
        data = disguise(text, disguises)
        found = load(data)
        assert found.mappings == plain.mappings, (second.name, data)
        assert (found.pid, found.command) == (plain.pid, plain.command), second.name
        for each in changing(text, disguises):
            assert is_reported(each, found.notes), (each.name, found.notes)


def changing(text: str, disguises: tuple[Disguise, ...]) -> list[Disguise]:
    """Return the disguises that change the text: dashes need blanks around the mode."""
    first, *rest = disguises
    is_changed = rest and disguise(text, disguises) != disguise(text, (first,))
    return [first, *rest] if is_changed else [first]


def is_reported(disguise: Disguise, notes: tuple[str, ...]) -> bool:
    # A quote mark among other characters before the lines is reported with them.
    also = Note.PREFIX if disguise.note == Note.QUOTED else disguise.note
    return any(note.startswith((disguise.note, also)) for note in notes)


ROWS = {
    "smaps": SMAPS.splitlines()[0],
    "maps": MAPS.splitlines()[0],
    "pmap": PMAP.splitlines()[1],
    "pmap -x": PMAP_X.splitlines()[2],
    "pmap -d": PMAP_D.splitlines()[2],
    "pmap -XX": PMAP_XX.splitlines()[2],
}
CUT_MARKS = [
    *("...", "[...]", "  ……", ". . .", "<truncated>", "[snip]", "<snip>", "--- snip ---"),
    *("... (long tail of libraries) ...", "[12 lines omitted]", "(output truncated)", "。。。"),
    *("[... 40 more rows ...]", "--8<--", "……省略……"),
]
PROSE = [
    *("Hello,", "this is a sentence", "```", "# a remark", "What is it?", "$", "root@host:~#"),
    *("Edit: it grows.", "The Mode of the Mapping is odd", "10:00:01", "2026-11-24 10:00:01"),
    *(
        "Wed Nov 24 10:00:01 UTC 2026",
        "-- ",
        "это память процесса",
        "/home/user/map of it",
        "* one",
    ),
]


def records(snapshots: list[Snapshot]) -> list[Mapping]:
    return [mapping for snapshot in snapshots for mapping in snapshot]


def load_all(text: str) -> list[Snapshot]:
    return smapskit.load_all(io.BytesIO(text.encode()))


def line_numbers(notes: tuple[str, ...]) -> set[int]:
    return {int(found[1]) for note in notes if (found := re.search(r": line (\d+): ", note))}


def looks_like_part(line: str) -> bool:
    """Return whether a generated line may be read as a part of a listing."""
    return re.match(r"\s*([0-9]+:|[A-Za-z]\w*:|[-= ]+$)", line) is not None


any_line = st.one_of(
    st.sampled_from(PROSE + CUT_MARKS),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n\r"), max_size=40),
)


@pytest.mark.parametrize("listing", LISTINGS)
@given(inserted=st.lists(st.tuples(st.integers(0, 20), any_line), max_size=8))
def test_no_line_is_skipped_without_a_note(listing: str, inserted: list[tuple[int, str]]) -> None:
    lines = [(line, True) for line in LISTINGS[listing].splitlines()]
    for place, line in inserted:
        assume(line.strip() and not looks_like_part(line))
        lines.insert(min(place, len(lines)), (line, False))
    try:
        found = load_all("".join(f"{line}\n" for line, _ in lines))
    except ParseError as error:
        assert error.line_number is not None
        return
    assert records(found) == records([load(LISTINGS[listing])])
    expected = {n for n, (_, is_own) in enumerate(lines, 1) if not is_own}
    assert line_numbers(found[0].notes) == expected


@pytest.mark.parametrize("listing", LISTINGS)
@pytest.mark.parametrize("line", PROSE + CUT_MARKS)
@pytest.mark.parametrize("place", ["before", "after"])
def test_text_around_a_listing_is_noted(listing: str, line: str, place: str) -> None:
    text = LISTINGS[listing]
    number = 1 if place == "before" else text.count("\n") + 1
    found = load(f"{line}\n{text}" if place == "before" else f"{text}{line}\n")
    if line.startswith("Edit:") and (listing, place) == ("smaps", "after"):
        assert found[-1].extra == {"Edit": "it grows."}  # an unknown field is kept
        return
    assert found.mappings == load(text).mappings
    assert [line_numbers((note,)) for note in found.notes] == [{number}]
    assert repr(line.strip()) in found.notes[0]


@pytest.mark.parametrize("listing", ["maps", "pmap", "pmap -x", "pmap -d", "pmap -XX"])
@pytest.mark.parametrize("line", PROSE + CUT_MARKS)
def test_lines_between_rows_are_noted(listing: str, line: str) -> None:
    text = LISTINGS[listing]
    row = ROWS[listing]
    found = load(text.replace(row, f"{row}\n{line}"))
    assert found.mappings == load(text).mappings
    assert len(found.notes) == 1


@pytest.mark.parametrize("listing", LISTINGS)
@pytest.mark.parametrize(
    "damage",
    [
        "* {}",
        "+{}",
        "see {}",
        "> {}",
        "1:{}",
        "x{}",
        "pmap map /proc/1/smaps {}",
    ],
)
def test_a_row_that_differs_from_the_others_is_rejected(listing: str, damage: str) -> None:
    text, row = LISTINGS[listing], ROWS[listing]
    with pytest.raises(ParseError):
        load_all(text.replace(row, damage.format(row.lstrip())))


@pytest.mark.parametrize("listing", LISTINGS)
def test_a_row_cut_anywhere_is_never_skipped(listing: str) -> None:
    text, row = LISTINGS[listing], ROWS[listing]
    last_row = next(
        line for line in reversed(text.splitlines()) if re.match(r"\s*[0-9a-f]{8}", line)
    )
    plain = load(text)
    for row in (ROWS[listing], last_row):
        for cut in range(5, len(row)):  # four hexadecimal digits may be a word
            for part in (row[:cut], row[cut:]):
                # A shorter address is an address, a shorter mode is a mode of web pages.
                if part == row[cut:]:
                    if not len("00400000-00452") < cut < re.search(" [r-][w-]", row).start():  # type: ignore[union-attr]
                        continue
                elif not part.strip() or part.endswith("rw-"):
                    continue
                try:
                    found = load_all(text.replace(row, part))
                except ParseError:
                    continue
                # Only the end of a name is lost without a trace.
                assert len(records(found)) == len(plain), part
                ranges = [(m.start, m.size, m.perms) for m in records(found)]
                assert ranges == [(m.start, m.size, m.perms) for m in plain], part


class TestSeveralListings:
    """Of several processes, or of one process twice."""

    @pytest.mark.parametrize("listing", LISTINGS)
    @pytest.mark.parametrize(
        ("between", "is_noted"),
        [
            ("", False),
            ("\n", False),
            ("$ cat /proc/43/smaps\n", True),
            ("After:\n", True),
            ("==> /proc/43/smaps <==\n", True),
            ("and an hour later\n\n", True),
        ],
    )
    def test_twice(self, listing: str, between: str, is_noted: bool) -> None:
        text = LISTINGS[listing]
        plain = load(text)
        # A word with a colon within smaps is an unknown field, unless other text shows a paste.
        before = "Before:\n" if between == "After:\n" else ""
        found = load_all(before + text + between + text)
        assert [each.mappings for each in found] == [plain.mappings] * 2
        assert any(note.startswith(Note.SKIPPED) for note in found[0].notes) is is_noted
        with pytest.raises(ParseError, match="expected one process"):
            load(before + text + between + text)

    @pytest.mark.parametrize("listing", ["smaps", "maps"])
    def test_the_parser_of_one_process_rejects_a_part_that_is_repeated(self, listing: str) -> None:
        lines = LISTINGS[listing].splitlines(keepends=True)
        one = "".join(lines[: len(lines) // 3])
        parse = smapskit.parse_smaps if listing == "smaps" else smapskit.parse_maps
        with pytest.raises(ParseError, match="expected one process, got another listing") as caught:
            parse(f"{one}later\n{one}")
        assert caught.value.line_number == len(lines) // 3 + 2

    def test_a_command_separates_two_listings_at_rising_addresses(self) -> None:
        low, high = MAPS.splitlines(keepends=True)[:2]
        found = load_all(f"{low}$ cat /proc/43/maps\n{high}")
        assert [len(each) for each in found] == [1, 1]

    def test_a_remark_between_rows_does_not(self) -> None:
        low, high = MAPS.splitlines(keepends=True)[:2]
        assert len(load(f"{low}this is the heap:\n{high}")) == 2

    def test_rows_of_pmap_without_the_line_of_the_process(self) -> None:
        rows = "".join(PMAP.splitlines(keepends=True)[1:4])
        assert [len(each) for each in load_all(rows + rows)] == [3, 3]
        head, *_ = rows.splitlines(keepends=True)
        assert [len(e) for e in load_all(f"$ pmap 1 | head -1\n{head}$ pmap 2\n{rows}")] == [1, 3]

    def test_the_second_listing_has_the_heading_of_the_first(self) -> None:
        heading = "Address Kbytes PSS Dirty Mode Mapping\n"
        row = "00400000 8 4 2 r---- a\n"
        first, second = load_all(f"{heading}{row}later\n{row}")
        assert first.mappings == second.mappings
        assert (second[0].pss, second[0].rss) == (4, None)

    def test_rollups(self) -> None:
        rollup = (
            "00400000-7ffd622e7000 ---p 00000000 00:00 0                          [rollup]\n"
            "Rss:                1608 kB\nPss:                 778 kB\n"
        )
        text = f"> ==> /proc/1/smaps_rollup <==\n> {rollup}\n> next one\n> {rollup}"
        text = re.sub("(?m)^(?!>)", "> ", text)
        one = smapskit.parse_rollup(rollup)
        assert smapskit.load_rollup_all(io.BytesIO(text.encode())) == [one, one]


class TestKernelNames:
    """A name in text of the kernel may contain anything; it is changed for certain signs only."""

    @pytest.mark.parametrize(
        "name",
        [
            "/tmp/a   <-- b",
            "/tmp/a  # b",
            "/tmp/a -- b",
            "/tmp/&lt;b&gt;",
            "/tmp/\x1b[31mred\x1b[0m",
            "/tmp/no\u00a0break",
            "/tmp/r\u2013x",
            "/tmp/`",
            "/tmp/x|",
            "/tmp/ends in CR\r",
        ],
    )
    @pytest.mark.parametrize("text", [SMAPS, MAPS])
    def test_an_unusual_name_is_kept(self, text: str, name: str) -> None:
        text = text.replace("/usr/bin/head", name)
        found = load(text)
        assert found[0].pathname == name
        assert found.notes == ()
        assert smapskit.format_smaps(found) == text

    @pytest.mark.parametrize(
        ("remark", "removed"),
        [
            ("   <- here", "<- here"),
            ("  ← Java", "← Java"),
            ("    # the heap", "# the heap"),
            ("  &lt;-- here", "<-- here"),
        ],
    )
    def test_a_remark_after_a_word_of_the_kernel(self, remark: str, removed: str) -> None:
        found = load(MAPS.replace("[heap]", f"[heap]{remark}"))
        assert found[1].pathname == "[heap]"
        assert f"{Note.REMARK}: line 2: {removed!r}" in found.notes

    def test_a_remark_in_place_of_a_name(self) -> None:
        found = load("7f00a000-7f00b000 rw-p 00000000 00:00 0     <-- anonymous\n")
        assert (found[0].pathname, found[0].backing) == ("", smapskit.Backing.ANONYMOUS)
        assert found.notes == (f"{Note.REMARK}: line 1: '<-- anonymous'",)

    def test_a_remark_after_a_path_in_a_text_that_was_pasted_for_certain(self) -> None:
        text = MAPS.replace("/usr/bin/head", "/usr/bin/head   <-- this one")
        assert load(text)[0].pathname == "/usr/bin/head   <-- this one"
        found = load(f"$ cat /proc/1/maps\n{text}")
        assert found[0].pathname == "/usr/bin/head"
        assert f"{Note.REMARK}: line 2: '<-- this one'" in found.notes

    def test_a_remark_after_a_field(self) -> None:
        found = load(SMAPS.replace("100 kB", "100 kB   <-- large"))
        assert found[0].rss == 100
        assert found.notes == (f"{Note.REMARK}: line 3: '<-- large'",)


class TestPmap:
    @pytest.mark.parametrize(
        ("remark", "kept"),
        [
            ("  <- the program", "a.out"),
            ("   <= x", "a.out"),
            ("  --> x", "a.out"),
            ("  -- x", "a.out"),
            ("  # x", "a.out"),
            ("    ⇐ x", "a.out"),
            (" # x", "a.out # x"),
            (" -- x", "a.out -- x"),
        ],
    )
    @pytest.mark.parametrize("listing", ["pmap", "pmap -x", "pmap -d", "pmap -XX"])
    def test_remarks(self, listing: str, remark: str, kept: str) -> None:
        row = ROWS[listing]
        found = load(LISTINGS[listing].replace(row, row + remark))
        assert found[0].pathname == kept
        noted = [f"{Note.REMARK}: line {'2' if listing == 'pmap' else '3'}: {remark.strip()!r}"]
        assert list(found.notes) == (noted if kept == "a.out" else [])

    @pytest.mark.parametrize(
        "total",
        [
            *("kB gesamt {}", "ko total {}", "total ko {}", "kB total {}", "razem kB {}"),
            *("totalt kB {}", "总计 kB {}", "总计  kB {}", "tổng kB {}", "кБ загалом {}"),
            *("yht. kt {}", "mot inconnu {}"),
        ],
    )
    def test_totals_in_other_languages(self, total: str) -> None:
        rows = "".join(PMAP_X.splitlines(keepends=True)[:6])
        assert load(rows + total.format("452 20 16")).notes == ()
        with pytest.raises(ParseError, match="rss adds up to 21, got 20"):
            load(rows + total.format("452 21 16"))

    def test_the_totals_of_other_layouts_in_other_languages(self) -> None:
        short = PMAP.replace(" total ", " gesamt ")
        device = PMAP_D.replace("mapped:", "zugeordnet:").replace("shared:", "gemeinsam:")
        for text in (short, device):
            assert load(text).notes == ()
            with pytest.raises(ParseError, match="adds up to 453, got 452"):
                load(text.replace("452K", "453K"))

    def test_words_in_other_languages(self) -> None:
        text = PMAP_X.replace("[ anon ]", "[ vô danh ]").replace("memfd:x (deleted)", "  [ stivă ]")
        found = load(text)
        assert [m.pathname for m in found][1:] == ["[ vô danh ]", "[ stivă ]"]
        table = smapskit.format_pmap(found)
        assert "rw---   [ vô danh ]\n" in table

    def test_a_line_in_place_of_the_heading(self) -> None:
        heading = PMAP_X.splitlines()[1]
        unknown = "Adresa            Kilobajtů   RSS   Špinavé  Režim  Mapování"
        with pytest.raises(ParseError, match="line 2: expected") as caught:
            load(PMAP_X.replace(heading, unknown))
        assert caught.value.line == unknown

    def test_rows_with_fewer_values_than_the_heading(self) -> None:
        for lost in (" 352   4 ", " 352 "):
            text = PMAP_XX.replace(" 352   4 ", lost).replace("  36  16 ", "  36 ")
            if lost == " 352   4 ":
                text = text.replace("  352   4 ", "  352 ")
            with pytest.raises(ParseError, match=r"expected a row of -X .*, then 2 values and"):
                load(text)

    def test_an_indented_line_of_the_process(self) -> None:
        text = "".join(f"    {line}\n" for line in PMAP_XX.splitlines())
        found = load(text)
        assert (found.pid, found.command) == (42, "./a.out x")
        assert found.notes == (Note.QUOTED,)

    def test_numbers_of_grep_before_the_rows_of_details(self) -> None:
        text = "".join(f"{n}:{line}\n" for n, line in enumerate(PMAP_XX.splitlines(), 1))
        (found,) = load_all(text)
        assert found.mappings == load(PMAP_XX).mappings


class TestWrapped:
    NAMELESS = "7f00a000-7f00b000 r--p 00000000 fe:00 7                              \n"

    def test_a_name_on_a_line_of_its_own(self) -> None:
        found = load(f"{self.NAMELESS}/usr/lib/libc.so.6\n{MAPS}"[: -len(MAPS)])
        assert found[0].pathname == "/usr/lib/libc.so.6"
        assert found.notes == (Note.WRAPPED,)

    def test_lines_of_a_narrow_terminal(self) -> None:
        width = 50
        lines = []
        for line in PMAP_XX.splitlines():
            lines += [line[at : at + width] for at in range(0, len(line), width)]
        found = load("".join(f"{line}\n" for line in lines))
        assert found.mappings == load(PMAP_XX).mappings
        assert found.notes == (Note.WRAPPED,)

    def test_text_between_rows_of_one_width_is_not_joined(self) -> None:
        row = "000055f3e7579000     36K rw---   [ anon ]"
        text = f"> {row}\n> one remark\n> {row.replace('79000', '99000')}\n> another\n"
        found = load(text)
        assert [m.pathname for m in found] == ["[ anon ]"] * 2
        assert Note.WRAPPED not in found.notes

    def test_the_rest_of_a_name_that_is_not_certain_is_rejected(self) -> None:
        name = "/usr/lib/x86_64-linux-gnu/libc.so.6"
        text = f"{self.NAMELESS.rstrip()}              {name[:-3]}\n{name[-3:]}\n"
        with pytest.raises(ParseError, match="line 2"):
            load(text)


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        "> " * 50_000 + "\n",
        " " * 200_000 + "\n",
        "0" * 200_000 + "\n",
        "00400000 " * 20_000 + "\n",
        "1 " * 100_000 + "\n",
        "&lt;" * 50_000 + "\n",
        "\x1b[" * 50_000 + "\n",
        "." * 200_000 + "\n",
        "[" * 200_000 + "\n",
        "a:" * 100_000 + "\n",
        "\u2013" * 100_000 + "\n",
        "a  " * 60_000 + "\n",
        "x\n" * 50_000,
        "\r" * 200_000,
        "00400000-00401000 r--p 00000000 fe:00 1 " + "  a" * 60_000 + "\n",
        "00400000 4K r---- " + "  a" * 60_000 + "\n",
        "42:\n" * 5_000,
    ],
    ids=lambda text: f"{text[:8]!r}",
)
def test_hostile_texts_take_time_in_proportion_to_their_length(text: str) -> None:
    def seconds(text: str) -> float:
        began = time.process_time()
        for whole in (text, text + MAPS, PMAP_X + text, "x" + text):
            with contextlib.suppress(ParseError):
                load_all(whole)
        return time.process_time() - began

    # Four times the text would take sixteen times as long if it were compared with itself.
    assert seconds(text) < 10 * seconds(text[: len(text) // 4]) + 1
