"""HTML tables of snapshots, totals and differences for notebooks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from smapskit.model.diff import Difference
from smapskit.model.kinds import MappingKind
from smapskit.model.mapping import COUNTERS, Mapping
from smapskit.model.snapshot import Snapshot
from smapskit.model.totals import Totals
from smapskit.text import sanitize, truncate
from smapskit.views.columns import HEADINGS, OF_CHANGES, OF_MAPPINGS, UNKNOWN, label

_MAX_ROWS = 30
"""The rows of a screen; the middle of a longer table is omitted."""
_NUMBER = 'style="text-align: right"'
_WORD = 'style="text-align: left"'


def snapshot_html(snapshot: Snapshot) -> str:
    """Return a table of the mappings with their totals, below the process and the time."""
    title = " ".join(
        part
        for part in (
            f"process {_escape(str(snapshot.pid))}" if snapshot.pid is not None else "",
            f"<code>{_escape(truncate(snapshot.command, 100))}</code>" if snapshot.command else "",
            f"{len(snapshot)} mappings",
            f"at {snapshot.time:%Y-%m-%d %H:%M:%S} UTC" if snapshot.time else "",
        )
        if part
    )
    headings = [
        "Address",
        "Perms",
        "Backing",
        "Kind",
        *(f"{HEADINGS[name]} (kB)" for name in OF_MAPPINGS),
    ]
    rows = [
        [
            (f"<code>{m.start:x}</code>", _NUMBER),
            (f"<code>{_escape(str(m.perms))}</code>", _WORD),
            (_escape(m.backing or UNKNOWN), _WORD),
            (kind, _WORD),
            *((_cell(getattr(m, name)), _NUMBER) for name in OF_MAPPINGS),
            (escape(label(m.pathname)), _WORD),
        ]
        for m, kind in _head_and_tail(
            [(m, v.kind) for m, v in zip(snapshot, snapshot.kinds(), strict=True)]
        )
    ]
    total = snapshot.totals()
    footer = [("total", _WORD), *[("", _WORD)] * 3]
    footer += [(_cell(getattr(total, name)), _NUMBER) for name in OF_MAPPINGS]
    notes = "".join(f"<div><em>{_escape(note)}</em></div>" for note in snapshot.notes)
    omitted = len(snapshot) - len(rows)
    return f"<div>{title}</div>{_table([*headings, 'Mapping'], rows, footer, omitted)}{notes}"


def totals_html(totals: Totals) -> str:
    """Return a table of the sums that are reported."""
    rows = [[("mappings", _WORD), (_cell(totals.count), _NUMBER)]]
    for name in ("size", *COUNTERS, "dirty", "uss"):
        value = getattr(totals, name)
        if value is not None:
            rows.append([(name, _WORD), (_cell(value), _NUMBER)])
    return _table(["", "kB"], rows)


def difference_html(difference: Difference) -> str:
    """Return a table of the changes, the largest first."""
    names = OF_CHANGES
    rows = []
    for change in difference.changes[:_MAX_ROWS]:
        deltas = change.deltas
        rows.append(
            [
                (change.kind.value, _WORD),
                (f"<code>{change.mapping.start:x}</code>", _NUMBER),
                *((f"{deltas.get(name, 0):+,}", _NUMBER) for name in names),
                (escape(label(change.mapping.pathname)), _WORD),
            ]
        )
    sums = difference.deltas
    footer = [("total", _WORD), ("", _WORD)]
    footer += [(f"{sums.get(name, 0):+,}", _NUMBER) for name in names]
    counts = [f"{count} {kind}" for kind, count in difference.counts.items()]
    line = ", ".join([*counts, f"{difference.unchanged} unchanged"])
    table = _table(
        ["Change", "Address", *(f"{HEADINGS[name]} (kB)" for name in names), "Mapping"],
        rows,
        footer,
    )
    left = len(difference.changes) - len(rows)
    return f"<div>{line}</div>{table}" + (f"<div>and {left} smaller ones</div>" if left else "")


Cell = tuple[str, str]


def _table(
    headings: Iterable[str],
    rows: list[list[Cell]],
    footer: list[Cell] | None = None,
    omitted: int = 0,
) -> str:
    head = "".join(f"<th {_WORD}>{heading}</th>" for heading in headings)
    lines = [
        "<tr>" + "".join(f"<td {how}>{cell}</td>" for cell, how in row) + "</tr>" for row in rows
    ]
    if omitted:
        lines.insert(_MAX_ROWS // 2, f'<tr><td colspan="10">… {omitted} more …</td></tr>')
    last = ""
    if footer is not None:
        cells = "".join(f"<th {how}>{cell}</th>" for cell, how in footer)
        last = f"<tfoot><tr>{cells}<th></th></tr></tfoot>"
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody>{last}</table>"


def _head_and_tail(
    mappings: Sequence[tuple[Mapping, MappingKind]],
) -> Sequence[tuple[Mapping, MappingKind]]:
    if len(mappings) <= _MAX_ROWS:
        return mappings
    return [*mappings[: _MAX_ROWS // 2], *mappings[-_MAX_ROWS // 2 :]]


def _cell(value: int | None) -> str:
    return UNKNOWN if value is None else f"{value:,}"


def _escape(text: str) -> str:
    return escape(sanitize(text))
