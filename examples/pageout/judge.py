"""Decide which of the first four claims a recorded run shows, and by which values."""

from __future__ import annotations

import signal

import attrs
import numpy as np
import pandas as pd
from experiment import FILE, MIB
from patterns import FALLS, IS_KILLED, LEVELS_OFF, PATTERNS, RISES

from smapskit import Recording

_KB_PER_MIB = 1024
_MIN_SAMPLES = 3
"""Fewer samples are not enough to fit a line."""
_RESIDUE = 0.02
"""The share of the plateau that is never reclaimed; the line is fitted above it."""


NOT_JUDGED = "This pattern is not made to show it."


@attrs.frozen
class Series:
    """A run as columns."""

    samples: pd.DataFrame
    """One row per sample: memory in MiB, by seconds since the beginning."""
    limit: float
    """Of the group, in MiB."""
    phases: dict[str, float]
    """The second at which each phase began."""

    @classmethod
    def from_recording(cls, recording: Recording) -> Series:
        """
        Convert a recording.

        Raises:
            ValueError: the recording is not one of this experiment.
        """
        if "plan" not in recording.notes or not recording.samples:
            raise ValueError("expected a recording that this experiment made")
        frame = recording.to_frame()
        sums = frame.groupby("seconds")
        file = frame[frame["group"] == FILE].set_index("seconds")["rss"]
        values = pd.DataFrame(
            {
                "total": sums["rss"].sum(),
                "shared": sums["shared_rss"].sum(),
                "anonymous": sums["anonymous"].sum(),
                "several": sums["shared_clean"].sum() + sums["shared_dirty"].sum(),
                "swap": sums["swap"].sum(),
            }
        )
        values["file"] = file.reindex(values.index).fillna(0)
        values = values.astype(float) / _KB_PER_MIB
        # While the kernel frees the memory of a process that ends, samples are incomplete.
        while len(values) > 1 and values["total"].iloc[-1] < values["total"].max() / 2:
            values = values.iloc[:-1]
        phases = {phase: seconds for seconds, phase in recording.markers}
        return cls(values, recording.notes["plan"]["limit"] / MIB, phases)

    def between(self, begin: str, end: str) -> pd.DataFrame:
        """Return the samples from one phase to another; none if the first did not begin."""
        if begin not in self.phases:
            return self.samples.iloc[:0]
        rest = self.samples.loc[self.phases[begin] :]
        return rest.loc[: self.phases[end]] if end in self.phases else rest

    @property
    def reading_on(self) -> pd.DataFrame:
        """While the file is read, after as many bytes as the limit."""
        return self.between("level", "holding")

    @property
    def plateau(self) -> pd.DataFrame:
        """From the end of reading to the first allocation."""
        return self.between("holding", "allocating")

    @property
    def allocating(self) -> pd.DataFrame:
        """From the first allocation to the end."""
        return self.between("allocating", "")

    @property
    def reclaiming(self) -> pd.DataFrame:
        """The part of `allocating` while pages of the file can still be reclaimed."""
        rows = self.allocating
        return rows[rows["file"] > _RESIDUE * self.plateau["file"].median()]

    def fit_line(self) -> tuple[float, float]:
        """Return slope and intercept of the file's RSS against anonymous RSS; NaN if unknown."""
        rows = self.reclaiming
        if len(rows) < _MIN_SAMPLES:
            return np.nan, np.nan
        slope, intercept = np.polyfit(rows["anonymous"], rows["file"], 1)
        return slope, intercept


@attrs.frozen
class Finding:
    """A measured value and its bounds; without bounds it decides nothing."""

    name: str
    value: float
    minimum: float = -np.inf
    maximum: float = np.inf
    format: str = ".4g"

    @property
    def holds(self) -> bool:
        """Whether the value is within its bounds."""
        return not self.has_bounds or self.minimum <= self.value <= self.maximum

    @property
    def has_bounds(self) -> bool:
        """Whether the value decides anything."""
        return (self.minimum, self.maximum) != (-np.inf, np.inf)

    @property
    def mark(self) -> str:
        """What a report shows before the finding."""
        if not self.has_bounds:
            return " "
        return "+" if self.holds else "-"

    def __str__(self) -> str:
        value = f"{self.value:{self.format}}"
        if not self.has_bounds:
            return f"{self.name} {value}"
        minimum, maximum = (f"{bound:{self.format}}" for bound in (self.minimum, self.maximum))
        if self.minimum == -np.inf:
            bounds = f"at most {maximum}"
        elif self.maximum == np.inf:
            bounds = f"at least {minimum}"
        else:
            bounds = f"{minimum} to {maximum}"
        return f"{self.name} {value} ({bounds})"


@attrs.frozen
class Claim:
    """A claim of the experiment, and the findings of a run that decide it."""

    text: str
    findings: tuple[Finding, ...]
    verdict_if_held: str = "shown"
    remark: str = ""
    is_judged: bool = True
    """Whether the pattern of the run can show the claim."""

    @property
    def holds(self) -> bool:
        """Whether all findings are within their bounds."""
        return any(finding.has_bounds for finding in self.findings) and all(
            finding.holds for finding in self.findings
        )

    @property
    def verdict(self) -> str:
        """The result in a word or two."""
        if not self.is_judged:
            return "not judged"
        return self.verdict_if_held if self.holds else "not shown"


def judge(recording: Recording) -> list[Claim]:
    """
    Decide the four claims, in order.

    Raises:
        ValueError: the recording is not one of this experiment.
    """
    series = Series.from_recording(recording)
    judged = PATTERNS[recording.notes["plan"]["pattern"]].claims
    rules = {LEVELS_OFF: _levels_off, FALLS: _falls, RISES: _rises, IS_KILLED: _is_killed}
    with np.errstate(invalid="ignore"):  # what is read by read(2) has no RSS
        claims = {number: rule(series, recording) for number, rule in rules.items()}
    return [
        claim if number in judged else Claim(claim.text, (), remark=NOT_JUDGED, is_judged=False)
        for number, claim in claims.items()
    ]


def _levels_off(series: Series, recording: Recording) -> Claim:
    text = "The file's resident memory levels off once memory is occupied; nothing is killed"
    file, before = series.plateau["file"], series.reading_on["file"]
    if file.empty or before.empty:
        return Claim(text, (), remark="the run ended before the whole file was read")
    ceiling = (recording.notes["plan"]["high"] or series.limit * MIB) / MIB
    middle = file.median()
    return Claim(
        text,
        (
            _share("file RSS / limit, while reading on", before.median() / ceiling, 0.90, 1.02),
            _share("file RSS / limit, after reading", middle / ceiling, 0.90, 1.02),
            _share("range / plateau", (file.max() - file.min()) / middle, maximum=0.01),
            Finding("samples after the plateau", len(series.allocating), 1),
        ),
    )


def _falls(series: Series, _recording: Recording) -> Claim:
    text = "It falls steadily as allocated memory grows"
    plateau, samples = series.plateau["file"], series.allocating
    if plateau.empty or len(samples) < _MIN_SAMPLES:
        return Claim(text, (), remark="the run ended before enough was allocated")
    largest_rise = max(0.0, samples["file"].diff().max() / plateau.median())
    part = series.reclaiming
    correlation = part["file"].rank().corr(part["anonymous"].rank())  # Spearman's
    return Claim(
        text,
        (
            Finding("samples", len(samples), 20),
            _share("largest rise / plateau", largest_rise, maximum=0.01),
            Finding("rank correlation with anonymous RSS", correlation, -1, -0.98),
            Finding("slope against anonymous RSS", series.fit_line()[0], -1.05, -0.90),
        ),
    )


def _rises(series: Series, recording: Recording) -> Claim:
    text = "Once file pages can no longer be paged out, the total rises"
    plateau, total = series.plateau["total"], series.allocating["total"]
    if plateau.empty or total.empty:
        return Claim(text, (), remark="the run ended before that")
    change = total.iloc[-1] / plateau.median() - 1
    if recording.notes["plan"]["high"] is not None:
        return Claim(text, (_share("rise of the total / plateau", change, 0.03),))
    return Claim(
        text,
        (
            _share("smallest total / limit", total.min() / series.limit, 0.95, 1.04),
            _share("largest total / limit", total.max() / series.limit, 0.95, 1.04),
            _share("rise of the total / plateau", change, -0.03, 0.03),
        ),
        "stays flat",
        "Under a hard limit reclaim begins at the limit itself, so the total cannot rise. "
        "--high with nine tenths of --limit makes reclaim begin below it (requires cgroup v2).",
    )


def _is_killed(series: Series, recording: Recording) -> Claim:
    text = "At the limit the process is OOM-killed"
    notes = recording.notes
    allocated = notes["steps"][-1][1] / MIB / series.limit if notes["steps"] else 0.0
    last = series.samples["file"].iloc[-1] / series.limit
    remark = "" if not notes["timed_out"] else "the run was stopped at its time limit"
    return Claim(
        text,
        (
            Finding("killed by signal", -notes["exit"], signal.SIGKILL, signal.SIGKILL),
            Finding("oom_kill of the group", notes["oom_kills"], 1),
            _share("allocated / limit", allocated, 0.90, 1.0),
            _share("last file RSS / limit", last, maximum=0.10),
        ),
        remark=remark,
    )


def _share(name: str, value: float, minimum: float = -np.inf, maximum: float = np.inf) -> Finding:
    return Finding(name, value, minimum, maximum, ".1%")
