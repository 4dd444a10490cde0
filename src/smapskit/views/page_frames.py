"""Pages as pandas DataFrames."""

from __future__ import annotations

from collections.abc import Mapping as MappingOf
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from smapskit.model.page_recording import PageRecording
from smapskit.model.page_runs import Flags
from smapskit.model.pages import COUNTS, FrameFlag, PageFlag, Pages
from smapskit.model.residency import Residency

_FLAGS = tuple(flag.name.lower() for flag in PageFlag if flag.name)
_FRAME_FLAGS = ("active", "referenced", "dirty", "writeback", "unevictable")


def to_frame(pages: Pages, by: Literal["page", "run", "mapping"]) -> pd.DataFrame:
    """
    Return pages as a frame; values that are not known are NA.

    Args:
        pages: to convert.
        by: "page": one row per page with flags, with its address and, if they were read, the
            values of its frame; "run": one row per run of equal pages; "mapping": the counts of
            each mapping.

    Raises:
        ValueError: any other `by`.
    """
    if by == "mapping":
        return _mapping_frame(pages)
    if by not in ("page", "run"):
        raise ValueError(f"expected 'page', 'run' or 'mapping', got {by!r}")
    runs = pages.runs
    if by == "run":
        columns: dict[str, Any] = {
            "start": runs.first * pages.page_size,
            "end": runs.end * pages.page_size,
            "pages": runs.end - runs.first,
        }
        flags = runs.flags
    else:
        numbers, flags = runs.pages(), runs.page_flags()
        columns = {"address": numbers * pages.page_size}
    columns |= _flag_columns(flags, pages.unknown)
    if by == "page":
        columns |= _frame_columns(pages, flags)
    return _with_metadata(pd.DataFrame(columns), pages)


def _flag_columns(flags: Flags, unknown: MappingOf[str, str]) -> dict[str, Any]:
    return {
        name: pd.array(
            [None] * len(flags)
            if name in unknown
            else (flags & np.uint8(PageFlag[name.upper()])) != 0,
            dtype="boolean",
        )
        for name in _FLAGS
    }


def _frame_columns(pages: Pages, flags: Flags) -> dict[str, Any]:
    """Return the values of the frames: NA for pages that are not present."""
    frames = pages.frames
    if frames is None:
        return {}
    is_present = (flags & np.uint8(PageFlag.PRESENT)) != 0

    def column(values: NDArray[Any], is_known: NDArray[np.bool_], dtype: str) -> Any:
        of_page = np.zeros(len(flags), values.dtype)
        of_page[is_present] = values
        known = np.zeros(len(flags), bool)
        known[is_present] = is_known
        array: Any = pd.array
        result = array(of_page, dtype=dtype)
        result[~known] = pd.NA
        return result

    columns = {"pfn": column(frames.pfns, frames.pfns >= 0, "Int64")}
    if frames.flags is not None:
        is_known = (frames.flags & np.uint64(FrameFlag.NOPAGE)) == 0
        columns["flags"] = column(frames.flags, is_known, "UInt64")
        for name in _FRAME_FLAGS:
            if name not in pages.unknown:
                has_flag = (frames.flags & np.uint64(FrameFlag[name.upper()])) != 0
                columns[name] = column(has_flag, is_known, "boolean")
    for name, values in (("map_count", frames.map_counts), ("cgroup", frames.cgroups)):
        if values is not None:
            columns[name] = column(values, values >= 0, "Int64")
    return columns


def _mapping_frame(pages: Pages) -> pd.DataFrame:
    rows = pages.by_mapping()
    columns: dict[str, Any] = {
        "start": np.array([row.start for row in rows], np.uint64),
        "end": np.array([row.end for row in rows], np.uint64),
        "perms": [str(row.mapping.perms) for row in rows],
        "pathname": [row.mapping.pathname for row in rows],
    }
    for name in COUNTS:
        columns[name] = pd.array([getattr(row.counts, name) for row in rows], dtype="Int64")
    return _with_metadata(pd.DataFrame(columns), pages)


def _with_metadata(frame: pd.DataFrame, pages: Pages) -> pd.DataFrame:
    frame.attrs |= {
        "pid": pages.pid,
        "command": pages.command,
        "time": None if pages.time is None else pages.time.isoformat(),
        "page_size": pages.page_size,
        "unknown": dict(pages.unknown),
    }
    return frame


def residency_frame(residency: Residency) -> pd.DataFrame:
    """Return one row per run of cached pages: offset and size in bytes, and number of pages."""
    runs = residency.runs
    pages = runs.end - runs.first
    offset = runs.first * residency.page_size
    size = np.minimum(runs.end * residency.page_size, residency.size) - offset
    frame = pd.DataFrame({"offset": offset, "size": size, "pages": pages})
    frame.attrs |= {"path": residency.path, "page_size": residency.page_size}
    return frame


def recording_frame(recording: PageRecording) -> pd.DataFrame:
    """Return one row per sample with the numbers of pages in each state; NA if unknown."""
    frame = pd.DataFrame({"seconds": recording.seconds, "read_seconds": recording.read_seconds})
    for name, values in recording.counts.items():
        is_unknown = name in recording.unknown and not values.any()
        frame[name] = pd.array([None] * len(values) if is_unknown else values, dtype="Int64")
    frame.attrs["unknown"] = dict(recording.unknown)
    return frame.set_index("seconds")
