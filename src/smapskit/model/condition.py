"""The condition of `record --when`, such as `rss > 80% of limit` or `anon > 2GiB`."""

from __future__ import annotations

import math
import re
from typing import Final, Self

import attrs

from smapskit.text import parse_size

VALUES: Final = {
    "rss": "rss",
    "pss": "pss",
    "uss": "uss",
    "swap": "swap",
    "anon": "anonymous",
}
"""The values that can be compared, and their attributes of `Totals`."""
EXAMPLE: Final = "'rss > 80% of limit' or 'anon > 2GiB'"

_VALUE: Final = re.compile(r"\s*([^\s<>=!]*)\s*")
_OPERATOR: Final = re.compile(r"([<>=!]*)\s*")
_PERCENT: Final = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,6})?)\s*%\s*(.*)", re.DOTALL)
_OF_LIMIT: Final = re.compile(r"of\s+limit")


@attrs.frozen
class Condition:
    """A value of a process that is compared with a size, or with a part of a limit."""

    value: str
    """One of VALUES."""
    size: int | None = None
    """In kB; None if it is a part of the limit."""
    part: float | None = None
    """Of the limit, above 0 and at most 1."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """
        Parse `VALUE > SIZE` or `VALUE > N% of limit`.

        VALUE is rss, pss, uss, swap or anon. SIZE is as in `parse_size`, without a unit in bytes.

        Raises:
            ValueError: with what was expected, and where.
        """
        match = _VALUE.match(text)
        value = match[1] if match else ""
        if value not in VALUES:
            expected = f"expected one of {', '.join(VALUES)}, as in {EXAMPLE}"
            raise ValueError(f"{expected}, got {_start(value or text)}")
        operator = _OPERATOR.match(text, match.end() if match else 0)
        if operator is None or operator[1] != ">":
            found = operator[1] if operator and operator[1] else text[match.end() if match else 0 :]
            raise ValueError(f"expected > after {value}, got {_start(found)}")
        rest = text[operator.end() :].rstrip()
        percent = _PERCENT.fullmatch(rest)
        if percent is None:
            try:
                size = parse_size(rest)
            except ValueError:
                expected = f"expected a size such as 2GiB, or 80% of limit, after {value} >"
                raise ValueError(f"{expected}, got {_start(rest)}") from None
            return cls(value, size // 1024)
        part = float(percent[1]) / 100
        if not 0 < part <= 1:
            raise ValueError(f"expected a part above 0% and up to 100%, got {percent[1]}%")
        if _OF_LIMIT.fullmatch(percent[2]) is None:
            expected = f"expected 'of limit' after {percent[1]}%"
            raise ValueError(f"{expected}, got {_start(percent[2])}")
        return cls(value, part=part)

    @property
    def attribute(self) -> str:
        """The attribute of `Totals` that is compared."""
        return VALUES[self.value]

    def threshold(self, limit: float) -> float:
        """Return the size in kB above which the condition holds; `limit` is in kB."""
        return self.part * limit if self.part is not None else float(self.size or 0)

    def __str__(self) -> str:
        if self.part is not None:
            return f"{self.value} > {round(self.part * 100, 6):g}% of limit"
        return f"{self.value} > {self.size:,} kB"


def has_limit(limit: float | None) -> bool:
    """Return whether a limit is known and set."""
    return limit is not None and limit < math.inf


def _start(text: str) -> str:
    """Return the beginning of a text, quoted; `nothing` for an empty one."""
    return ascii(text if len(text) <= 20 else f"{text[:20]}...") if text else "nothing"  # noqa: PLR2004
