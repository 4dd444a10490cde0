"""Tables for a terminal that pmap does not have: groups of mappings, processes, differences."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Mapping as MappingOf
from typing import Any

from smapskit.model.diff import Difference
from smapskit.model.mapping import Usage
from smapskit.model.totals import Totals
from smapskit.text import sanitize
from smapskit.views import columns
from smapskit.views.columns import HEADINGS, UNKNOWN, label

_MIN_WIDTH = 7


def format_groups(groups: MappingOf[Any, Totals], total: Totals, by: str) -> str:
    """
    Return one row per group with its sums in kB, the largest RSS first, and the total.

    Args:
        groups: as `group_by` returns them.
        total: over all of them.
        by: what the mappings were grouped by, the heading of the last column.
    """

    def by_rss(entry: tuple[object, Totals]) -> tuple[int, int]:
        rss = entry[1].rss
        return (-1 if rss is None else rss, entry[1].size)

    rows = [["Count", *(HEADINGS[name] for name in columns.OF_GROUPS), by.capitalize()]]
    for key, sums in sorted(groups.items(), key=by_rss, reverse=True):
        rows.append([str(sums.count), *_cells(sums, columns.OF_GROUPS), label(key)])
    rows.append([str(total.count), *_cells(total, columns.OF_GROUPS), "total kB"])
    return _with_total(rows)


def format_processes(rows: Iterable[tuple[int, Usage, str]], sort: str = "pss") -> str:
    """
    Return one row per process with its sums in kB, the largest first, and the total.

    Args:
        rows: pid, sums and command line of each process.
        sort: the value to sort by: pss, uss, rss or swap.
    """
    entries = [(str(pid), usage, sanitize(command)) for pid, usage, command in rows]
    footer = f"total kB, {len(entries)} processes"
    return _system_table("PID", "Command", entries, footer, sort)


def format_system_groups(
    groups: MappingOf[Any, tuple[int, Totals]], by: str, sort: str = "pss"
) -> str:
    """
    Return one row per group over all processes, with its sums in kB, the largest first.

    Args:
        groups: the number of processes that have such mappings, and the sums over all of them.
        by: what the mappings were grouped by, the heading of the last column.
        sort: as in `format_processes`.
    """
    entries = [(str(count), totals, label(key)) for key, (count, totals) in groups.items()]
    return _system_table("Processes", by.capitalize(), entries, "total kB", sort)


def _system_table(
    first: str, last: str, entries: Sequence[tuple[str, Usage, str]], footer: str, sort: str
) -> str:
    def known_first(entry: tuple[str, Usage, str]) -> int:
        value: int | None = getattr(entry[1], sort)
        return -1 if value is None else value

    names = columns.OF_PROCESSES
    rows = [[first, *(HEADINGS[name] for name in names), last]]
    for head, usage, tail in sorted(entries, key=known_first, reverse=True):
        rows.append([head, *_cells(usage, names), tail])
    # Memory that processes share is in the RSS of each of them: their sum has no meaning.
    sums = [
        None if name == "rss" else sum(getattr(usage, name) or 0 for _, usage, _ in entries)
        for name in names
    ]
    rows.append(["", *map(_cell, sums), footer])
    return _with_total(rows)


def format_difference(difference: Difference) -> str:
    """Return one row per change with the changes of values in kB, the largest first."""
    names = columns.OF_CHANGES
    rows = [["Change", *(HEADINGS[name] for name in names), "Address", "Perm", "Mapping"]]
    for change in difference.changes:
        mapping = change.mapping
        old, new = (str(side[0].perms) if side else "" for side in (change.before, change.after))
        perms = new if not old or old == new else f"{old}>{new}" if new else old
        rows.append(
            [
                change.kind.value,
                *(_signed(change.deltas.get(name, 0)) for name in names),
                f"{mapping.start:016x}",
                perms,
                label(mapping.pathname),
            ]
        )
    deltas = difference.deltas
    rows.append(["total kB", *(_signed(deltas.get(name, 0)) for name in names), "", "", ""])
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]) - 1)]
    lines = [line.rstrip() for line in justify(rows, widths, left=(0, 6, 7))]
    counts = [f"{count} {kind}" for kind, count in difference.counts.items()]
    footer = ", ".join([*counts, f"{difference.unchanged} unchanged"])
    return "\n".join([*lines, footer, ""])


def _with_total(rows: list[list[str]]) -> str:
    """Return a table with a separator line above its last row."""
    widths = [max(_MIN_WIDTH, *(len(row[at]) for row in rows)) for at in range(len(rows[0]) - 1)]
    lines = list(justify(rows, widths))
    separator = " ".join("-" * width for width in widths)
    return "\n".join([*lines[:-1], separator, lines[-1], ""])


def _cells(usage: Usage, names: Sequence[str]) -> list[str]:
    return [_cell(getattr(usage, name)) for name in names]


def _cell(value: int | None) -> str:
    return UNKNOWN if value is None else str(value)


def _signed(delta: int) -> str:
    return f"{delta:+d}" if delta else "0"


def justify(
    rows: Iterable[list[str]], widths: list[int], left: tuple[int, ...] = ()
) -> Iterator[str]:
    """Return lines: cells right-justified, the last one and those in `left` left-justified."""
    for *cells, last in rows:
        padded = [
            cell.ljust(width) if at in left else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        yield " ".join([*padded, last])
