"""Tables for a terminal that pmap does not have: groups of mappings, processes, differences."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from collections.abc import Mapping as MappingOf
from typing import TYPE_CHECKING, Any, TypeVar

from smapskit.model.sums import ProcessSums, Sums, add_sums
from smapskit.text import sanitize
from smapskit.views import columns
from smapskit.views.cells import PLAIN, TableStyle, display_width, pad
from smapskit.views.columns import FAMILY_HEADINGS, HEADINGS, UNKNOWN, label

if TYPE_CHECKING:  # not loaded for the tables of live processes
    from smapskit.model.diff import Change, Difference
    from smapskit.model.family import Families, Family
    from smapskit.model.mapping import Usage
    from smapskit.model.totals import Totals

    _Sums = Usage | Sums | ProcessSums

_MIN_WIDTH = 7
T = TypeVar("T")


def format_groups(
    groups: MappingOf[Any, Totals | Sums], total: Totals | Sums, by: str, style: TableStyle = PLAIN
) -> str:
    """
    Return one row per group with its sums, the largest RSS first, and the total.

    Args:
        groups: as `group_by` returns them.
        total: over all of them.
        by: what the mappings were grouped by, the heading of the last column.
        style: how to print it.
    """

    def by_rss(entry: tuple[object, Totals | Sums]) -> tuple[int, int]:
        rss = entry[1].rss
        return (-1 if rss is None else rss, entry[1].size)

    names = columns.OF_GROUPS
    shown, rest = split_rows(sorted(groups.items(), key=by_rss, reverse=True), style)
    entries = [(label(key), sums) for key, sums in shown]
    if rest:
        entries.append((label_of_others(rest), add_sums([sums for _, sums in rest])))
    entries.append((style.total, total))
    rows = [[HEADINGS["count"], *(HEADINGS[name] for name in names), HEADINGS.get(by, by)]]
    rows += [[f"{sums.count:,}", *_sizes(sums, names, style), name] for name, sums in entries]
    return _with_total(rows, style)


def format_processes(
    rows: Iterable[tuple[int, Usage | ProcessSums, str]],
    sort: str = "pss",
    style: TableStyle = PLAIN,
) -> str:
    """
    Return one row per process with its sums, the largest first, and the total.

    Args:
        rows: pid, sums and command line of each process.
        sort: the value to sort by: pss, uss, rss or swap.
        style: how to print it.
    """
    entries = [(str(pid), usage, sanitize(command)) for pid, usage, command in rows]
    footer = f"{style.total}, {len(entries):,} process{'' if len(entries) == 1 else 'es'}"
    return _system_table("PID", "Command", entries, footer, sort, style)


def format_system_groups(
    groups: MappingOf[Any, tuple[int, Totals | Sums]],
    by: str,
    sort: str = "pss",
    style: TableStyle = PLAIN,
) -> str:
    """
    Return one row per group over all processes, with its sums, the largest first.

    Args:
        groups: the number of processes that have such mappings, and the sums over all of them.
        by: what the mappings were grouped by, the heading of the last column.
        sort: as in `format_processes`.
        style: how to print it.
    """
    entries = [(f"{count:,}", totals, label(key)) for key, (count, totals) in groups.items()]
    heading = HEADINGS.get(by, by)
    return _system_table("Processes", heading, entries, style.total, sort, style)


def _system_table(
    first: str,
    last: str,
    entries: Sequence[tuple[str, _Sums, str]],
    footer: str,
    sort: str,
    style: TableStyle,
) -> str:
    def known_first(entry: tuple[str, _Sums, str]) -> int:
        value: int | None = getattr(entry[1], sort)
        return -1 if value is None else value

    def sums(of: Sequence[tuple[str, _Sums, str]]) -> list[str]:
        cells = []
        for name in names:
            known = [value for _, usage, _ in of if (value := getattr(usage, name)) is not None]
            # Memory that processes share is in the RSS of each of them: their sum has no meaning.
            has_sum = name != "rss" and known
            cells.append(style.size(sum(known) if has_sum else None))
        return cells

    names = columns.OF_PROCESSES
    shown, rest = split_rows(sorted(entries, key=known_first, reverse=True), style)
    rows = [[first, *(HEADINGS[name] for name in names), last]]
    rows += [[head, *_sizes(usage, names, style), tail] for head, usage, tail in shown]
    if rest:
        rows.append(["", *sums(rest), label_of_others(rest)])
    rows.append(["", *sums(entries), footer])
    return _with_total(rows, style)


def format_families(families: Families, style: TableStyle = PLAIN) -> str:
    """
    Return one row per family, the largest PSS first, and what its USS is.

    Own is the USS of each worker: a process with a parent in the family, or all.
    """
    shown, rest = split_rows(families.families, style)
    rows = [[*FAMILY_HEADINGS, families.by.capitalize()]]
    for family in shown:
        own = family.own or (None, None, None)
        uss = style.size(family.uss_min)
        if family.uss is None and family.uss_min is not None:
            uss = f">={uss}"
        values = (family.shared, *own, family.next_worker, family.swap)
        name = UNKNOWN if family.name is None else label(family.name)
        sizes = [style.size(family.pss), uss, *map(style.size, values)]
        rows.append([f"{len(family.members):,}", *sizes, name])
    if rest:
        rows.append([*_family_sums(rest, style), label_of_others(rest)])
    rows.append([*_family_sums(families.families, style), style.total])
    uncounted = {each.uncounted for each in families.families if each.uncounted is not None}
    notes = [
        f"USS of families with >= is a lower bound, PSS the upper one: {sanitize(reason)}\n"
        for reason in sorted(uncounted)
    ]
    return "".join([_with_total(rows, style), *notes])


def _family_sums(families: Sequence[Family], style: TableStyle) -> list[str]:
    """Return the cells that have a sum over families; memory that they share has none."""
    count = sum(len(family.members) for family in families)
    known = [
        [value for family in families if (value := getattr(family, name)) is not None]
        for name in ("pss", "swap")
    ]
    pss, swap = (style.size(sum(values) if values else None) for values in known)
    return [f"{count:,}", pss, *[UNKNOWN] * (len(FAMILY_HEADINGS) - 3), swap]


def format_difference(difference: Difference, style: TableStyle = PLAIN) -> str:
    """Return one row per change with the changes of values, the largest first."""
    names = columns.OF_CHANGES
    headings = ["perms", "pathname"]
    rows = [["Change", *(HEADINGS[name] for name in names), "Address"]]
    rows[0] += [HEADINGS[name] for name in headings]
    shown, rest = split_rows(difference.changes, style)
    for change in shown:
        mapping = change.mapping
        rows.append(
            [
                change.kind.value,
                *(style.change(change.deltas.get(name, 0)) for name in names),
                f"{mapping.start:012x}",
                _perms(change),
                label(mapping.pathname),
            ]
        )
    if rest:
        from smapskit.model.diff import Difference  # noqa: PLC0415  only for this table

        sums = Difference(tuple(rest), 0).deltas
        changes = [style.change(sums.get(name, 0)) for name in names]
        rows.append(["", *changes, "", "", label_of_others(rest)])
    deltas = difference.deltas
    rows.append([style.total, *(style.change(deltas.get(name, 0)) for name in names), "", "", ""])
    lines = list(table_lines(rows, style, left=(0, 6, 7), signed=True))
    counts = [f"{count:,} {kind}" for kind, count in difference.counts.items()]
    footer = ", ".join([*counts, f"{difference.unchanged:,} unchanged"])
    return "\n".join([*lines, footer, ""])


def _perms(change: Change) -> str:
    old, new = (str(side[0].perms) if side else "" for side in (change.before, change.after))
    if not old or not new or old == new:
        return new or old
    return f"{old}>{new}"


def split_rows(rows: Sequence[T], style: TableStyle) -> tuple[Sequence[T], Sequence[T]]:
    """Return the rows to print, and those to print as one: never a single one."""
    if style.top is None or len(rows) <= style.top + 1:
        return rows, []
    return rows[: style.top], rows[style.top :]


def label_of_others(rest: Sequence[object]) -> str:
    """Return the label of the row with the sums of others."""
    return f"({len(rest):,} others)"


def _sizes(usage: _Sums, names: Sequence[str], style: TableStyle) -> list[str]:
    return [style.size(getattr(usage, name)) for name in names]


def _with_total(rows: list[list[str]], style: TableStyle) -> str:
    """Return a table with a separator line above its last row."""
    return "\n".join([*with_separator(rows, style, at_least=_MIN_WIDTH), ""])


def with_separator(rows: list[list[str]], style: TableStyle, *, at_least: int) -> Iterator[str]:
    """Yield the lines of `table_lines`, with a separator line above the last row."""
    *lines, last = table_lines(rows, style, at_least=at_least)
    yield from lines
    yield style.paint(" ".join("-" * width for width in _widths(rows, at_least)), "dim")
    yield last


def _widths(rows: list[list[str]], at_least: int = 0) -> list[int]:
    columns_of_cells = list(zip(*rows, strict=True))[:-1]
    return [max(at_least, *map(display_width, cells)) for cells in columns_of_cells]


def table_lines(
    rows: list[list[str]],
    style: TableStyle,
    *,
    at_least: int = 0,
    left: Collection[int] = (),
    signed: bool = False,
    has_total: bool = True,
) -> Iterator[str]:
    """
    Return lines: cells right-justified, the last one and those in `left` left-justified.

    Args:
        rows: the heading, then the others.
        style: how to print it.
        at_least: the least width of a column.
        left: numbers of columns.
        signed: cells are changes, which have a colour for more and one for less.
        has_total: the last row is the total.
    """
    widths = _widths(rows, at_least)
    used = sum(widths) + len(widths)
    bold = (0, len(rows) - 1) if has_total else (0,)
    for number, (*cells, last) in enumerate(rows):
        padded = [
            pad(cell, width, left=column in left)
            for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        padded.append(style.name(last, used))
        if number in bold:
            yield style.paint(" ".join(padded).rstrip(), "bold")
            continue
        if not style.colour:
            yield " ".join(padded).rstrip()
            continue
        painted = [
            style.paint(text, colour) if (colour := _colour(cell, signed=signed)) else text
            for cell, text in zip(cells, padded, strict=False)
        ]
        yield " ".join([*painted, padded[-1]]).rstrip()


def _colour(cell: str, *, signed: bool) -> str | None:
    """Return the colour of a cell: zeros are less visible, more memory is red and less green."""
    if cell in ("0", columns.UNKNOWN):
        return "dim"
    if signed and cell[:1] in ("+", "-"):
        return "red" if cell.startswith("+") else "green"
    return None
