"""What of the four claims about page-out a recorded run shows, and by which figures."""

from __future__ import annotations

import signal

import attrs
import numpy as np
import pandas as pd
from experiment import FILE, MIB

from smapskit.sources.recording import Recording

_KB_PER_MIB = 1024
_FEW = 3
"""Samples below which there is nothing to fit a line to."""
_REST = 0.02
"""The part of the plateau that stays, and is left out of the line."""


@attrs.frozen
class Series:
    """A run as columns, a row a sample: MiB by seconds; and what else its verdicts need."""

    figures: pd.DataFrame
    limit: float
    phases: dict[str, float]

    @classmethod
    def of(cls, recording: Recording) -> Series:
        """
        Take a run apart.

        Raises:
            ValueError: the recording is not one of this experiment.
        """
        if "plan" not in recording.notes or not recording.samples:
            raise ValueError("expected a recording that this experiment made")
        frame = recording.to_frame()
        sums = frame.groupby("seconds")
        file = frame[frame["group"] == FILE].set_index("seconds")["rss"]
        figures = pd.DataFrame(
            {
                "total": sums["rss"].sum(),
                "shared": sums["shared_rss"].sum(),
                "anonymous": sums["anonymous"].sum(),
                "by_several": sums["shared_clean"].sum() + sums["shared_dirty"].sum(),
                "swap": sums["swap"].sum(),
            }
        )
        figures["file"] = file.reindex(figures.index).fillna(0)
        figures = figures.astype(float) / _KB_PER_MIB
        # A process that is being taken apart shows ever less, or for a moment almost nothing.
        while len(figures) > 1 and figures["total"].iloc[-1] < figures["total"].max() / 2:
            figures = figures.iloc[:-1]
        phases = {event: seconds for seconds, event in recording.markers}
        return cls(figures, recording.notes["plan"]["limit"] / MIB, phases)

    def between(self, begin: str, end: str) -> pd.DataFrame:
        """The samples from one mark to another; none where there is no first mark."""
        if begin not in self.phases:
            return self.figures.iloc[:0]
        rest = self.figures.loc[self.phases[begin] :]
        return rest.loc[: self.phases[end]] if end in self.phases else rest

    @property
    def reading_on(self) -> pd.DataFrame:
        """From when as much as the limit was read, until all is: more than can stay."""
        return self.between("level", "holding")

    @property
    def plateau(self) -> pd.DataFrame:
        """From when all was read, until the first allocation."""
        return self.between("holding", "allocating")

    @property
    def fall(self) -> pd.DataFrame:
        """While the workload allocates."""
        return self.between("allocating", "")

    @property
    def falling(self) -> pd.DataFrame:
        """That, as long as there is much of the file to give way."""
        fall = self.fall
        return fall[fall["file"] > _REST * self.plateau["file"].median()]

    def line(self) -> tuple[float, float]:
        """Slope and height of the line of the file's RSS against anonymous RSS."""
        part = self.falling
        if len(part) < _FEW:
            return np.nan, np.nan
        slope, height = np.polyfit(part["anonymous"], part["file"], 1)
        return slope, height


@attrs.frozen
class Finding:
    """A figure that a claim stands on, and the bounds that it must keep."""

    name: str
    figure: float
    least: float = -np.inf
    most: float = np.inf
    style: str = ".4g"

    @property
    def holds(self) -> bool:
        """Whether it keeps them."""
        return self.least <= self.figure <= self.most

    def __str__(self) -> str:
        figure, least, most = (f"{x:{self.style}}" for x in (self.figure, self.least, self.most))
        if self.least == -np.inf:
            bounds = f"at most {most}"
        elif self.most == np.inf:
            bounds = f"at least {least}"
        else:
            bounds = f"{least} to {most}"
        return f"{self.name} {figure} ({bounds})"


@attrs.frozen
class Claim:
    """What the experiment is said to show, and what this run has to say of it."""

    text: str
    findings: tuple[Finding, ...]
    if_held: str = "shown"
    remark: str = ""

    @property
    def holds(self) -> bool:
        """Whether the run did what a run under its limits does."""
        return bool(self.findings) and all(finding.holds for finding in self.findings)

    @property
    def verdict(self) -> str:
        """In a word or two."""
        return self.if_held if self.holds else "not shown"


def judge(recording: Recording) -> list[Claim]:
    """The four claims, in order."""
    series = Series.of(recording)
    rules = (_levels_off, _falls, _rises, _is_killed)
    return [rule(series, recording) for rule in rules]


def _levels_off(series: Series, recording: Recording) -> Claim:
    text = "The file's resident memory levels off once memory is occupied; nothing is killed"
    file, before = series.plateau["file"], series.reading_on["file"]
    if file.empty or before.empty:
        return Claim(text, (), remark="it ended before all was read")
    ceiling = (recording.notes["plan"]["high"] or series.limit * MIB) / MIB
    middle = file.median()
    return Claim(
        text,
        (
            _part("while more is read, of the limit", before.median() / ceiling, 0.90, 1.02),
            _part("when all is read", middle / ceiling, 0.90, 1.02),
            _part("its range", (file.max() - file.min()) / middle, most=0.01),
            Finding("samples after it", len(series.fall), 1),
        ),
    )


def _falls(series: Series, _recording: Recording) -> Claim:
    text = "It falls steadily as allocated memory grows"
    plateau, fall = series.plateau["file"], series.fall
    if plateau.empty or len(fall) < _FEW:
        return Claim(text, (), remark="it ended before enough was allocated")
    middle = plateau.median()
    part = series.falling
    order = part["file"].rank().corr(part["anonymous"].rank())  # Spearman's
    return Claim(
        text,
        (
            Finding("samples", len(fall), 20),
            _part("largest rise", max(0.0, fall["file"].diff().max() / middle), most=0.01),
            Finding("rank correlation with anonymous RSS", order, -1, -0.98),
            Finding("slope against it", series.line()[0], -1.05, -0.90),
        ),
    )


def _rises(series: Series, recording: Recording) -> Claim:
    text = "Once file pages can no longer be paged out, the total rises"
    plateau, fall = series.plateau["total"], series.fall["total"]
    if plateau.empty or fall.empty:
        return Claim(text, (), remark="it ended before that")
    change = fall.iloc[-1] / plateau.median() - 1
    if recording.notes["plan"]["high"] is not None:
        return Claim(text, (_part("total at the end against the plateau", change, 0.03),))
    return Claim(
        text,
        (
            _part("total, least of the limit", fall.min() / series.limit, 0.95, 1.04),
            _part("most", fall.max() / series.limit, 0.95, 1.04),
            _part("end against the plateau", change, -0.03, 0.03),
        ),
        "stays flat",
        "Under a hard limit nothing is left above where reclaim begins, so the total cannot "
        "rise. A --high of nine tenths of --limit leaves some; it takes cgroup v2.",
    )


def _is_killed(series: Series, recording: Recording) -> Claim:
    text = "At the limit the process is OOM-killed"
    notes = recording.notes
    reached = notes["steps"][-1][1] / MIB / series.limit if notes["steps"] else 0.0
    remark = "" if not notes["timed_out"] else "it was stopped when its time was up"
    return Claim(
        text,
        (
            Finding("killed by signal", -notes["exit"], signal.SIGKILL, signal.SIGKILL),
            Finding("oom_kill of the group", notes["oom_kills"], 1),
            _part("last step, of the limit", reached, 0.90, 1.0),
            _part("file's last RSS", series.figures["file"].iloc[-1] / series.limit, most=0.10),
        ),
        remark=remark,
    )


def _part(name: str, figure: float, least: float = -np.inf, most: float = np.inf) -> Finding:
    return Finding(name, figure, least, most, ".1%")
