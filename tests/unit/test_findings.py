"""Inputs that the fuzzer found, one test each."""

from __future__ import annotations

import pytest

import smapskit
from smapskit.formats.pmap.write import format_pmaps

DETAIL = "Address Perm Offset Device Inode {} Mapping\n00400000 r--p 00000000 fe:00 1 8 4 4 x\n"


@pytest.mark.parametrize(
    ("names", "is_right"),
    [
        ("Size Rss Pss", True),
        ("Size Rss M\x1bU", False),  # printed again, it would reach the terminal
        ("Size Rss Rss", False),  # one of the two columns would have been lost
        ("Rss Size Pss", False),
    ],
)
def test_a_detailed_table_has_names_of_fields(names: str, is_right: bool) -> None:
    text = DETAIL.format(names)
    if is_right:
        (table,) = format_pmaps([smapskit.parse_pmap(text)], "XX")
        assert table.isascii()
    else:
        with pytest.raises(smapskit.ParseError, match="line 1: expected"):
            smapskit.parse_pmap(text)


@pytest.mark.parametrize(
    "text",
    [
        "Address Kbytes PSS Dirty Swap Mode Mapping\n00400000 - 8 0 0 r--p x\n",
        "Address Kbytes Mode Offset Device Mapping\n0000000000400000 - r---- 0 0:0 x\n",
        DETAIL.format("Size Rss Pss").replace(" 8 4 4 ", " - 4 4 "),
    ],
)
def test_a_row_without_its_size_has_no_range(text: str) -> None:
    with pytest.raises(smapskit.ParseError, match="line 2"):
        smapskit.parse_pmap(text)


def test_a_header_line_too_short_for_its_columns() -> None:
    with pytest.raises(smapskit.ParseError, match="line 1: expected"):
        smapskit.parse_pmap("Size Rss of what\n")
