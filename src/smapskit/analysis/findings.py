"""What `explain` returns: findings, the figures they are based on, and how sure they are."""

from __future__ import annotations

import enum
from typing import Final, Literal

import attrs

from smapskit.model.mapping import Mapping

FigureUnit = Literal["kB", "kB/s", "s", "share", "count", "text"]
"""kB is 1,024 bytes; a share is a number from 0 to 1."""

_KB_PER_UNIT: Final = (("TiB", 1 << 30), ("GiB", 1 << 20), ("MiB", 1 << 10))
_PERCENT: Final = 100


class Severity(enum.StrEnum):
    """Whether something should be done."""

    PROBLEM = "problem"
    """It costs memory, is close to a limit or is a security risk."""
    EXPLANATION = "explanation"
    """It is harmless, and explains a number that is often misread."""


class Confidence(enum.StrEnum):
    """How sure it is that the meaning of a finding applies. Its figures are always exact."""

    CERTAIN = "certain"
    """The kernel reports it."""
    LIKELY = "likely"
    """There are other explanations, but they are rare."""
    POSSIBLE = "possible"
    """The figures fit it and also other explanations: check the disproof first."""


@attrs.frozen
class Figure:
    """A value that a finding is based on; `str()` returns it for a person."""

    name: str
    value: float | str
    """An int, except for shares, rates and seconds (float) and text (str)."""
    unit: FigureUnit
    noun: str = attrs.field(default="", repr=False)
    """What is counted, in the singular; for text output."""

    def __str__(self) -> str:
        if isinstance(self.value, str):
            return self.value
        match self.unit:
            case "kB":
                return format_kb(self.value)
            case "kB/s":
                return f"{format_kb(self.value)}/s"
            case "s":
                return f"{self.value:,.1f} s"
            case "share":
                return format_share(self.value)
        text = f"{self.value:,}"
        return f"{text} {self.noun if self.value == 1 else _plural(self.noun)}".rstrip()


@attrs.frozen(kw_only=True)
class Finding:
    """
    Something unusual about the memory of a process, with proof and advice.

    The documentation has a section for each id.
    """

    id: str
    """Stable between releases, such as "malloc-arenas"."""
    title: str
    """What was found, in one sentence."""
    severity: Severity
    figures: tuple[Figure, ...]
    """The values that the finding is based on."""
    mappings: tuple[Mapping, ...] = attrs.field(default=(), repr=False)
    """The mappings that prove it, largest first; empty for a recording, which has sums only."""
    counter: str = "rss"
    """The attribute of these mappings that proves it, in kB, such as "rss", "swap" or "size"."""
    meaning: str = attrs.field(repr=False)
    """What it means for the process."""
    advice: str = attrs.field(repr=False)
    """What to do."""
    confidence: Confidence
    disproof: str = attrs.field(repr=False)
    """What would show that the finding does not apply; "Nothing: REASON" if nothing would."""
    size: int
    """The memory that the finding is about, in kB; findings are sorted by it."""


def format_kb(kb: float) -> str:
    """Return a number of kB for a person: `812 kB`, `12.3 MiB`, `1.50 GiB`."""
    for unit, size in _KB_PER_UNIT:
        if kb >= size:
            value = kb / size
            return f"{value:,.2f} {unit}" if value < 10 else f"{value:,.1f} {unit}"  # noqa: PLR2004
    return f"{kb:,.0f} kB"


def format_share(share: float) -> str:
    """Return a share in percent: `34 %`, and `0.4 %` below 1 %."""
    percent = share * _PERCENT
    return f"{percent:.1f} %" if 0 < percent < 1 else f"{percent:.0f} %"


def _plural(noun: str) -> str:
    if not noun:
        return ""
    return f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
