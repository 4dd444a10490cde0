"""How records show in a notebook: HTML tables, folded where they would fill the screen."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from smapskit.aggregate import Difference
from smapskit.records import COUNTERS, Mapping, Totals
from smapskit.snapshot import Snapshot, shortened
from smapskit.texts import printable

_ROWS = 30  # as many as a screen has; the middle of a longer table is folded
_UNKNOWN = "-"
_FIGURES = {"size": "Size", "rss": "Rss", "pss": "Pss", "dirty": "Dirty", "swap": "Swap"}
_NUMBER = 'style="text-align: right"'
_WORD = 'style="text-align: left"'


def snapshot_html(snapshot: Snapshot) -> str:
    """A table of the mappings with their sums, and a line that says whose they are."""
    who = " ".join(
        part
        for part in (
            f"process {_safe(str(snapshot.pid))}" if snapshot.pid is not None else "",
            f"<code>{_safe(shortened(snapshot.command, 100))}</code>" if snapshot.command else "",
            f"{len(snapshot)} mappings",
            f"at {snapshot.time:%Y-%m-%d %H:%M:%S} UTC" if snapshot.time else "",
        )
        if part
    )
    headings = ["Address", "Perms", "Backing", *(f"{name} (kB)" for name in _FIGURES.values())]
    rows = [
        [
            (f"<code>{m.start:x}</code>", _NUMBER),
            (f"<code>{_safe(str(m.perms))}</code>", _WORD),
            (_safe(m.backing or _UNKNOWN), _WORD),
            *((_figure(getattr(m, name)), _NUMBER) for name in _FIGURES),
            (_safe(m.pathname), _WORD),
        ]
        for m in _ends(snapshot)
    ]
    total = snapshot.totals()
    foot = [("total", _WORD), ("", _WORD), ("", _WORD)]
    foot += [(_figure(getattr(total, name)), _NUMBER) for name in _FIGURES]
    notes = "".join(f"<div><em>{_safe(note)}</em></div>" for note in snapshot.notes)
    folded = len(snapshot) - len(rows)
    return f"<div>{who}</div>{_table([*headings, 'Mapping'], rows, foot, folded)}{notes}"


def totals_html(totals: Totals) -> str:
    """A table of the sums that are known."""
    rows = [[("mappings", _WORD), (_figure(totals.count), _NUMBER)]]
    for name in ("size", *COUNTERS, "dirty", "uss"):
        figure = getattr(totals, name)
        if figure is not None:
            rows.append([(name, _WORD), (_figure(figure), _NUMBER)])
    return _table(["", "kB"], rows)


def difference_html(difference: Difference) -> str:
    """A table of the changes, the largest first."""
    names = {name: f"{heading} (kB)" for name, heading in _FIGURES.items()}
    rows = []
    for change in difference.changes[:_ROWS]:
        deltas = change.deltas
        rows.append(
            [
                (change.kind.value, _WORD),
                (f"<code>{change.mapping.start:x}</code>", _NUMBER),
                *((f"{deltas.get(name, 0):+,}", _NUMBER) for name in names),
                (_safe(change.mapping.pathname), _WORD),
            ]
        )
    sums = difference.deltas
    foot = [("total", _WORD), ("", _WORD)]
    foot += [(f"{sums.get(name, 0):+,}", _NUMBER) for name in names]
    counts = [f"{count} {kind}" for kind, count in difference.counts().items()]
    line = ", ".join([*counts, f"{difference.unchanged} unchanged"])
    table = _table(["Change", "Address", *names.values(), "Mapping"], rows, foot)
    left = len(difference.changes) - len(rows)
    return f"<div>{line}</div>{table}" + (f"<div>and {left} smaller ones</div>" if left else "")


Cell = tuple[str, str]


def _table(
    headings: Iterable[str], rows: list[list[Cell]], foot: list[Cell] | None = None, folded: int = 0
) -> str:
    head = "".join(f"<th {_WORD}>{heading}</th>" for heading in headings)
    lines = [
        "<tr>" + "".join(f"<td {how}>{cell}</td>" for cell, how in row) + "</tr>" for row in rows
    ]
    if folded:
        lines.insert(_ROWS // 2, f'<tr><td colspan="9">… {folded} more …</td></tr>')
    last = ""
    if foot is not None:
        cells = "".join(f"<th {how}>{cell}</th>" for cell, how in foot)
        last = f"<tfoot><tr>{cells}<th></th></tr></tfoot>"
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody>{last}</table>"


def _ends(snapshot: Snapshot) -> Iterable[Mapping]:
    if len(snapshot) <= _ROWS:
        return snapshot
    return [*snapshot[: _ROWS // 2], *snapshot[-_ROWS // 2 :]]


def _figure(figure: int | None) -> str:
    return _UNKNOWN if figure is None else f"{figure:,}"


def _safe(text: str) -> str:
    return escape(printable(text))
