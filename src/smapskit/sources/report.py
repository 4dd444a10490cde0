"""Write a report: explain a snapshot, a difference or a recording, and write the HTML file."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import Any

import attrs

from smapskit.analysis.context import Context
from smapskit.analysis.explain import Explainable, examine
from smapskit.model.diff import Difference
from smapskit.model.snapshot import Snapshot
from smapskit.sources import outfile
from smapskit.sources.recording.model import Recording, plotted_series
from smapskit.views.findings import Report
from smapskit.views.report.page import (
    About,
    RecordedSeries,
    difference_page,
    recording_page,
    snapshot_page,
)


@attrs.frozen(kw_only=True)
class ReportOptions:
    """What a report contains besides its subject; None: not known."""

    title: str | None = None
    context: Context | None = None
    kernel: str | None = None
    """The release of the kernel that reported the values."""
    overwrite: bool = True
    """Replace an existing file; if false, that is a FileExistsError."""


_DEFAULTS = ReportOptions()


def write_snapshot_report(
    snapshot: Snapshot, path: str | os.PathLike[str], options: ReportOptions = _DEFAULTS
) -> None:
    """Write the report of the mappings of a process."""
    about = _about(
        "process",
        snapshot,
        options,
        pid=snapshot.pid,
        command=snapshot.command,
        # The source of a live process is its smaps file: not a file that a reader may look for.
        source=snapshot.source if snapshot.time is None else None,
        time=snapshot.time,
        is_live=snapshot.time is not None,
        notes=snapshot.notes,
    )
    _write(path, snapshot_page(snapshot, about), options)


def write_difference_report(
    difference: Difference,
    path: str | os.PathLike[str],
    options: ReportOptions = _DEFAULTS,
    *,
    pid: int | None = None,
    command: str | None = None,
    source: str | None = None,
    time: datetime | None = None,
    notes: tuple[str, ...] = (),
) -> None:
    """
    Write the report of a difference.

    Args:
        difference: of two snapshots.
        path: of the file.
        options: what else it contains.
        pid: of the process.
        command: its command line.
        source: the files.
        time: of the second snapshot.
        notes: of both snapshots.
    """
    about = _about(
        "difference",
        difference,
        options,
        pid=pid,
        command=command,
        source=source,
        time=time,
        notes=notes,
    )
    _write(path, difference_page(difference, about), options)


def write_recording_report(
    recording: Recording,
    path: str | os.PathLike[str],
    options: ReportOptions = _DEFAULTS,
    *,
    source: str | None = None,
    memory_limit: int | None = None,
) -> None:
    """
    Write the report of a recording.

    Args:
        recording: of a process.
        path: of the file.
        options: what else it contains; a kernel in the recording's notes is used by default.
        source: the file with the recording.
        memory_limit: in kB, drawn as a line.
    """
    kernel = recording.notes.get("kernel")
    if options.kernel is None and isinstance(kernel, str):
        options = attrs.evolve(options, kernel=kernel)
    about = _about(
        "recording",
        recording,
        options,
        pid=recording.pid,
        command=recording.command,
        source=source,
        time=recording.rows[0].time if recording.rows else None,
    )
    sums = recording.totals()
    plotted = plotted_series(recording)
    series = RecordedSeries(
        seconds=plotted.seconds,
        values=plotted.values,
        is_stacked=plotted.is_stacked,
        by=recording.by,
        markers=recording.markers,
        memory_limit=memory_limit,
        samples=[(row.seconds, row.group, row.totals) for row in recording.samples],
        totals=list(sums.values()),
        interval=recording.interval,
    )
    _write(path, recording_page(series, about), options)


def _about(
    name: str,
    subject: Explainable,
    options: ReportOptions,
    *,
    is_live: bool = False,
    notes: tuple[str, ...] = (),
    **origin: Any,
) -> About:
    context = options.context or Context()
    return About(
        report=Report(subject=name, explanation=examine(subject, context), **origin),
        title=options.title,
        kernel=options.kernel,
        is_live=is_live,
        mem_total=context.mem_total,
        notes=notes,
    )


def _write(path: str | os.PathLike[str], page: str, options: ReportOptions) -> None:
    """Write the page; the file is complete or not written at all."""
    with outfile.replacing(Path(path), private=True, overwrite=options.overwrite) as file:
        file.write(page.encode())
