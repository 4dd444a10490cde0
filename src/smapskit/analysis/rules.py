"""
The declaration of a rule.

A rule is a small function from a prepared view to `Evidence` or None, and the texts of its
finding. Its thresholds are in `thresholds.py`. The documentation of each id is generated from
this declaration.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import attrs

from smapskit.analysis.findings import Confidence, Figure, Finding, Severity
from smapskit.analysis.thresholds import THRESHOLDS, Limits
from smapskit.model.mapping import Mapping


class Subject(enum.StrEnum):
    """What a rule examines."""

    PROCESS = "process"
    """One snapshot."""
    DIFFERENCE = "difference"
    """Two snapshots of one process."""
    RECORDING = "recording"
    """Sums over time."""


@attrs.frozen
class Evidence:
    """What a rule found: figures and mappings, from which its finding is built."""

    size: int
    """kB that the finding is about."""
    figures: tuple[Figure, ...]
    mappings: Iterable[Mapping] = ()
    detail: str = ""
    """Sentences about this process, which precede the meaning that is declared."""
    severity: Severity | None = None
    """In place of the declared one."""
    confidence: Confidence | None = None
    """In place of the declared one."""
    counter: str = "rss"
    """The attribute of Mapping that proves it, by which the mappings are sorted."""


View = TypeVar("View")
Check = Callable[[View, Limits], Evidence | None]


@attrs.frozen(kw_only=True)
class Rule:
    """
    When a finding is reported, and its texts.

    `title` and `condition` are templates: the first is filled with the figures of a finding,
    the second with the thresholds.
    """

    id: str
    subject: Subject
    severity: Severity
    confidence: Confidence
    title: str
    condition: str
    meaning: str
    advice: str
    disproof: str
    needs: tuple[str, ...] = ()
    """Fields of Mapping without which the rule cannot be checked."""
    needs_context: tuple[str, ...] = ()
    """Fields of Context without which the rule cannot be checked."""
    machine_title: str = ""
    """The heading under which `explain --all` lists processes; "" if it does not."""
    check: Check[Any] = attrs.field(repr=False)

    def finding(self, view: object) -> Finding | None:
        """Check a prepared view; None where the rule does not apply."""
        limits = {name: limit.value for name, limit in THRESHOLDS.get(self.id, {}).items()}
        evidence = self.check(view, limits)
        if evidence is None:
            return None
        counter = evidence.counter
        largest_first = sorted(
            evidence.mappings, key=lambda m: (-(getattr(m, counter) or 0), -m.size, m.start)
        )
        return Finding(
            id=self.id,
            title=self.title.format(**{figure.name: figure for figure in evidence.figures}),
            severity=evidence.severity or self.severity,
            figures=evidence.figures,
            mappings=tuple(largest_first),
            counter=counter,
            meaning=f"{evidence.detail} {self.meaning}".strip(),
            advice=self.advice,
            confidence=evidence.confidence or self.confidence,
            disproof=self.disproof,
            size=evidence.size,
        )

    def describe_condition(self) -> str:
        """Return the condition with its thresholds."""
        limits = THRESHOLDS.get(self.id, {})
        return self.condition.format(**{name: limit.text for name, limit in limits.items()})


def rule(
    table: list[Rule],
    subject: Subject,
    id_: str,
    severity: Severity = Severity.PROBLEM,
    confidence: Confidence = Confidence.CERTAIN,
    **texts: Any,
) -> Callable[[Check[View]], Check[View]]:
    """Append a rule to a table, with the decorated function as its check."""

    def declare(check: Check[View]) -> Check[View]:
        table.append(
            Rule(
                id=id_,
                subject=subject,
                severity=severity,
                confidence=confidence,
                check=check,
                **texts,
            )
        )
        return check

    return declare


def kb(name: str, value: float) -> Figure:
    """Return a figure in kB."""
    return Figure(name, value, "kB")


def share(name: str, part: float, whole: float) -> Figure:
    """Return a figure that is a share of a whole; 0 of nothing."""
    return Figure(name, round(part / whole, 4) if whole else 0.0, "share")


def count(name: str, value: float, noun: str) -> Figure:
    """Return a figure that counts things; the noun is singular."""
    return Figure(name, value, "count", noun)


def text(name: str, value: str) -> Figure:
    """Return a figure that is a word, such as the name of a kind."""
    return Figure(name, value, "text")
