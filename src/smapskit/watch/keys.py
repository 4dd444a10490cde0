"""The keys of the screen, declared once for the program, its help and the documentation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple


class Key(NamedTuple):
    """A key, or several that belong together."""

    shown: str
    """As a person writes them."""
    meaning: str
    actions: Mapping[str, str]
    """The action of each key, by its name in textual; names with one action are a list."""
    short: str = ""
    """For the last line of the screen; "" where it is not shown there."""


KEYS: Final = (
    Key("m", "count growth since now", {"m": "mark"}, "mark"),
    Key("M", "count growth since the start again, or since the last exec", {"M": "unmark"}),
    Key("b", "group by kind, mapping, backing, pathname, sharing, perms", {"b": "group"}, "by"),
    Key(
        "o, O",
        "sort by the next column, or the one before",
        {"o": "order(1)", "O": "order(-1)"},
        "order",
    ),
    Key("/", "show only rows that contain a text", {"slash": "filter"}, "filter"),
    Key("escape", "remove the filter, or close a list", {"escape": "unfilter"}),
    Key("p, space", "stop reading, or continue", {"p,space": "pause"}, "pause"),
    Key("e", "what is unusual, and what to do", {"e": "explain"}, "explain"),
    Key("s", "save the mappings as a capture in the current folder", {"s": "save"}, "save"),
    Key("z", "the chart shows all samples, or the last ones", {"z": "zoom"}),
    Key("up, down", "one row up or down", {"up": "scroll(-1)", "down": "scroll(1)"}),
    Key("page up, page down", "one page", {"pageup": "page(-1)", "pagedown": "page(1)"}),
    Key("left, right", "of a recording: one sample", {"left": "seek(-1)", "right": "seek(1)"}),
    Key(
        "[, ]",
        "of a recording: a tenth",
        {"left_square_bracket": "jump(-1)", "right_square_bracket": "jump(1)"},
    ),
    Key("home, end", "of a recording: its ends", {"home": "ends(0)", "end": "ends(1)"}),
    Key("+, -", "of a recording: faster, slower", {"plus": "speed(1)", "minus": "speed(-1)"}),
    Key("?, h", "list all keys", {"question_mark,h": "keys"}, "keys"),
    Key("q", "end the program; also ctrl+c", {"q": "quit"}, "quit"),
)
