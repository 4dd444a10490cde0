"""Tables of pages for a terminal, with a line that shows where in a range the pages are."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, Final

import attrs
import numpy as np

from smapskit.model.page_runs import PageRuns
from smapskit.model.pages import COUNTS, PageCounts, PageFlag, Pages
from smapskit.model.residency import Residency
from smapskit.model.working_set import WorkingSet
from smapskit.text import sanitize
from smapskit.views.columns import UNKNOWN, label
from smapskit.views.exports import cell, csv_row
from smapskit.views.tables import justify

BLOCKS: Final = "·░▒▓█"
"""None, few, half, most and all pages of a part of a range."""
ASCII: Final = ".-+*#"
"""The same for a terminal without these characters."""
SWAPPED: Final = "s"
"""No page of a part is in memory, but some are in swap."""
SCHEMA_VERSION: Final = 1

_COLUMNS: Final = {
    "size": "Size",
    "resident": "Resident",
    "swapped": "Swapped",
    "huge": "Huge",
    "active": "Active",
}
"""The headings of the counts that the table of a process has, in kB."""
SHOWN: Final = ("zero", *_COLUMNS)
"""The counts that the table of a process depends on."""
_OF_FILE: Final = ("dirty", "writeback", "evicted", "recently_evicted")


def heat_line(
    resident: PageRuns,
    first: int,
    end: int,
    width: int,
    *,
    swapped: PageRuns | None = None,
    characters: str = BLOCKS,
) -> str:
    """
    Return one character for each part of a range of pages.

    Args:
        resident: the pages that are in memory.
        first: the first page of the range.
        end: after the last page.
        width: number of parts; fewer if there are fewer pages.
        swapped: the pages that are in swap.
        characters: `BLOCKS` or `ASCII`. The first means that no page of the part is in memory,
            the last that all are.
    """
    width = min(width, end - first)
    bounds = first + np.arange(width + 1, dtype=np.int64) * (end - first) // max(width, 1)
    sizes = bounds[1:] - bounds[:-1]
    counts = resident.count_within(bounds[:-1], bounds[1:])
    middle = len(characters) - 2
    # Rounded up: one page is visible in a gigabyte. The last character is for full parts only.
    levels = np.where(counts == sizes, middle + 1, -(-counts * middle // sizes))
    line = [characters[level] for level in levels.tolist()]
    if swapped is not None:
        in_swap = swapped.count_within(bounds[:-1], bounds[1:])
        for at in np.flatnonzero((counts == 0) & (in_swap > 0)).tolist():
            line[at] = SWAPPED
    return "".join(line)


def format_pages(pages: Pages, width: int = 32, characters: str = BLOCKS) -> str:
    """
    Return one row per mapping: what is in memory in kB, in how many runs, and where.

    Args:
        pages: to print.
        width: characters of the line that shows where.
        characters: see `heat_line`.
    """
    resident = pages.runs.select(PageFlag.PRESENT | PageFlag.ZERO, PageFlag.PRESENT)
    swapped = pages.runs.select(PageFlag.SWAPPED | PageFlag.GUARD, PageFlag.SWAPPED)
    rows = [["Address", *_COLUMNS.values(), "Runs", "Map", "Mapping"]]
    for range_, row in zip(pages.ranges, pages.by_mapping(), strict=True):
        line = UNKNOWN
        if range_.is_reported:
            line = heat_line(
                resident, range_.first, range_.end, width, swapped=swapped, characters=characters
            )
        name = label(row.mapping.pathname)
        rows.append([f"{row.start:016x}", *_kb(pages, row.counts), line, name])
    rows.append(["total kB", *_kb(pages, pages.counts()), "", ""])
    return _table(rows, left=(0, len(rows[0]) - 2))


def _kb(pages: Pages, counts: PageCounts) -> list[str]:
    values = [getattr(counts, name) for name in _COLUMNS]
    cells = [UNKNOWN if v is None else str(v * pages.page_size // 1024) for v in values]
    return [*cells, UNKNOWN if counts.runs is None else str(counts.runs)]


def format_residencies(
    residencies: Sequence[Residency], width: int = 32, characters: str = BLOCKS
) -> str:
    """Return one row per file: what of it is in the page cache in kB, and where."""
    rows = [["Size", "Cached", "%", "Dirty", "Runs", "Map", "File"]]
    for each in residencies:
        dirty = UNKNOWN if each.dirty is None else str(each.dirty * each.page_size // 1024)
        line = heat_line(each.runs, 0, each.pages, width, characters=characters)
        share = f"{100 * each.cached // each.pages}" if each.pages else UNKNOWN
        cached = str(each.cached * each.page_size // 1024)
        size = str(-(-each.size // 1024))
        rows.append([size, cached, share, dirty, str(len(each.runs)), line, sanitize(each.path)])
    return _table(rows, left=(5,))


def format_working_set(found: WorkingSet) -> str:
    """Return one row per mapping that was touched, in kB, the most first, and the total."""
    touched = [(m.referenced, m) for m in found.snapshot if m.referenced]
    touched.sort(key=lambda each: each[0], reverse=True)
    rows = [["Address", "Size", "RSS", "Touched", "Mapping"]]
    for referenced, mapping in touched:
        rss = UNKNOWN if mapping.rss is None else str(mapping.rss)
        name = label(mapping.pathname)
        rows.append([f"{mapping.start:016x}", str(mapping.size), rss, str(referenced), name])
    totals = found.snapshot.totals()
    known = [UNKNOWN if v is None else str(v) for v in (totals.rss, totals.referenced)]
    rows.append(["total kB", str(totals.size), *known, f"within {found.seconds:.1f} s"])
    return _table(rows, left=(0,))


def _table(rows: list[list[str]], left: tuple[int, ...]) -> str:
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]) - 1)]
    lines = (line.rstrip() for line in justify(rows, widths, left))
    return "\n".join([*lines, ""])


def pages_to_json(processes: Iterable[Pages], files: Iterable[Residency]) -> str:
    """Return one JSON document; counts are numbers of pages, unknown ones null with a reason."""
    document = {
        "schema": SCHEMA_VERSION,
        "unit": "pages",
        "processes": [_process(pages) for pages in processes],
        "files": [_file(residency) for residency in files],
    }
    return json.dumps(document) + "\n"


def _process(pages: Pages) -> dict[str, Any]:
    return {
        "pid": pages.pid,
        "command": None if pages.command is None else sanitize(pages.command),
        "time": None if pages.time is None else pages.time.isoformat(),
        "page_size": pages.page_size,
        "unknown": dict(pages.unknown),
        "notes": list(pages.notes),
        "totals": attrs.asdict(pages.counts()),
        "mappings": [
            {
                "start": f"{row.start:x}",
                "end": f"{row.end:x}",
                "perms": str(row.mapping.perms),
                "pathname": sanitize(row.mapping.pathname),
                **attrs.asdict(row.counts),
            }
            for row in pages.by_mapping()
        ],
    }


def _file(residency: Residency) -> dict[str, Any]:
    return {
        "path": sanitize(residency.path),
        "time": None if residency.time is None else residency.time.isoformat(),
        "size": residency.size,
        "page_size": residency.page_size,
        "pages": residency.pages,
        "cached": residency.cached,
        **{name: getattr(residency, name) for name in _OF_FILE},
        "unknown": dict(residency.unknown),
        "runs": [[first, end - first] for first, end, _ in residency.runs],
    }


def pages_to_csv(processes: Iterable[Pages]) -> str:
    """Return one row per mapping with its numbers of pages; unknown ones are empty cells."""
    lines = [csv_row(["pid", "start", "end", "perms", "pathname", "page_size", *COUNTS])]
    for pages in processes:
        for row in pages.by_mapping():
            first = [pages.pid, f"{row.start:x}", f"{row.end:x}"]
            names = [cell(str(row.mapping.perms)), cell(row.mapping.pathname)]
            counts = [getattr(row.counts, name) for name in COUNTS]
            lines.append(csv_row([*first, *names, pages.page_size, *counts]))
    return "".join(lines)


def residencies_to_csv(files: Iterable[Residency]) -> str:
    """Return one row per file with its numbers of pages; unknown ones are empty cells."""
    names = ("size", "page_size", "pages", "cached", *_OF_FILE)
    lines = [csv_row(["path", *names])]
    lines += [
        csv_row([cell(each.path), *(getattr(each, name) for name in names)]) for each in files
    ]
    return "".join(lines)
