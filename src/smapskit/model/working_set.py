"""The memory that a process touched within some seconds."""

from __future__ import annotations

from typing import Final

import attrs

from smapskit.model.snapshot import Snapshot

WARNING: Final = (
    "measuring the working set clears the accessed bits of the process's pages: the kernel then "
    "takes pages in use for unused and may evict them"
)
HUGE_PAGES: Final = (
    "huge pages are mapped, which have one accessed bit: each counts as touched as a whole"
)


@attrs.frozen
class WorkingSet:
    """The pages that a process touched within some seconds, at least once."""

    seconds: float
    """How long was measured."""
    snapshot: Snapshot
    """smaps at the end: `referenced` is what was touched, in kB."""
    notes: tuple[str, ...] = ()

    @property
    def referenced(self) -> int | None:
        """The size of the working set in kB; None where the kernel does not report it."""
        return self.snapshot.totals().referenced
