"""Tables that pmap does not have: units, rows, widths and colour."""

from __future__ import annotations

import itertools
import re
import unicodedata

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import smapskit
from smapskit import Mapping, Snapshot, Totals, cli
from smapskit.analysis.explain import examine
from smapskit.views.cells import TableStyle, cut_middle, display_width, with_unit, wrap
from smapskit.views.findings import Report, format_report
from smapskit.views.tables import (
    format_difference,
    format_groups,
    format_processes,
    format_system_groups,
)

LONG = "/home/利用者/とても長い名前のプログラム/共有ライブラリ-バージョン一.so.1.2.3"
NAMES = [LONG, "/usr/lib/" + "x" * 90 + ".so", "[heap]", "", "/café/e\u0301\u0301.so"]
SNAPSHOT = Snapshot(
    tuple(
        Mapping(
            start=n << 30,
            end=(n << 30) + (4 << 20),
            perms="rw-p",
            pathname=name,
            rss=1_000_000 >> n,
            swap=0,
        )
        for n, name in enumerate(NAMES)
    )
)
TABLES = {
    "groups": lambda style: format_groups(
        SNAPSHOT.group_by("pathname"), SNAPSHOT.totals(), "pathname", style
    ),
    "processes": lambda style: format_processes(
        [(n, SNAPSHOT.totals(), name) for n, name in enumerate(NAMES)], style=style
    ),
    "system groups": lambda style: format_system_groups(
        {name: (3, totals) for name, totals in SNAPSHOT.group_by("pathname").items()},
        "pathname",
        style=style,
    ),
    "difference": lambda style: format_difference(smapskit.diff([], SNAPSHOT), style),
}
ESCAPES = re.compile(r"\x1b\[[0-9]*m")


@pytest.mark.parametrize("name", TABLES)
class TestTables:
    @pytest.mark.parametrize("width", [80, 120])
    def test_fit_a_terminal(self, name: str, width: int) -> None:
        lines = TABLES[name](TableStyle(width=width)).splitlines()
        assert max(map(columns, lines)) <= width
        assert any("..." in line for line in lines)

    def test_are_complete_without_a_width(self, name: str) -> None:
        table = TABLES[name](TableStyle())
        assert "..." not in table
        assert all(each in table for each in NAMES)
        assert "\x1b" not in table

    def test_colour_changes_nothing_else(self, name: str) -> None:
        plain = TABLES[name](TableStyle(width=80))
        painted = TABLES[name](TableStyle(width=80, colour=True))
        assert ESCAPES.sub("", painted) == plain
        assert painted != plain
        assert all(line.count("\x1b") % 2 == 0 for line in painted.splitlines())

    def test_the_largest_rows_and_the_sum_of_the_others(self, name: str) -> None:
        everything = TABLES[name](TableStyle()).splitlines()
        top = TABLES[name](TableStyle(top=2)).splitlines()
        assert len(everything) - len(top) == len(NAMES) - 3
        assert [line.split() for line in top[1:3]] == [line.split() for line in everything[1:3]]
        assert top[3].endswith(f"({len(NAMES) - 2} others)")

    def test_a_single_other_row_is_printed(self, name: str) -> None:
        assert TABLES[name](TableStyle(top=len(NAMES) - 1)) == TABLES[name](TableStyle())

    def test_units(self, name: str) -> None:
        table = TABLES[name](TableStyle(human=True))
        assert "kB" not in table
        assert re.search(r"\d[KMG] ", table)


def columns(line: str) -> int:
    """Return the columns of a line, counted independently of the code under test."""
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in line)
    return len(line) + wide - sum(unicodedata.combining(character) > 0 for character in line)


def test_the_sum_of_the_others_and_the_rows_is_the_total() -> None:
    lines = TABLES["groups"](TableStyle(top=2)).splitlines()
    rss = [int(line.split()[2].replace(",", "")) for line in (*lines[1:4], lines[-1])]
    assert sum(rss[:-1]) == rss[-1] == SNAPSHOT.totals().rss


def test_an_unknown_sum_is_not_zero() -> None:
    groups = {name: Totals(count=1, size=4) for name in "abc"}
    lines = format_groups(groups, Totals(count=3, size=12), "x", TableStyle(top=1)).splitlines()
    assert lines[2].split()[:4] == ["2", "8", "-", "-"]


def test_the_total_of_unknown_values_is_unknown() -> None:
    table = format_processes([(1, Totals(count=1, size=4, pss=5), "a")])
    assert table.splitlines()[-1].split()[:4] == ["5", "-", "-", "-"]


def test_changes_have_signs_and_separators() -> None:
    grown = smapskit.diff([], SNAPSHOT)
    shrunk = smapskit.diff(SNAPSHOT, [])
    assert "+1,000,000" in format_difference(grown)
    assert "-1,000,000" in format_difference(shrunk)
    assert "-977M" in format_difference(shrunk, TableStyle(human=True))
    red = format_difference(grown, TableStyle(colour=True))
    assert "\x1b[31m+1,000,000\x1b[0m" in red


@pytest.mark.parametrize(
    ("kb", "text"),
    [
        (0, "0"),
        (1, "1K"),
        (999, "999K"),
        (1000, "1.0M"),
        (1024, "1.0M"),
        (9 * 1024 + 1000, "10M"),
        (10 * 1024, "10M"),
        (1023 * 1024, "1.0G"),
        (1536 * 1024, "1.5G"),
        (1 << 30, "1.0T"),
        (1 << 53, "8.0E"),
        (1 << 63, "8192E"),
    ],
)
def test_sizes_with_a_unit(kb: int, text: str) -> None:
    assert with_unit(kb) == text


def test_sizes_with_a_unit_are_short_and_increase() -> None:
    sizes = sorted({base + extra for n in range(49) for base in [1 << n] for extra in (-1, 0, 1)})
    texts = [with_unit(kb) for kb in sizes]
    assert max(map(len, texts)) <= 5
    factors = {unit: 1024**power for power, unit in enumerate("KMGTPE")}
    values = [float(text[:-1]) * factors[text[-1]] for text in texts if text != "0"]
    assert all(low <= high for low, high in itertools.pairwise(values))


@given(
    st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters=".")),
    st.integers(3, 40),
)
def test_a_cut_name_fits_and_keeps_both_ends(text: str, width: int) -> None:
    cut = cut_middle(text, width)
    assert display_width(cut) <= width
    if cut != text:
        head, dots, tail = cut.partition("...")
        assert dots
        assert text.startswith(head)
        assert text.endswith(tail)


def test_wide_and_combining_characters() -> None:
    assert display_width("利用") == 4
    assert display_width("e\u0301") == 1
    assert display_width("\uff76") == 1  # half width
    assert display_width("\uff21") == 2  # full width
    assert cut_middle("一二三四五六七八", 11) == "一二...七八"


class TestOptions:
    @pytest.mark.parametrize("words", [["-h"], ["-h", "1"], ["--help"], ["diff", "-h"]])
    def test_help(self, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
        try:
            status = cli.main(words)
        except SystemExit as end:
            status = int(end.code or 0)
        assert status == 0
        assert capsys.readouterr().out.startswith("usage: ")

    @pytest.mark.parametrize(
        "words",
        [["--human", "1"], ["--top", "3", "1"], ["--by", "kind", "--json", "--top", "3", "1"]],
    )
    def test_options_without_such_a_table(
        self, words: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(SystemExit) as end:
            cli.main(words)
        assert end.value.code == 1
        assert "requires --by, --all or diff" in capsys.readouterr().err

    @pytest.mark.parametrize("count", ["0", "-1", "many", "9" * 99, "²"])
    def test_a_wrong_number_of_rows(self, count: str, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit):
            cli.main(["--all", f"--top={count}"])
        assert "a number of rows above 0" in capsys.readouterr().err

    @pytest.mark.parametrize("command", [[], ["--all"], ["diff"], ["record"], ["plot"]])
    @pytest.mark.parametrize("width", ["80", "200"])
    def test_help_has_at_most_80_columns(
        self,
        command: list[str],
        width: str,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.setenv("COLUMNS", width)
        with pytest.raises(SystemExit):
            cli.main([*command, "--help"])
        assert max(map(len, capsys.readouterr().out.splitlines())) <= 80


@given(st.text(), st.integers(24, 60))
def test_wrapped_text_fits_and_keeps_all_words(text: str, width: int) -> None:
    lines = wrap(text, width, "1. ", "   ")
    assert all(display_width(line) <= width for line in lines)
    assert "".join("".join(line[3:] for line in lines).split()) == "".join(text.split())
    assert all(line.startswith("   " if at else "1. ") for at, line in enumerate(lines))


def test_wide_characters_are_wrapped_at_the_edge() -> None:
    assert wrap("ab 長い名前です cd", 8) == ["ab", "長い名前", "です cd"]
    assert wrap("a  b\nc", 80, "  ") == ["  a b c"]
    assert wrap("", 80, "  ") == []


DELETED = "/opt/利用者の長いフォルダ名/" + "とても長い名前" * 5 + "/bin/server (deleted)"


def findings_of_deleted_code() -> Report:
    code = Mapping(start=0x1000, end=0x400000, perms="r-xp", pathname=DELETED, inode=7, rss=1234)
    data = Mapping(start=0x500000, end=0x600000, perms="rw-p", pathname=DELETED, inode=8, rss=99)
    explanation = examine(Snapshot((code, data), command="利用者" * 30))
    return Report(subject="process", explanation=explanation, command="利用者" * 30, pid=7)


@pytest.mark.parametrize("width", [40, 80, 120])
def test_findings_fit_the_window(width: int) -> None:
    report = findings_of_deleted_code()
    lines = format_report(report, TableStyle(width=width)).splitlines()
    assert max(map(display_width, lines)) <= max(width, 64)
    for line in lines:
        if "RSS  " in line:
            assert line.endswith("(deleted)")
            assert "..." in line


def test_findings_in_a_pipe_have_whole_names() -> None:
    report = findings_of_deleted_code()
    assert DELETED in format_report(report)
    assert "\x1b" not in format_report(report)


def test_the_colours_of_findings_change_no_character() -> None:
    report = findings_of_deleted_code()
    coloured = format_report(report, TableStyle(width=80, colour=True))
    assert "\x1b[1m1. " in coloured
    assert re.sub(r"\x1b\[[0-9]*m", "", coloured) == format_report(report, TableStyle(width=80))


def test_some_findings() -> None:
    report = findings_of_deleted_code()
    explanation = attrs.evolve(report.explanation, findings=report.explanation.findings * 3)
    text = format_report(attrs.evolve(report, explanation=explanation), TableStyle(top=1))
    assert "1. " in text
    assert "\n2. " not in text
    assert "and 2 more (not printed with --top 1)" in text
