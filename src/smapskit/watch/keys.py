"""The keys of the screen, declared once for the program, its help and the documentation."""

from __future__ import annotations

from typing import Final, NamedTuple


class Key(NamedTuple):
    """A key, or several with the same effect."""

    keys: str
    """Their names in textual, separated by commas."""
    shown: str
    """As a person writes them."""
    action: str
    short: str
    """For the last line of the screen; "" where it is not shown there."""
    meaning: str
    """For the list of keys."""


KEYS: Final = (
    Key("m", "m", "mark", "mark", "count growth since now"),
    Key("M", "M", "unmark", "", "count growth since the start again, or since the last exec"),
    Key("b", "b", "group", "by", "group by kind, mapping, backing, pathname, sharing, perms"),
    Key("o", "o", "order(1)", "order", "sort by the next column, or by name"),
    Key("O", "O", "order(-1)", "", "sort by the column before"),
    Key("slash", "/", "filter", "filter", "show only rows that contain a text"),
    Key("space,p", "space, p", "pause", "pause", "stop reading, or continue"),
    Key("e", "e", "explain", "explain", "what is unusual, and what to do"),
    Key("s", "s", "save", "save", "save the mappings as a capture in the current folder"),
    Key("z", "z", "zoom", "zoom", "the chart shows all samples, or the last ones"),
    Key("up", "up", "scroll(-1)", "", "one row up"),
    Key("down", "down", "scroll(1)", "", "one row down"),
    Key("pageup", "page up", "page(-1)", "", "one page up"),
    Key("pagedown", "page down", "page(1)", "", "one page down"),
    Key("left", "left", "seek(-1)", "", "of a recording: one sample back"),
    Key("right", "right", "seek(1)", "", "of a recording: one sample forward"),
    Key("left_square_bracket", "[", "jump(-1)", "", "of a recording: a tenth back"),
    Key("right_square_bracket", "]", "jump(1)", "", "of a recording: a tenth forward"),
    Key("home", "home", "ends(0)", "", "of a recording: to the first sample"),
    Key("end", "end", "ends(1)", "", "of a recording: to the last sample"),
    Key("plus", "+", "speed(1)", "", "of a recording: faster"),
    Key("minus", "-", "speed(-1)", "", "of a recording: slower"),
    Key("escape", "escape", "unfilter", "", "remove the filter, or close a list"),
    Key("question_mark,h", "?, h", "keys", "keys", "list all keys"),
    Key("q", "q", "quit", "quit", "end the program; also ctrl+c"),
)
