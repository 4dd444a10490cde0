"""Tables for a terminal that pmap does not have: groups of mappings, differences."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Mapping as MappingOf

from smapskit.model.diff import Difference
from smapskit.model.mapping import Totals, Usage
from smapskit.text import printable

UNKNOWN = "-"
_GROUP_COLUMNS = {
    "Kbytes": "size",
    "RSS": "rss",
    "PSS": "pss",
    "USS": "uss",
    "Dirty": "dirty",
    "Swap": "swap",
}
_DELTA_COLUMNS = {"Kbytes": "size", "RSS": "rss", "PSS": "pss", "Dirty": "dirty", "Swap": "swap"}


def format_groups(groups: MappingOf[object, Totals], total: Totals, by: str) -> str:
    """
    A row a group with its sums in kB, the largest RSS first, and the sum of all.

    Args:
        groups: as `group_by` gives them.
        total: over all of them.
        by: what they were grouped by: the last column's heading.
    """

    def largest_first(entry: tuple[object, Totals]) -> tuple[int, int]:
        rss = entry[1].rss
        return (-1 if rss is None else rss, entry[1].size)

    rows = [["Count", *_GROUP_COLUMNS, by.capitalize()]]
    entries = sorted(groups.items(), key=largest_first, reverse=True)
    for key, sums in [*entries, ("total kB", total)]:
        figures = [getattr(sums, attribute) for attribute in _GROUP_COLUMNS.values()]
        rows.append([str(sums.count), *map(_cell, figures), _group_name(key)])
    return _with_total(rows)


_SURVEY_COLUMNS = {"PSS": "pss", "USS": "uss", "RSS": "rss", "Swap": "swap"}


def format_processes(rows: Iterable[tuple[int, Usage, str]], sort: str = "pss") -> str:
    """
    A row a process with its sums in kB, the largest first, and the sum of what may be added up.

    Args:
        rows: pid, sums and command line of each.
        sort: the figure that the order follows: pss, uss, rss or swap.
    """
    entries = [(str(pid), usage, printable(command)) for pid, usage, command in rows]
    return _survey_table("PID", "Command", entries, f"total kB, {len(entries)} processes", sort)


def format_shared_groups(
    groups: MappingOf[object, tuple[int, Totals]], by: str, sort: str = "pss"
) -> str:
    """
    A row a group over all processes, with its sums in kB, the largest first.

    Args:
        groups: in how many processes there is one, and the sums over all of them.
        by: what they were grouped by: the last column's heading.
        sort: as in `format_processes`.
    """
    entries = [(str(n), totals, _group_name(key)) for key, (n, totals) in groups.items()]
    return _survey_table("Processes", by.capitalize(), entries, "total kB", sort)


def _survey_table(
    first: str, last: str, entries: Sequence[tuple[str, Usage, str]], foot: str, sort: str
) -> str:
    def known_first(entry: tuple[str, Usage, str]) -> int:
        figure: int | None = getattr(entry[1], sort)
        return -1 if figure is None else figure

    columns = list(_SURVEY_COLUMNS.values())
    table = [[first, *_SURVEY_COLUMNS, last]]
    for head, usage, tail in sorted(entries, key=known_first, reverse=True):
        table.append([head, *(_cell(getattr(usage, name)) for name in columns), tail])
    # What processes share is in the RSS of each: their sum would say nothing.
    sums = [
        None if name == "rss" else sum(getattr(usage, name) or 0 for _, usage, _ in entries)
        for name in columns
    ]
    table.append(["", *map(_cell, sums), foot])
    return _with_total(table)


def _with_total(rows: list[list[str]]) -> str:
    """A table whose last row stands under a rule."""
    widths = [max(7, *(len(row[at]) for row in rows)) for at in range(len(rows[0]) - 1)]
    lines = list(_justified(rows, widths))
    rule = " ".join("-" * width for width in widths)
    return "\n".join([*lines[:-1], rule, lines[-1], ""])


def _cell(figure: int | None) -> str:
    return UNKNOWN if figure is None else str(figure)


def format_difference(difference: Difference) -> str:
    """A row a change with its change of each figure in kB, the largest first, and the sum."""
    rows = [["Change", *_DELTA_COLUMNS, "Address", "Perm", "Mapping"]]
    for change in difference.changes:
        mapping = change.mapping
        was, now = (str(side[0].perms) if side else "" for side in (change.before, change.after))
        perms = now if not was or was == now else f"{was}>{now}" if now else was
        rows.append(
            [
                change.kind.value,
                *(_signed(change.deltas.get(name, 0)) for name in _DELTA_COLUMNS.values()),
                f"{mapping.start:016x}",
                perms,
                printable(mapping.pathname) or "[ anon ]",
            ]
        )
    deltas = difference.deltas
    sums = [_signed(deltas.get(name, 0)) for name in _DELTA_COLUMNS.values()]
    rows.append(["total kB", *sums, "", "", ""])
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]) - 1)]
    lines = [line.rstrip() for line in _justified(rows, widths, left=(0, 6, 7))]
    counts = [f"{count} {kind}" for kind, count in difference.counts().items()]
    last = ", ".join([*counts, f"{difference.unchanged} unchanged"])
    return "\n".join([*lines, last, ""])


def _group_name(key: object) -> str:
    if key is None:
        return "[ not known ]"
    return printable(str(key)) or "[ anon ]"


def _signed(delta: int) -> str:
    return f"{delta:+d}" if delta else "0"


def _justified(
    rows: Iterable[list[str]], widths: list[int], left: tuple[int, ...] = ()
) -> Iterator[str]:
    """The cells to the right of their columns, the last one, and those named, to the left."""
    for *cells, last in rows:
        padded = [
            cell.ljust(width) if at in left else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        yield " ".join([*padded, last])
