"""What error messages say: the wrong line, an example that is right, and what to do."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from support import kernel_texts

import smapskit
from smapskit import ParseError

HEADER = kernel_texts.HEADER.removesuffix("\n")
SMAPS = f"{HEADER}\nSize: 4 kB\nRss: 4 kB\nPss: 4 kB\n" * 2
EXTENDED = """\
Address           Kbytes     RSS   Dirty Mode  Mapping
000055f3e745d000     352       4       0 r---- a.out
"""
ROLLUP = re.sub("[^ ]+$", "[rollup]", HEADER)

Parse = Callable[..., object]


class TestTheQuotedLine:
    def test_other_languages_are_shown_as_they_are(self) -> None:
        with pytest.raises(ParseError, match="größer 堆") as caught:
            smapskit.parse_pmap(f"{EXTENDED}größer 堆\n", source="ärger.txt")
        assert str(caught.value).startswith("ärger.txt, line 3: ")

    def test_nothing_reaches_the_terminal(self) -> None:
        line = "ü \x1b[31m \u202e \x9b \udcff \u2028"
        for source in (None, f"ü{line}"):
            with pytest.raises(ParseError) as caught:
                smapskit.parse_pmap(f"{EXTENDED}{line}\n", source=source)
            message = str(caught.value)
            assert message.isprintable()
            assert r"ü \x1b[31m \u202e \x9b \udcff \u2028" in message


@pytest.mark.parametrize(
    "text",
    [
        EXTENDED,
        EXTENDED.split("\n")[1] + "\n",
        "000055f3e745d000    352K r---- a.out\n",
        (
            "Address  Kbytes Mode  Offset  Device  Mapping\n"
            "000055f3e745d000 352 r---- 0000000000002000 103:00002 a.out\n"
        ),
        "Address Kbytes RSS Anon Locked Mode Mapping\n000055f3e745d000 352 - - - r---- a.out\n",
        "Address Kbytes PSS Dirty Swap Mode Mapping\n000055f3e745d000 352 4 0 0 r--p /a.out\n",
        (
            "Adresse Kbytes RSS PSS Dirty Swap Modus Zuordnung\n"
            "000055f3e745d000 352 4 4 0 0 r---- a.out\n"
        ),
    ],
)
def test_the_example_of_a_row_is_one_of_the_layout_at_hand(text: str) -> None:
    with pytest.raises(ParseError, match="expected a row such as") as caught:
        smapskit.parse_pmap(f"{text}no row\n")
    example = caught.value.message.split("'")[1]
    snapshot = smapskit.parse_pmap(f"{text}{example}\n")
    assert len(snapshot) == 2
    assert snapshot[1].pathname == "a.out"


@pytest.mark.parametrize(
    "total",
    [
        "kokku kB             353       4       0",
        "kB összesen          353       4       0",
    ],
)
def test_a_wrong_total_in_an_unknown_language_is_not_called_a_row(total: str) -> None:
    called_so = r"\(LC_ALL=C pmap PID\), got a total in another language|adds up to 353"
    with pytest.raises(ParseError, match=called_so) as caught:
        smapskit.parse_pmap(f"{EXTENDED}{total}\n")
    assert (caught.value.line_number, caught.value.line) == (3, total)


@pytest.mark.parametrize(
    ("parse", "text", "line"),
    [
        (smapskit.parse_smaps, SMAPS.removesuffix("Pss: 4 kB\n"), 7),
        (smapskit.parse_smaps, SMAPS.removesuffix("ss: 4 kB\n"), 8),
        (smapskit.parse_smaps, SMAPS.removesuffix(" 4 kB\n"), 8),
        (smapskit.parse_smaps, f"{SMAPS}{HEADER[:20]}", 9),
        (smapskit.parse_smaps, f"{HEADER}\n{HEADER}\nRss: 4 kB\n", 2),
        (smapskit.parse_smaps, f"Rss: 4 kB\n{SMAPS}", 1),
        (smapskit.parse_smaps, SMAPS.replace("Rss: 4 kB", "Rss 4 kB"), 3),
        (smapskit.parse_smaps, f"{SMAPS}{HEADER}", 9),
        (smapskit.parse_smaps, SMAPS.replace("-", "", 1), 1),
        (smapskit.parse_maps, f"{HEADER}\nRss: 4 kB\n", 2),
        (smapskit.parse_pmap, f"{EXTENDED}total kB 352 5 0\n", 3),
        (smapskit.parse_pmap, f"{EXTENDED}total kB 352 5 0\n{EXTENDED}", 4),
        (smapskit.parse_pmap, EXTENDED.replace("352", "35x"), 2),
        (smapskit.parse_pmap, EXTENDED.replace("RSS", "Rest"), 1),
        (smapskit.parse_rollup, f"{ROLLUP}\nRss: 4 kB\nPss: 4 kB\n{ROLLUP}\nRss: 4 kB\n", 5),
    ],
)
def test_strict_is_mentioned_where_it_helps(parse: Parse, text: str, line: int) -> None:
    with pytest.raises(ParseError) as caught:
        parse(text)
    assert caught.value.line_number == line
    try:
        parse(text, strict=False)
    except ParseError:
        helps = False
    else:
        helps = True
    assert ("strict=False (--lenient)" in caught.value.message) == helps
