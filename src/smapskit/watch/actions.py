"""What the keys for explain and save do."""

from __future__ import annotations

from pathlib import Path

from smapskit.analysis.context import Context
from smapskit.analysis.explain import examine
from smapskit.errors import SmapskitError
from smapskit.formats.smaps.write import format_smaps
from smapskit.model.snapshot import Snapshot
from smapskit.sources import machine, outfile
from smapskit.sources.recording.model import Recording
from smapskit.text import encode
from smapskit.views.findings import Report, format_report
from smapskit.watch.samples import Listing, WatchSample


def explain_sample(sample: WatchSample | None, pid: int) -> str:
    """
    Return the findings of `explain` about a live process.

    Raises:
        SmapskitError: the sample has no mappings.
    """
    snapshot = _snapshot(sample, pid)
    try:
        context = machine.read_context(pid)
    except (SmapskitError, OSError):  # it has ended
        context = Context()
    explanation = examine(snapshot, context)
    return format_report(
        Report(subject="process", explanation=explanation, pid=pid, command=snapshot.command)
    )


def explain_recording(recording: Recording, path: str) -> str:
    """Return the findings of `explain` about a recording."""
    return format_report(
        Report(
            subject="recording",
            explanation=examine(recording),
            pid=recording.pid,
            command=recording.command,
            source=path,
        )
    )


def save(sample: WatchSample | None, pid: int, folder: Path) -> Path:
    """
    Save the mappings of a sample as the text of smaps; return the new file.

    Its name has the pid and the time of the sample. Files of root have mode 0600.

    Raises:
        SmapskitError: the sample has no mappings.
        FileExistsError: it has been saved before.
        OSError: the file cannot be written.
    """
    snapshot = _snapshot(sample, pid)
    path = folder / f"{pid}-{snapshot.time:%Y%m%dT%H%M%S.%f}.smaps"
    with outfile.replacing(path, private=True, overwrite=False) as file:
        file.write(encode(format_smaps(snapshot)))
    return path


def _snapshot(sample: WatchSample | None, pid: int) -> Snapshot:
    if sample is None or not isinstance(sample.contents, Listing):
        raise SmapskitError("no mappings have been read yet: a recording has only sums")
    return sample.contents.snapshot(pid, sample.command, sample.time)
