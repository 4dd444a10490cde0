"""Samples for `watch`, made of records."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from smapskit import Mapping, totals
from smapskit.model.mapping import to_columns
from smapskit.watch.samples import Listing, Sums, WatchSample

BEGIN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def listed(
    seconds: float, mappings: Sequence[Mapping], command: str = "program", *, is_exec: bool = False
) -> WatchSample:
    """Return a sample of smaps."""
    event = f"exec: {command}" if is_exec else ""
    time = BEGIN + timedelta(seconds=seconds)
    contents = Listing((to_columns(mappings),))
    return WatchSample(seconds, time, "smaps", command, contents, event, is_exec)


def summed(seconds: float, rss: int, swap: int = 0) -> WatchSample:
    """Return a sample of status."""
    sums = totals([Mapping(start=0, end=4096, perms="rw-p", rss=rss, swap=swap)])
    time = BEGIN + timedelta(seconds=seconds)
    return WatchSample(seconds, time, "status", "program", Sums(sums))
