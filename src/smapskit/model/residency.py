"""The pages of a file in the page cache."""

from __future__ import annotations

from collections.abc import Mapping as MappingOf
from datetime import datetime
from typing import TYPE_CHECKING

import attrs

from smapskit.errors import escape_unprintable
from smapskit.model.page_runs import Flags, PageRuns

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Residency:
    """
    Which pages of a file are in the page cache, at one time.

    The counts of cachestat(2) are None where it is not available, with the reason in `unknown`.
    """

    path: str
    size: int
    """Of the file, in bytes."""
    page_size: int
    """In bytes."""
    runs: PageRuns
    """Runs of cached pages; numbers of pages are offset / page size."""
    dirty: int | None = None
    """Cached pages that are to be written to the file."""
    writeback: int | None = None
    """Cached pages that are being written."""
    evicted: int | None = None
    """Pages that were evicted and are remembered by the kernel."""
    recently_evicted: int | None = None
    """Evicted pages that the kernel would put on the active list if they were read again."""
    unknown: MappingOf[str, str] = attrs.field(factory=dict)
    """The reason for each value that is not known, by its name."""
    time: datetime | None = None
    """When reading began, in UTC."""

    @property
    def pages(self) -> int:
        """The number of pages of the file."""
        return -(-self.size // self.page_size)

    @property
    def cached(self) -> int:
        """The number of pages in the page cache."""
        return self.runs.count()

    def flags(self) -> Flags:
        """Return 1 for each page that is cached and 0 for the others, as an array."""
        return self.runs.array(0, self.pages)

    def to_frame(self) -> DataFrame:
        """Return one row per run of cached pages: offset and size in bytes."""
        from smapskit.views import page_frames  # noqa: PLC0415  late import: views come after model

        return page_frames.residency_frame(self)

    def plot(self) -> Figure:
        """Draw the file as a strip of its pages."""
        from smapskit.views import page_plots  # noqa: PLC0415

        return page_plots.plot_residency([self])

    def __repr__(self) -> str:
        path = escape_unprintable(self.path)
        return f"<Residency of {path}: {self.cached:,} of {self.pages:,} pages cached>"
