"""Parts of the HTML of a report. Text is escaped here, and nowhere else."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import Final

from smapskit.analysis.findings import Finding, format_kb, format_share
from smapskit.text import sanitize
from smapskit.views.columns import UNKNOWN, label
from smapskit.views.report.tables import Column, ColumnType, Table

Html = str
"""Text that is HTML already. Everything else is escaped."""

MAX_ROWS: Final = 100
_MAX_FINDING_MAPPINGS: Final = 5


def escape(text: object) -> Html:
    """Return text as HTML, with `?` for characters that have no shape or change others."""
    return html.escape(sanitize(str(text)))


def size(kb: int | None) -> Html:
    """Return a size for a person, with the exact number of kB as a tooltip."""
    if kb is None:
        return UNKNOWN
    return f'<span title="{kb:,} kB">{format_kb(kb)}</span>'


def change(kb: int | None) -> Html:
    """Return a change of a size, with its sign and the exact number of kB as a tooltip."""
    if kb is None:
        return UNKNOWN
    return f'<span title="{kb:+,} kB">{format_change(kb)}</span>'


def format_change(kb: int) -> str:
    """Return a change of a size with its sign, as text."""
    sign = "+" if kb > 0 else "\u2212" if kb < 0 else ""
    return f"{sign}{format_kb(abs(kb))}"


def bar(share: float, class_: str) -> Html:
    """Return a bar that fills a share of its cell."""
    # A style attribute would need 'unsafe-inline'; the attributes of SVG do not.
    percent = min(max(share, 0.0), 1.0) * 100
    return (
        '<svg class="bar" aria-hidden="true"><rect class="track" width="100%" height="100%"/>'
        f'<rect class="{class_}" width="{percent:.2f}%" height="100%"/></svg>'
    )


def section(id_: str, title: str, *parts: Html) -> Html:
    """Return a section with a heading."""
    body = "\n".join(part for part in parts if part)
    return f'<section id="{id_}"><h2>{escape(title)}</h2>\n{body}\n</section>'


def script_section(id_: str, title: str, note: str) -> Html:
    """Return a section that the script fills; it is not shown without JavaScript."""
    return (
        f'<section id="{id_}" class="by-script" hidden><h2>{escape(title)}</h2>\n'
        f'<p class="hint">{escape(note)}</p>\n<div class="view"></div>\n</section>'
    )


def facts(entries: Iterable[tuple[str, str | None, str]]) -> Html:
    """
    Return what is known of the origin.

    Args:
        entries: the name of a fact, the fact or None, and why it may not be known.
    """
    rows = (
        f"<div><dt>{escape(name)}</dt><dd"
        + (f">{escape(value)}" if value is not None else f' class="unknown">not known{why}')
        + "</dd></div>"
        for name, value, reason in entries
        for why in [f": {escape(reason)}" if reason else ""]
    )
    return f'<dl class="facts">{"".join(rows)}</dl>'


def tiles(entries: Iterable[tuple[str, Html, str]]) -> Html:
    """Return figures in large type: name, value, and a remark."""
    parts = (
        f"<div><dt>{escape(name)}</dt><dd>{value}</dd><dd>{escape(remark)}</dd></div>"
        for name, value, remark in entries
    )
    return f'<dl class="tiles">{"".join(parts)}</dl>'


def plain_table(
    headings: Sequence[tuple[str, bool]],
    rows: Iterable[Sequence[Html]],
    footer: Sequence[Html] = (),
    *,
    class_: str = "",
) -> Html:
    """
    Return a table.

    Args:
        headings: text, and whether the column has numbers.
        rows: cells that are HTML.
        footer: the cells of the last row; none for no such row.
        class_: of the table.
    """
    number = [' class="number"' if is_number else "" for _, is_number in headings]
    head = "".join(
        f'<th scope="col"{n}>{escape(text)}</th>'
        for (text, _), n in zip(headings, number, strict=True)
    )

    def line(cells: Sequence[Html], tag: str) -> Html:
        inside = (f"<{tag}{n}>{cell}</{tag}>" for cell, n in zip(cells, number, strict=True))
        return f"<tr>{''.join(inside)}</tr>\n"

    body = "".join(line(row, "td") for row in rows)
    foot = f"<tfoot>{line(footer, 'th')}</tfoot>" if footer else ""
    table = f"<table><thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>{foot}</table>"
    return f'<div class="scroll {class_}" tabindex="0">{table}</div>'


def largest_rows(table: Table) -> Html:
    """Return the first rows of a table, with a note of how many are left out."""
    shown = [column for column in table.columns if column.is_shown]
    headings = [(column.heading, column.type is not ColumnType.TEXT) for column in shown]
    rows = table.largest_first[:MAX_ROWS]
    left_out = table.count - len(rows)
    note = f"All {table.count:,} {table.noun}." if table.count else f"No {table.noun}."
    if left_out:
        order = "first" if table.id == "samples" else "largest"
        note = (
            f"The {len(rows)} {order} of {table.count:,} {table.noun}; {left_out:,} are left out "
            "here. A browser with JavaScript shows all of them."
        )
    cells = ([_cell(column, row) for column in shown] for row in rows)
    body = plain_table(headings, cells) if rows else ""
    return f'<div class="largest"><p class="hint">{escape(note)}</p>{body}</div>'


def _cell(column: Column, row: int) -> Html:
    value = column.values[row]
    match column.type:
        case ColumnType.RANGE:
            return f"<code>{value[0]:x}</code>"
        case ColumnType.KB:
            return size(value)
        case ColumnType.CHANGE:
            return change(value)
        case ColumnType.NUMBER:
            return f"{value:,.3f}" if isinstance(value, float) else f"{value:,}"
    return f'<span class="name">{escape(value)}</span>'


def finding_article(number: int, finding: Finding, entries: Iterable[tuple[str, str]]) -> Html:
    """Return a finding that can be opened and closed."""
    lines = "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in entries)
    proof = finding.mappings[:_MAX_FINDING_MAPPINGS]
    items = "".join(
        f'<li><a href="#mappings" data-find="{m.start:x}"><code>{m.start:x}</code></a> '
        f"<code>{escape(m.perms)}</code> {size(getattr(m, finding.counter))} "
        f"{escape(finding.counter.replace('_', ' '))} "
        f'<span class="name">{escape(label(m.pathname))}</span></li>'
        for m in proof
    )
    rest = len(finding.mappings) - len(proof)
    if rest:
        items += f"<li>and {rest:,} more</li>"
    if items:
        lines += f"<dt>Mappings</dt><dd><ul>{items}</ul></dd>"
    severity = escape(finding.severity)
    return (
        f'<details class="finding {severity}" open><summary>'
        f'<span class="badge">{severity}</span> <strong>{number}. {escape(finding.title)}</strong>'
        f"</summary><dl>{lines}</dl></details>"
    )


def share(part: int | None, whole: int | None) -> str:
    """Return a share in percent; "" where it is not known."""
    return format_share(part / whole) if part is not None and whole else ""
