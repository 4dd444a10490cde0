"""A process over time: `sampling` reads it, `model` has the sums, `storage` the files."""

from smapskit.sources.recording.model import Recording, Sample
from smapskit.sources.recording.sampling import GroupKey, record, record_to, sample
from smapskit.sources.recording.storage import Output, is_recording

__all__ = [
    "GroupKey",
    "Output",
    "Recording",
    "Sample",
    "is_recording",
    "record",
    "record_to",
    "sample",
]
