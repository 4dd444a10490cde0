"""
The page of a report: a Content-Security-Policy, style, HTML, data and script in one file.

The policy permits this style and this script by their hashes and nothing else, so that the page
loads nothing and a name can never run as a script. The data is JSON, in which every `<` and every
character outside ASCII is escaped.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
from collections.abc import Mapping as MappingOf
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import resources
from typing import Any, Final

import attrs

from smapskit.analysis.findings import format_kb
from smapskit.model.diff import Difference
from smapskit.model.kinds import MappingKind
from smapskit.model.mapping import Mapping
from smapskit.model.snapshot import Snapshot
from smapskit.model.totals import Totals, totals
from smapskit.text import truncate
from smapskit.version import __version__
from smapskit.views import colours, findings
from smapskit.views.columns import HEADINGS, OF_GROUPS, label
from smapskit.views.report import html
from smapskit.views.report.html import Html
from smapskit.views.report.tables import (
    MAX_EXACT,
    Column,
    Table,
    change_table,
    mapping_table,
    sample_table,
)
from smapskit.views.series_plots import Series, stack_layers

SCRIPTS: Final = ("data.js", "table.js", "treemap.js", "addresses.js", "chart.js", "main.js")
"""The files of the script, in order. They share one scope."""
_MAX_COMMAND: Final = 4000
_MAX_GROWN: Final = 20
_MAX_NAMED: Final = 3


@attrs.frozen(kw_only=True)
class About:
    """What a report is about, besides the mappings; None: not known."""

    report: findings.Report
    title: str | None = None
    kernel: str | None = None
    """The release of the kernel that reported the values."""
    is_live: bool = False
    """Whether a live process was read, and not a text."""
    mem_total: int | None = None
    """Memory of the machine, in kB."""
    notes: Sequence[str] = ()
    created: datetime = attrs.field(factory=lambda: datetime.now(UTC))


@attrs.frozen(kw_only=True)
class RecordedSeries:
    """What a report shows of a recording."""

    seconds: Sequence[float]
    """The time of each sample since the beginning."""
    values: Series
    """Values in kB by name, one for each sample."""
    is_stacked: bool
    """Whether the values are groups whose sum is the RSS; otherwise they are drawn as lines."""
    by: str | None
    markers: Sequence[tuple[float, str]]
    memory_limit: int | None
    samples: Sequence[tuple[float, str, Totals]]
    """Seconds, group and sums of each row."""
    totals: Sequence[Totals]
    """The sums over all groups in each sample."""
    interval: float | None


def snapshot_page(snapshot: Snapshot, about: About) -> str:
    """Return the report of the mappings of a process."""
    table = mapping_table(snapshot)
    kinds = _group_by_kind(snapshot)
    sums = snapshot.totals()
    parts = [
        _summary(about, _snapshot_text(snapshot, kinds, about), _tiles(sums)),
        _findings(about),
        _kinds(kinds, sums),
        *_mapping_views(table, ""),
    ]
    return _page("process", about, parts, [table])


def difference_page(difference: Difference, about: About) -> str:
    """Return the report of a difference, and of the mappings after it."""
    changes = change_table(difference)
    tables = [changes]
    parts = [
        _summary(about, _difference_text(difference, about), _change_tiles(difference)),
        _findings(about),
        _growth(changes),
        _kind_changes(difference),
        _table_section(changes),
    ]
    if difference.after:
        after = Snapshot(difference.after)
        table = mapping_table(after)
        tables.append(table)
        parts += _mapping_views(table, " after the change")
    return _page("difference", about, parts, tables)


def recording_page(recording: RecordedSeries, about: About) -> str:
    """Return the report of a recording."""
    table = sample_table(recording.samples)
    note = "Use the arrow keys or the pointer to read the values of a sample."
    by = f" by {recording.by}" if recording.is_stacked and recording.by else ""
    parts = [
        _summary(about, _recording_text(recording, about), _recording_tiles(recording)),
        _findings(about),
        html.script_section("chart", f"{'RSS' if by else 'Memory'} over time{by}", note),
        _series_table(recording),
        _markers(recording),
        _table_section(table),
    ]
    return _page("recording", about, parts, [table], _chart(recording))


# ---- the document ------------------------------------------------------------------------


def _page(
    subject: str,
    about: About,
    parts: Sequence[Html],
    tables: Sequence[Table],
    chart: dict[str, Any] | None = None,
) -> str:
    style, script = assets()
    data = {
        "subject": subject,
        "groups": [
            {"name": group.name, "colour": group.colour, "kinds": group.kinds}
            for group in colours.KIND_GROUPS
        ],
        "tables": [table.encode() for table in tables],
        "chart": chart,
    }
    policy = (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    title = html.escape(_title(about))
    body = "\n".join(part for part in parts if part)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="referrer" content="no-referrer">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="smapskit {html.escape(__version__)}">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<a class="skip" href="#summary">Skip to the summary</a>
<header><h1>{title}</h1><div class="tools" hidden><button type="button" id="theme">Dark</button>\
</div></header>
<noscript><p class="notice">JavaScript is off: the treemap, the address map, charts and the \
search are not shown. The tables have the largest rows.</p></noscript>
<main>
{body}
</main>
<footer>Made by smapskit {html.escape(__version__)} on {_time(about.created)}. Sizes are multiples \
of 1,024 bytes. This file loads nothing from the network.</footer>
<div id="tip" role="status" hidden></div>
<script type="application/json" id="data">{embed_json(data)}</script>
<script>{script}</script>
</body>
</html>
"""


def embed_json(value: object) -> str:
    """Return JSON that cannot end the HTML element that contains it."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")


@functools.cache
def assets() -> tuple[str, str]:
    """Return the style and the script; they are the same in every report of a version."""
    folder = resources.files("smapskit.views.report")
    style = (folder / "report.css").read_text("utf-8")
    scripts = [(folder / name).read_text("utf-8") for name in SCRIPTS]
    return f"\n{style}\n{_group_colours()}", '\n"use strict";\n' + "\n".join(scripts)


def _group_colours() -> str:
    """Return the style of each group of kinds."""
    return "".join(
        f".group-{number}{{--colour:{_css(group.colour)};--on-colour:{_on(group.colour)}}}\n"
        for number, group in enumerate(colours.KIND_GROUPS)
    )


def _css(colour: str) -> str:
    return "var(--foreground)" if colour == colours.FOREGROUND else colour


def _on(colour: str) -> str:
    """Return the colour of text on a colour: black or white, which has the higher contrast."""
    if colour == colours.FOREGROUND:
        return "var(--page)"
    red, green, blue = ((int(colour[at : at + 2], 16) / 255) ** 2.2 for at in (1, 3, 5))
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return "#000" if luminance > 0.18 else "#fff"  # noqa: PLR2004  equal contrast at 0.179


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"


def _time(time: datetime) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _title(about: About) -> str:
    if about.title:
        return about.title
    report = about.report
    what = {
        "process": "Memory of",
        "difference": "Change of the memory of",
        "recording": "Recording of the memory of",
    }[report.subject]
    process = "a process" if report.pid is None else f"process {report.pid}"
    command = f": {truncate(report.command, 80)}" if report.command else ""
    return f"{what} {process}{command}"


# ---- summary and findings ----------------------------------------------------------------


def _summary(about: About, sentences: Sequence[str], tiles: Html) -> Html:
    report = about.report
    in_capture = "" if report.source is None else "the source does not contain it"
    entries = [
        ("Process", None if report.pid is None else str(report.pid), in_capture),
        ("Command", truncate(report.command, _MAX_COMMAND) if report.command else None, in_capture),
        (
            "First sample" if report.subject == "recording" else "Read",
            None if report.time is None else _time(report.time),
            in_capture,
        ),
        ("Source", report.source or ("live process" if about.is_live else None), ""),
        ("Kernel", about.kernel, in_capture),
        ("Report made", f"{_time(about.created)} by smapskit {__version__}", ""),
    ]
    if about.mem_total is not None:
        entries.insert(5, ("Memory of the machine", format_kb(about.mem_total), ""))
    notes = "".join(f"<li>{html.escape(note)}</li>" for note in about.notes)
    return html.section(
        "summary",
        "Summary",
        f"<p>{html.escape(' '.join(sentences))}</p>",
        tiles,
        html.facts(entries),
        f'<ul class="notes">{notes}</ul>' if notes else "",
    )


def _findings(about: About) -> Html:
    report = about.report
    found, unchecked = report.explanation.findings, report.explanation.unchecked
    articles = [
        html.finding_article(number, finding, findings.finding_entries(finding, report.pid))
        for number, finding in enumerate(found, 1)
    ]
    notes = [
        f'<p class="hint">{html.escape(text)}</p>'
        for text in findings.describe_unchecked(unchecked)
    ]
    summary = findings.count_findings(found)
    intro = f"<p>{html.escape(summary[:1].upper() + summary[1:])}.</p>"
    return html.section("findings", "Findings", intro, *articles, *notes)


def _process(about: About) -> str:
    report = about.report
    name = "The process" if report.pid is None else f"Process {report.pid}"
    return f"{name} ({truncate(report.command, 80)})" if report.command else name


def _findings_text(about: About) -> str:
    found = about.report.explanation.findings
    if not found:
        return "Nothing unusual was found."
    titles = "; ".join(finding.title.rstrip(".") for finding in found)
    return f"{findings.count_findings(found).capitalize()}: {titles}."


def _snapshot_text(
    snapshot: Snapshot, kinds: MappingOf[MappingKind, Totals], about: About
) -> list[str]:
    sums = snapshot.totals()
    if not len(snapshot):
        return [f"{_process(about)} has no mappings.", _findings_text(about)]
    mappings = "1 mapping" if sums.count == 1 else f"{sums.count:,} mappings"
    part = "a selection of " if snapshot.is_part else ""
    texts = [f"{_process(about)} has {part}{mappings} of {format_kb(sums.size)} address space."]
    known = {HEADINGS[name]: getattr(sums, name) for name in ("rss", "pss", "uss", "swap")}
    reported = [f"{name} {format_kb(kb)}" for name, kb in known.items() if kb is not None]
    if reported:
        texts.append(f"{', '.join(reported)}.")
    missing = [name for name, kb in known.items() if kb is None]
    if missing:
        texts.append(f"The source does not report {', '.join(missing)}.")
    if sums.rss:
        largest = [(kind, t.rss or 0) for kind, t in kinds.items()]
        largest.sort(key=lambda entry: -entry[1])
        named = [
            f"{kind.value} {format_kb(rss)} ({html.share(rss, sums.rss)})"
            for kind, rss in largest[:_MAX_NAMED]
            if rss
        ]
        texts.append(f"The largest by RSS: {', '.join(named)}.")
    return [*texts, _findings_text(about)]


def _tiles(sums: Totals) -> Html:
    remarks = {
        "size": "address space",
        "rss": "resident",
        "pss": "proportional share",
        "uss": "this process alone",
        "dirty": "modified",
        "swap": "in swap",
    }
    entries = [
        (HEADINGS[name], html.size(getattr(sums, name)), remarks[name]) for name in OF_GROUPS
    ]
    return html.tiles([*entries, (HEADINGS["count"], f"{sums.count:,}", "in /proc/PID/maps")])


def _difference_text(difference: Difference, about: About) -> list[str]:
    counts = [f"{count:,} {kind}" for kind, count in difference.counts.items()]
    changes = ", ".join(counts) or "none changed"
    text = f"Mappings of {_process(about).replace('The', 'the', 1)}: {changes}, "
    deltas = difference.deltas
    signed = [
        f"{HEADINGS[name]} {html.format_change(kb)}"
        for name in OF_GROUPS
        if (kb := deltas.get(name))
    ]
    change = f"Change: {', '.join(signed)}." if signed else "No sum changed."
    return [f"{text}{difference.unchanged:,} unchanged.", change, _findings_text(about)]


def _change_tiles(difference: Difference) -> Html:
    before, after = _side(difference, 0), _side(difference, 1)
    entries = []
    for name in OF_GROUPS:
        old, new = getattr(before, name), getattr(after, name)
        if old is None or new is None:
            entries.append((HEADINGS[name], html.change(None), ""))
        else:
            remark = f"{format_kb(old)} → {format_kb(new)}"
            entries.append((HEADINGS[name], html.change(new - old), remark))
    return html.tiles(entries)


def _side(difference: Difference, number: int) -> Totals:
    """Return the sums of all mappings before (0) or after (1), else of those that changed."""
    mappings = (difference.before, difference.after)[number]
    if not mappings:
        changed = [(change.before, change.after)[number] for change in difference.changes]
        mappings = tuple(mapping for side in changed for mapping in side)
    return totals(mappings)


def _recording_text(recording: RecordedSeries, about: About) -> list[str]:
    if not recording.totals:
        return [f"The recording of {_process(about)} has no samples."]
    length = recording.seconds[-1] - recording.seconds[0]
    count = len(recording.totals)
    samples = "1 sample" if count == 1 else f"{count:,} samples"
    texts = [f"{_process(about)} was recorded for {length:,.1f} s: {samples}."]
    rss = [t.rss for t in recording.totals if t.rss is not None]
    if rss:
        texts.append(
            f"RSS was {format_kb(rss[0])} at first, {format_kb(max(rss))} at most and "
            f"{format_kb(rss[-1])} at last."
        )
    if recording.memory_limit is not None:
        texts.append(f"The limit is {format_kb(recording.memory_limit)}.")
    return [*texts, _findings_text(about)]


def _recording_tiles(recording: RecordedSeries) -> Html:
    if not recording.totals:
        return ""
    entries = []
    for name in (*OF_GROUPS, "anonymous"):
        values = [v for t in recording.totals if (v := getattr(t, name)) is not None]
        if values:
            remark = f"at last; at most {format_kb(max(values))}"
            entries.append((HEADINGS[name], html.size(values[-1]), remark))
    return html.tiles(entries)


# ---- tables and views --------------------------------------------------------------------


def _group_by_kind(snapshot: Snapshot) -> dict[MappingKind, Totals]:
    """Sum each kind, as in the whole process; `group_by` would compute all kinds again."""
    groups: dict[MappingKind, list[Mapping]] = {}
    for mapping, verdict in zip(snapshot, snapshot.kinds(), strict=True):
        groups.setdefault(verdict.kind, []).append(mapping)
    return {kind: totals(mappings) for kind, mappings in groups.items()}


def _kinds(groups: MappingOf[MappingKind, Totals], sums: Totals) -> Html:
    """Return the sums of each kind, the largest RSS first."""
    measure = "rss" if sums.rss is not None else "size"
    whole = getattr(sums, measure)
    order = sorted(groups, key=lambda kind: (-(getattr(groups[kind], measure) or 0), kind))
    names = [name for name in OF_GROUPS if getattr(sums, name) is not None]
    headings = [
        ("Kind", False),
        ("Mappings", True),
        *((HEADINGS[name], True) for name in names),
        (f"Share of {HEADINGS[measure]}", False),
    ]

    def cells(name: Html, group: Totals, last: Html) -> list[Html]:
        return [name, f"{group.count:,}", *(html.size(getattr(group, n)) for n in names), last]

    rows = []
    for kind in order:
        number = colours.KIND_GROUPS.index(colours.KIND_GROUP_OF[kind])
        part = getattr(groups[kind], measure)
        bar = html.bar(part / whole if whole and part is not None else 0, f"group-{number}")
        name = f'<span class="swatch group-{number}"></span>{html.escape(kind)}'
        rows.append(cells(name, groups[kind], f"{bar} {html.share(part, whole)}"))
    table = html.plain_table(headings, rows, cells("Total", sums, ""), class_="kinds")
    note = "Whose memory it is. Each kind is explained in the documentation, under Classification."
    hint = f'<p class="hint">{html.escape(note)}</p>'
    return html.section("kinds", "Memory by kind", hint, table if rows else "<p>No mappings.</p>")


def _mapping_views(table: Table, suffix: str) -> list[Html]:
    if not table.count:
        return [_table_section(table, suffix)]
    return [
        html.script_section(
            "treemap",
            f"Treemap{suffix}",
            "Kinds, their files, and the mappings of a file. Select a rectangle to zoom in; "
            "Escape zooms out.",
        ),
        html.script_section(
            "addresses",
            f"Address map{suffix}",
            "Mappings in the order of their addresses, wider where larger, filled as far as they "
            "are resident. A new line follows more than 1 GiB without a mapping.",
        ),
        _table_section(table, suffix),
    ]


def _table_section(table: Table, suffix: str = "") -> Html:
    note = ""
    if table.has_inexact_values:
        note = f"Sizes above {MAX_EXACT:,} kB are rounded in the table that the script shows."
    return html.section(
        table.id,
        table.title + suffix,
        f'<p class="hint">{html.escape(note)}</p>' if note else "",
        '<div class="view by-script" hidden></div>',
        html.largest_rows(table),
    )


def _growth(changes: Table) -> Html:
    """Return the changes that grew most, with bars."""
    columns = {column.name: column for column in changes.columns}
    measured = columns.get("rss", columns.get("size"))
    if measured is None:
        return ""
    grown = [row for row in range(changes.count) if (measured.values[row] or 0) > 0]
    grown.sort(key=lambda row: -measured.values[row])
    title = f"What grew, by {measured.heading}"
    if not grown:
        return html.section("growth", title, "<p>No mapping grew.</p>")
    largest = measured.values[grown[0]]
    rows = [_grown_row(columns, measured, row, largest) for row in grown[:_MAX_GROWN]]
    headings = [("Growth", True), ("", False), ("Change", False), ("Kind", False)]
    headings += [("Address", True), ("Pathname", False)]
    rest = len(grown) - len(rows)
    note = f"The {len(rows)} largest of {len(grown):,} that grew; {rest:,} are left out here."
    return html.section(
        "growth",
        title,
        html.plain_table(headings, rows, class_="growth"),
        f'<p class="hint">{html.escape(note)}</p>' if rest else "",
    )


def _grown_row(columns: dict[str, Column], measured: Column, row: int, largest: int) -> list[Html]:
    kind = columns["kind"].values[row]
    class_ = _group_class(kind)
    return [
        html.change(measured.values[row]),
        html.bar(measured.values[row] / largest, class_),
        html.escape(columns["change"].values[row]),
        html.escape(kind),
        f"<code>{columns['address'].values[row][0]:x}</code>",
        f'<span class="name">{html.escape(columns["pathname"].values[row])}</span>',
    ]


def _group_class(kind: str) -> str:
    known = {each.value: group for each, group in colours.KIND_GROUP_OF.items()}
    return f"group-{colours.KIND_GROUPS.index(known[kind])}" if kind in known else "plain"


def _kind_changes(difference: Difference) -> Html:
    """Return the sums of each kind before and after, the largest change first."""
    if not (difference.before or difference.after):
        return ""
    before, after = (
        _group_by_kind(Snapshot(side)) for side in (difference.before, difference.after)
    )
    measure = "rss" if _side(difference, 1).rss is not None else "size"
    rows: list[tuple[int, list[Html]]] = []
    unchanged = 0
    for kind in dict.fromkeys([*before, *after]):
        old = getattr(before[kind], measure) if kind in before else 0
        new = getattr(after[kind], measure) if kind in after else 0
        delta = None if old is None or new is None else new - old
        counts = [side[kind].count if kind in side else 0 for side in (before, after)]
        if delta == 0 and counts[0] == counts[1]:
            unchanged += 1
            continue
        name = f'<span class="swatch {_group_class(kind.value)}"></span>{html.escape(kind)}'
        cells = [name, f"{counts[0]:,}", f"{counts[1]:,}"]
        cells += [html.size(old), html.size(new), html.change(delta)]
        rows.append((abs(delta or 0), cells))
    rows.sort(key=lambda entry: -entry[0])
    heading = HEADINGS[measure]
    headings = [
        ("Kind", False),
        ("Mappings before", True),
        ("after", True),
        (f"{heading} before", True),
        ("after", True),
        ("Change", True),
    ]
    table = html.plain_table(headings, [cells for _, cells in rows], class_="kinds")
    note = "1 other kind has" if unchanged == 1 else f"{unchanged} other kinds have"
    text = f"{note} the same number of mappings and the same {heading} as before."
    hint = f'<p class="hint">{html.escape(text)}</p>' if unchanged else ""
    return html.section("kinds", "Change by kind", table if rows else "", hint)


def _series_table(recording: RecordedSeries) -> Html:
    rows = []
    for name, values in recording.values.items():
        known = [value for value in values if value is not None]
        if known:
            cells = [html.escape(label(name)), *map(html.size, (known[0], known[-1]))]
            rows.append([*cells, html.change(known[-1] - known[0]), html.size(max(known))])
    heading = "Group" if recording.is_stacked else "Value"
    headings = [(heading, False), ("First", True), ("Last", True), ("Change", True)]
    headings.append(("Maximum", True))
    title = "RSS by group" if recording.is_stacked else "First and last values"
    return html.section("series", title, html.plain_table(headings, rows)) if rows else ""


def _markers(recording: RecordedSeries) -> Html:
    if not recording.markers:
        return ""
    rows = [[f"{seconds:,.3f}", html.escape(text)] for seconds, text in recording.markers]
    table = html.plain_table([("Seconds", True), ("Marker", False)], rows, class_="markers")
    return html.section("markers", "Markers", table)


def _chart(recording: RecordedSeries) -> dict[str, Any]:
    """Return the data of the chart."""
    if recording.is_stacked:
        layers = [
            {"name": label(name), "colour": colour, "values": _known(values)}
            for name, colour, values in stack_layers(recording.values)
        ]
    else:
        layers = [
            {"name": label(name), "colour": colour, "values": list(values)}
            for (name, values), colour in zip(
                recording.values.items(), colours.OF_LINES, strict=False
            )
            if any(value is not None for value in values)
        ]
    return {
        "seconds": list(recording.seconds),
        "stacked": recording.is_stacked,
        "layers": layers,
        "markers": [[seconds, label(text)] for seconds, text in recording.markers],
        "limit": recording.memory_limit,
    }


def _known(values: Sequence[float]) -> list[int | None]:
    return [None if value != value else int(value) for value in values]  # noqa: PLR0124  NaN
