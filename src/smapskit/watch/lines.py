"""One line per sample, for a file or a pipe."""

from __future__ import annotations

from typing import Final

from smapskit.text import sanitize
from smapskit.views.cells import TableStyle
from smapskit.views.columns import HEADINGS
from smapskit.watch import growth
from smapskit.watch.samples import VALUES, Values
from smapskit.watch.session import Session

_GROUPS: Final = 3
"""How many groups a line names: those that changed most."""
_STYLE: Final = TableStyle()
_UNKNOWN: Final[Values] = (None,) * len(VALUES)


def format_line(session: Session, by: str) -> str:
    """
    Return a line for the last sample, in kB.

    It has the time in UTC, each value with its change since the base, and the groups whose RSS
    changed most.
    """
    sample = session.latest
    if sample is None:
        return ""
    changes = growth.changes(session.base.values, sample.values) if session.base else _UNKNOWN
    values = ", ".join(
        f"{HEADINGS[name]} {_STYLE.size(value)}{_change(change)}"
        for name, value, change in zip(VALUES, sample.values, changes, strict=True)
    )
    line = f"{sample.time:%Y-%m-%dT%H:%M:%S}Z {values}"
    if session.listed is sample:
        rows = [row for row in session.rows(by, growth.ORDERS[0]) if row.changes[0]]
        rows.sort(key=lambda row: -abs(row.changes[0] or 0))
        if groups := [_group(row.place, row.name, row.changes[0]) for row in rows[:_GROUPS]]:
            line += f"; {', '.join(groups)}"
    return f"{line}; {sanitize(sample.event)}" if sample.event else line


def _group(place: str, name: str, change: int | None) -> str:
    return f"{place} {name} {_STYLE.change(change or 0)}".lstrip()


def _change(change: int | None) -> str:
    return "" if change is None else f" ({_STYLE.change(change)})"
