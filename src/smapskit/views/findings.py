"""Findings of `explain` for a terminal and as JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from collections.abc import Mapping as MappingOf
from datetime import datetime
from typing import Any, Final

import attrs

from smapskit.analysis.explain import Explanation, Missing
from smapskit.analysis.findings import Figure, Finding, format_kb
from smapskit.model.mapping import Mapping
from smapskit.text import sanitize, truncate
from smapskit.views.cells import PLAIN, TableStyle, cut_middle, wrap
from smapskit.views.columns import UNKNOWN, label

SCHEMA_VERSION: Final = 1
WIDTH: Final = 80
NOTHING_FOUND: Final = "nothing unusual found"
_NO_MAPPINGS: Final = "no mappings, so nothing was checked"
_MAX_MAPPINGS: Final = 5
_MAX_NAMES: Final = 3
_MAX_PROCESSES: Final = 20
_LABEL_WIDTH: Final = 15
_INDENT: Final = " " * _LABEL_WIDTH
_MIN_SENTENCE: Final = 25
_CANNOT_BE_WRONG: Final = "Nothing: "
"""How a disproof begins where nothing would show that the finding does not apply."""
_FIGURE_LABELS: Final = {
    "began": "growth began after",
    "clean_left": "file data left",
    "grown": "growth of other memory",
    "last": "at the end",
    "level": "level reached",
    "mem_total": "memory of the machine",
    "of_largest_kind": "of this kind",
    "pss": "PSS",
    "rising": "steps that rose",
    "rss": "RSS",
    "rss_without": "RSS without it",
    "seconds": "time",
    "uss": "USS",
    "vsz": "VSZ",
}
"""Names of figures that are not clear without the documentation."""


@attrs.frozen(kw_only=True)
class Report:
    """What was explained, and the result."""

    subject: str
    """"process", "difference" or "recording"."""
    explanation: Explanation
    pid: int | None = None
    command: str | None = None
    source: str | None = None
    """The files; None for a live process."""
    is_empty: bool = False
    """There are no mappings: nothing could be checked."""
    time: datetime | None = None
    names: MappingOf[str, Sequence[str]] = attrs.field(factory=dict)
    """The names of the mappings by id of the finding, where the mappings were not kept."""


def format_report(report: Report, style: TableStyle = PLAIN) -> str:
    """
    Return the findings as text for a terminal.

    Args:
        report: to print.
        style: how to print it. Sentences are at most 80 columns wide; names may be wider. With
            `top`, only so many findings are printed.
    """
    text = _Text(style)
    if report.is_empty:
        return "\n".join([*text.wrap(f"{_title(report)}: {_NO_MAPPINGS}"), ""])
    findings, unchecked = report.explanation.findings, report.explanation.unchecked
    lines = text.wrap(f"{_title(report)}: {count_findings(findings)}")
    for number, finding in enumerate(findings[: style.top], 1):
        lines += ["", *text.finding(number, finding, report.pid)]
    rest = len(findings[len(findings[: style.top]) :])
    if rest:
        lines += ["", f"and {rest} more (not printed with --top {style.top})"]
    if unchecked:
        lines += ["", *(line for each in describe_unchecked(unchecked) for line in text.wrap(each))]
    return "\n".join([*lines, ""])


def _title(report: Report) -> str:
    parts = [] if report.pid is None else [f"process {report.pid}"]
    parts += [cut_middle(sanitize(report.command), 40)] if report.command else []
    parts += [sanitize(report.source)] if report.source else []
    return ", ".join(parts) or f"this {report.subject}"


def count_findings(findings: Sequence[object]) -> str:
    """Return the number of findings as text."""
    if not findings:
        return NOTHING_FOUND
    return "1 finding" if len(findings) == 1 else f"{len(findings)} findings, largest first"


def finding_entries(finding: Finding, pid: int | None) -> list[tuple[str, str]]:
    """Return what a finding says besides its title, with a label for each text."""
    # The commands in the texts can then be copied.
    advice = finding.advice if pid is None else re.sub(r"\bPID\b", str(pid), finding.advice)
    shown = [figure for figure in finding.figures if str(figure) not in finding.title]
    # The reason why nothing would disprove it is the reason why it is certain.
    reason = finding.disproof.removeprefix(_CANNOT_BE_WRONG)
    is_sure = reason != finding.disproof
    entries = [
        ("Id", f"{finding.id} ({finding.severity})"),
        ("Also", ", ".join(map(_figure, shown))),
        ("Meaning", finding.meaning),
        ("What to do", advice),
        ("How sure", f"{finding.confidence}: {reason}" if is_sure else finding.confidence),
        ("Wrong if", "" if is_sure else finding.disproof),
    ]
    return [(name, sanitize(text)) for name, text in entries if text]


def describe_unchecked(unchecked: MappingOf[str, Missing]) -> list[str]:
    """Return which rules lack fields, and which facts of the machine, all in kB, are missing."""
    texts: list[str] = []
    by_fields: dict[tuple[str, ...], list[str]] = {}
    for id_, missing in unchecked.items():
        if missing.fields:
            by_fields.setdefault(missing.fields, []).append(id_)
    if by_fields:
        parts = [f"{', '.join(ids)} ({', '.join(names)})" for names, ids in by_fields.items()]
        text = "Not checked, since the source does not report the fields in parentheses: "
        texts.append(f"{text}{'; '.join(parts)}.")
    facts = dict.fromkeys(name for missing in unchecked.values() for name in missing.facts)
    if facts:
        text = "Not checked, since these facts of the machine are not known: "
        texts.append(f"{text}{', '.join(facts)}. Give them with --context NAME=VALUE, in kB.")
    return texts


def _figure(figure: Figure) -> str:
    if figure.noun:
        return str(figure)
    return f"{_FIGURE_LABELS.get(figure.name, figure.name.replace('_', ' '))} {figure}"


class _Text:
    """Formats findings in one style."""

    def __init__(self, style: TableStyle) -> None:
        self._style = style
        self._width = min(style.width or WIDTH, WIDTH)

    def wrap(self, text: str, first: str = "", rest: str = "") -> list[str]:
        """Return sentences as lines."""
        return wrap(text, max(self._width, len(rest) + _MIN_SENTENCE), first, rest)

    def finding(self, number: int, finding: Finding, pid: int | None) -> list[str]:
        """Return the title of a finding, what it means, and its mappings."""
        title = self.wrap(sanitize(finding.title), first=f"{number}. ", rest="   ")
        lines = [self._style.paint(line, "bold") for line in title]
        for name, text in finding_entries(finding, pid):
            lines += self._labelled(name, self.wrap(text, _INDENT, _INDENT))
        return lines + self._labelled("Mappings", self._mappings(finding))

    def _labelled(self, name: str, lines: list[str]) -> list[str]:
        """Put a name before the first line, in its indent."""
        if not lines:
            return []
        label = self._style.paint(f"   {name}", "dim")
        first = lines[0].removeprefix(_INDENT)
        return [f"{label}{' ' * (_LABEL_WIDTH - len(name) - 3)}{first}", *lines[1:]]

    def _mappings(self, finding: Finding) -> list[str]:
        shown = finding.mappings[:_MAX_MAPPINGS]
        lines = [self._mapping(each, finding.counter) for each in shown]
        rest = len(finding.mappings) - len(lines)
        return [*lines, f"{_INDENT}and {rest:,} more"] if rest else lines

    def _mapping(self, mapping: Mapping, counter: str) -> str:
        known = getattr(mapping, counter)
        value = UNKNOWN if known is None else format_kb(known)
        name = "RSS" if counter == "rss" else counter.replace("_", " ")
        start = f"{_INDENT}{mapping.start:x} {mapping.perms} {value:>9} {name}  "
        return start + self._style.name(label(mapping.pathname), len(start))

    def processes(self, found: Sequence[tuple[Finding, Report]]) -> list[str]:
        """Return the processes that have a finding."""
        count = _MAX_PROCESSES if self._style.top is None else self._style.top
        lines = []
        for finding, report in found[:count]:
            start = f"  {report.pid} "
            command = sanitize(report.command or "")
            if self._style.width is None:  # a command line may have thousands of characters
                command = truncate(command, WIDTH - len(start))
            lines.append(start + self._style.name(command, len(start)))
            lines += self.wrap(sanitize(finding.title), first="    ", rest="    ")
            names = [sanitize(name) for name in report.names.get(finding.id, ())]
            shown = [self._style.name(name, 6) for name in names[:_MAX_NAMES]]
            if len(names) > len(shown):
                shown.append(f"and {len(names) - len(shown)} more")
            lines += [f"      {name}" for name in shown]
        if len(found) > count:
            lines.append(f"  and {len(found) - count} more processes (--json lists all)")
        return lines


def format_machine(
    reports: Sequence[Report],
    titles: MappingOf[str, str],
    count: int,
    unreadable: int,
    style: TableStyle = PLAIN,
) -> str:
    """
    Return the findings over all processes, by finding, the most affected processes first.

    Args:
        reports: of the processes with findings.
        titles: a heading for each id that can occur.
        count: number of processes that were read.
        unreadable: number of processes that could not be read.
        style: how to print it. With `top`, only so many processes are printed for each finding.
    """
    text = _Text(style)
    lines: list[str] = []
    for id_, title in titles.items():
        found = [
            (finding, report)
            for report in reports
            for finding in report.explanation.findings
            if finding.id == id_
        ]
        if found:
            found.sort(key=lambda entry: (-entry[0].size, entry[1].pid or 0))
            heading = [style.paint(line, "bold") for line in text.wrap(f"{title} ({id_})")]
            lines += [*heading, *text.processes(found), ""]
    if not lines:
        lines = [NOTHING_FOUND]
    footer = f"{count} processes were read"
    if unreadable:
        footer += f", {unreadable} could not be read"
    return "\n".join([*lines, footer, ""])


def findings_to_json(
    reports: Iterable[Report], unreadable: MappingOf[int, str] | None = None
) -> str:
    """
    Return one JSON document; docs/schema-explain.json describes it.

    Args:
        reports: of each process, difference or recording.
        unreadable: for a whole machine, the reason by pid for processes that were not read.
    """
    document: dict[str, Any] = {
        "schema": SCHEMA_VERSION,
        "unit": "kB",
        "subjects": [_report_document(report) for report in reports],
    }
    if unreadable is not None:
        document["unreadable"] = {str(pid): sanitize(why) for pid, why in unreadable.items()}
    return json.dumps(document, indent=1) + "\n"


def _report_document(report: Report) -> dict[str, Any]:
    return {
        "subject": report.subject,
        "pid": report.pid,
        "command": None if report.command is None else sanitize(report.command),
        "source": None if report.source is None else sanitize(report.source),
        "time": None if report.time is None else report.time.isoformat(),
        "findings": [
            _finding_document(finding, report.names.get(finding.id))
            for finding in report.explanation.findings
        ],
        "unchecked": {id_: str(why) for id_, why in report.explanation.unchecked.items()},
    }


def _finding_document(finding: Finding, names: Sequence[str] | None) -> dict[str, Any]:
    if names is None:
        names = list(dict.fromkeys(m.pathname for m in finding.mappings if m.pathname))
    return {
        "id": finding.id,
        "title": sanitize(finding.title),
        "severity": finding.severity,
        "confidence": finding.confidence,
        "size": finding.size,
        "figures": [{"name": f.name, "value": f.value, "unit": f.unit} for f in finding.figures],
        "names": [sanitize(name) for name in names],
        "counter": finding.counter,
        "mappings": [_mapping_document(mapping, finding.counter) for mapping in finding.mappings],
        "meaning": sanitize(finding.meaning),
        "advice": finding.advice,
        "disproof": finding.disproof,
    }


def _mapping_document(mapping: Mapping, counter: str) -> dict[str, Any]:
    return {
        "start": f"{mapping.start:x}",
        "end": f"{mapping.end:x}",
        "perms": str(mapping.perms),
        "pathname": sanitize(mapping.pathname),
        "size": mapping.size,
        "value": getattr(mapping, counter),
    }
