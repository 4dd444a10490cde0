"""Explain what is unusual about a snapshot, a difference, a recording or an OOM report."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import attrs

from smapskit.analysis import (
    difference_rules,
    limit_rules,
    oom_rules,
    owner_rules,
    recording_rules,
    use_rules,
)
from smapskit.analysis.context import Context
from smapskit.analysis.findings import Finding
from smapskit.analysis.rules import Rule, Subject
from smapskit.analysis.series import Course, RecordingLike
from smapskit.analysis.view import Comparison, Process
from smapskit.model.diff import Difference
from smapskit.model.oom import OomReport
from smapskit.model.snapshot import Snapshot

RULES: Final = {
    rule.id: rule
    for rules in (
        owner_rules,
        use_rules,
        limit_rules,
        difference_rules,
        recording_rules,
        oom_rules,
    )
    for rule in rules.RULES
}
"""Every rule by the id of its finding."""
Explainable = Snapshot | Difference | RecordingLike | OomReport
View = Process | Comparison | Course | OomReport


def check_id(id_: str) -> str:
    """
    Return the id of a rule.

    Raises:
        ValueError: no rule has it.
    """
    if id_ not in RULES:
        known = ", ".join(sorted(RULES))
        msg = f"expected the id of a finding, got {id_[:40]!a}; known are {known}"
        raise ValueError(msg)
    return id_


@attrs.frozen
class Missing:
    """Why a rule could not be checked; `str()` returns it for a person."""

    fields: tuple[str, ...]
    """Fields that the source does not report."""
    facts: tuple[str, ...]
    """Facts that the context lacks; empty if fields are missing too."""

    def __str__(self) -> str:
        if self.fields:
            return f"the source does not report {', '.join(self.fields)}"
        return f"the context has no {', '.join(self.facts)}"


@attrs.frozen
class Explanation:
    """Findings, and the rules that could not be checked."""

    findings: tuple[Finding, ...]
    """Largest first."""
    unchecked: dict[str, Missing]
    """What each of these rules requires, by id."""


def explain(
    subject: Explainable, context: Context | None = None, ignore: Collection[str] = ()
) -> list[Finding]:
    """
    Return what is unusual about the memory of a process, the largest finding first.

    Args:
        subject: a snapshot, the difference of two (`diff`), a recording, or an OOM report
            (`parse_oom_report`).
        context: facts of the machine and the process (`read_context`). Rules about limits are
            not checked without them: see `unchecked_rules`.
        ignore: ids of findings that are not wanted.

    Returns:
        An empty list where nothing is unusual.

    Raises:
        ValueError: an id in `ignore` that no rule has.
        TypeError: `subject` is something else.
    """
    return list(examine(subject, context, ignore).findings)


def unchecked_rules(subject: Explainable, context: Context | None = None) -> dict[str, str]:
    """
    Return the rules that `explain` cannot check, with the reason by id.

    A pmap table has no Swap, and an old kernel no KSM: that such a rule finds nothing means
    nothing. Args are those of `explain`.
    """
    return {id_: str(missing) for id_, missing in examine(subject, context).unchecked.items()}


def examine(
    subject: Explainable,
    context: Context | None = None,
    ignore: Collection[str] = (),
    *,
    is_machine: bool = False,
) -> Explanation:
    """
    Return the findings of `explain` and the rules that could not be checked.

    Args:
        subject: as in `explain`.
        context: as in `explain`.
        ignore: as in `explain`.
        is_machine: check only the rules for a whole machine.
    """
    for id_ in ignore:
        check_id(id_)
    known = context or Context()
    wanted, view = _prepare(subject, known)
    findings: list[Finding] = []
    unchecked: dict[str, Missing] = {}
    for rule in RULES.values():
        if rule.subject is not wanted or rule.id in ignore:
            continue
        if is_machine and not rule.machine_title:
            continue
        missing = _missing(rule, view, known)
        if missing is not None:
            unchecked[rule.id] = missing
        elif (finding := rule.finding(view)) is not None:
            findings.append(finding)
    findings.sort(key=lambda finding: -finding.size)
    return Explanation(tuple(findings), unchecked)


def _prepare(subject: Explainable, context: Context) -> tuple[Subject, View]:
    if isinstance(subject, Snapshot):
        return Subject.PROCESS, Process(subject, context)
    if isinstance(subject, Difference):
        return Subject.DIFFERENCE, Comparison(subject, context)
    if isinstance(subject, OomReport):
        return Subject.OOM_REPORT, subject
    if hasattr(subject, "rows") and hasattr(subject, "by"):
        return Subject.RECORDING, Course(subject)
    msg = f"expected a Snapshot, Difference, Recording or OomReport, got {type(subject).__name__}"
    raise TypeError(msg)


def _missing(rule: Rule, view: View, context: Context) -> Missing | None:
    """Return why a rule cannot be checked; None if it can."""
    if isinstance(view, OomReport):
        return None
    fields = tuple(name for name in rule.needs if not view.reports(name))
    if fields:
        return Missing(fields, ())
    facts = tuple(name for name in rule.needs_context if getattr(context, name) is None)
    return Missing((), facts) if facts else None
