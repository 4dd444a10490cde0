"""A process over time: `sampling` reads it, `model` has the sums, `storage` the files."""

from smapskit.sources.recording.budget import estimate_seconds
from smapskit.sources.recording.model import Recording, Sample
from smapskit.sources.recording.sampling import GroupKey, record, record_to, sample
from smapskit.sources.recording.storage import Output, is_recording
from smapskit.sources.recording.watch import Watch

__all__ = [
    "GroupKey",
    "Output",
    "Recording",
    "Sample",
    "Watch",
    "estimate_seconds",
    "is_recording",
    "record",
    "record_to",
    "sample",
]
