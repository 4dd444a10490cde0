"""Tables of pages for a terminal, with a line that shows where in a range the pages are."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import attrs
import numpy as np

from smapskit.model.mapping import Mapping
from smapskit.model.page_runs import Numbers, PageRuns
from smapskit.model.pages import COUNTS, MappingPages, PageCounts, PageFlag, PageRange, Pages
from smapskit.model.residency import Residency
from smapskit.model.totals import Totals, totals
from smapskit.model.working_set import WorkingSet
from smapskit.text import sanitize
from smapskit.views.cells import PLAIN, TableStyle, display_width
from smapskit.views.columns import UNKNOWN, label
from smapskit.views.exports import cell, csv_row
from smapskit.views.tables import label_of_others, split_rows, table_lines

BLOCKS: Final = "·░▒▓█"
"""None, few, half, most and all pages of a part of a range."""
ASCII: Final = ".-+*#"
"""The same for a terminal without these characters."""
SWAPPED: Final = "s"
"""No page of a part is in memory, but some are in swap."""
SCHEMA_VERSION: Final = 1

_COLUMNS: Final = {
    "size": "Size",
    "resident": "RSS",
    "swapped": "Swap",
    "huge": "Huge",
    "active": "Active",
}
"""The headings of the counts that the table of a process has, in kB."""
SHOWN: Final = ("zero", *_COLUMNS)
"""The counts that the table of a process depends on."""
_MIN_MAP: Final = 8
_MIN_NAME: Final = 20
"""The columns that names have before maps are made narrower."""
_BATCH: Final = 1 << 12
"""Ranges whose lines are computed at once: with lines of 64 characters, 20 MiB."""
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
    ranges = (np.array([first], np.int64), np.array([end], np.int64))
    return next(heat_lines(resident, *ranges, width, swapped=swapped, characters=characters))


def heat_lines(
    resident: PageRuns,
    first: Numbers,
    end: Numbers,
    width: int,
    *,
    swapped: PageRuns | None = None,
    characters: str = BLOCKS,
) -> Iterator[str]:
    """
    Yield the line of `heat_line` for each range.

    Many are computed at once: of a process with 65,000 mappings, one by one took 5 s.
    """
    for at in range(0, len(first), _BATCH):
        part = slice(at, at + _BATCH)
        yield from _heat_lines(resident, first[part], end[part], width, swapped, characters)


def _heat_lines(
    resident: PageRuns,
    first: Numbers,
    end: Numbers,
    width: int,
    swapped: PageRuns | None,
    characters: str,
) -> Iterator[str]:
    widths = np.minimum(width, end - first)
    ends = np.cumsum(widths)
    begins = ends - widths
    part = np.arange(ends[-1]) - np.repeat(begins, widths)
    of_range = np.repeat(np.stack((first, end - first, widths)), widths, axis=1)
    low, high = (of_range[0] + at * of_range[1] // of_range[2] for at in (part, part + 1))
    counts = resident.count_within(low, high)
    middle = len(characters) - 2
    # Rounded up: one page is visible in a gigabyte. The last character is for full parts only.
    levels = np.where(counts == high - low, middle + 1, -(-counts * middle // (high - low)))
    if swapped is not None:
        levels[(counts == 0) & (swapped.count_within(low, high) > 0)] = len(characters)
    line = "".join(np.array([*characters, SWAPPED])[levels].tolist())
    return (line[at:to] for at, to in zip(begins.tolist(), ends.tolist(), strict=True))


def format_pages(
    pages: Pages, width: int = 32, characters: str = BLOCKS, style: TableStyle = PLAIN
) -> str:
    """
    Return one row per mapping: what is in memory in kB, in how many runs, and where.

    Args:
        pages: to print.
        width: characters of the line that shows where; fewer in a narrow window.
        characters: see `heat_line`.
        style: how to print it. With `top`, the rows are those with the largest RSS.
    """
    entries = list(zip(pages.ranges, pages.by_mapping(), strict=True))
    if style.top is not None:
        entries.sort(key=lambda entry: entry[1].counts.resident or 0, reverse=True)
    shown, rest = split_rows(entries, style)
    rows = [["Address", *_COLUMNS.values(), "Runs", "Mapping"]]
    for _, row in shown:
        cells = _cells(pages, row.counts, style)
        rows.append([f"{row.start:016x}", *cells, label(row.mapping.pathname)])
    if rest:
        others = _sum(rest)
        rows.append(["", *_cells(pages, others, style), label_of_others(rest)])
    rows.append([style.total, *_cells(pages, pages.counts(), style), ""])
    ranges = [range_ for range_, _ in shown]
    reported = [each for each in ranges if each.is_reported]
    lines = heat_lines(
        pages.runs.select(PageFlag.PRESENT | PageFlag.ZERO, PageFlag.PRESENT),
        np.array([each.first for each in reported], np.int64),
        np.array([each.end for each in reported], np.int64),
        _map_width(rows, width, style),
        swapped=pages.runs.select(PageFlag.SWAPPED | PageFlag.GUARD, PageFlag.SWAPPED),
        characters=characters,
    )
    maps = [next(lines) if each.is_reported else UNKNOWN for each in ranges]
    return _table(_with_maps(rows, maps), style, left=(0, len(rows[0]) - 1))


def _cells(pages: Pages, counts: PageCounts, style: TableStyle) -> list[str]:
    values = [getattr(counts, name) for name in _COLUMNS]
    cells = [style.size(None if v is None else v * pages.page_size // 1024) for v in values]
    return [*cells, UNKNOWN if counts.runs is None else f"{counts.runs:,}"]


def _sum(entries: Sequence[tuple[PageRange, MappingPages]]) -> PageCounts:
    """Return the sums over the mappings whose pages are reported; None where one is not known."""
    sums: dict[str, int | None] = {}
    for name in COUNTS:
        values = [getattr(row.counts, name) for range_, row in entries if range_.is_reported]
        sums[name] = None if None in values or not values else sum(values)
    sums["size"] = sum(row.counts.size for _, row in entries)
    return PageCounts(**sums)  # type: ignore[arg-type]


def _map_width(rows: Sequence[Sequence[str]], width: int, style: TableStyle) -> int:
    """Return the width of the maps, which leaves space for the name in the last column."""
    if style.width is None:
        return width
    columns = list(zip(*rows, strict=True))[:-1]
    used = sum(max(map(display_width, column)) + 1 for column in columns) + 1
    return min(width, max(_MIN_MAP, style.width - used - _MIN_NAME))


def _with_maps(rows: Sequence[Sequence[str]], maps: Sequence[str]) -> list[list[str]]:
    """Add a column before the last one; the rows at the end have no map."""
    cells = ["Map", *maps, *[""] * (len(rows) - len(maps) - 1)]
    return [[*row[:-1], cell, row[-1]] for row, cell in zip(rows, cells, strict=True)]


def format_residencies(
    residencies: Sequence[Residency],
    width: int = 32,
    characters: str = BLOCKS,
    style: TableStyle = PLAIN,
) -> str:
    """
    Return one row per file: what of it is in the page cache in kB, and where.

    Args are those of `format_pages`. With `top`, the rows are those with most in the cache.
    """
    files = list(residencies)
    if style.top is not None:
        files.sort(key=lambda each: each.cached * each.page_size, reverse=True)
    shown, rest = split_rows(files, style)
    rows = [["Size", "Cached", "%", "Dirty", "Runs", "File"]]
    rows += [[*_file_cells([each], style), sanitize(each.path)] for each in shown]
    if rest:
        rows.append([*_file_cells(rest, style), label_of_others(rest)])
    rows.append([*_file_cells(files, style), style.total])
    map_width = _map_width(rows, width, style)
    maps = [heat_line(each.runs, 0, each.pages, map_width, characters=characters) for each in shown]
    return _table(_with_maps(rows, maps), style, left=(5,))


def _file_cells(files: Sequence[Residency], style: TableStyle) -> list[str]:
    cached = sum(each.cached * each.page_size for each in files)
    whole = sum(each.pages * each.page_size for each in files)
    dirty = [None if each.dirty is None else each.dirty * each.page_size for each in files]
    return [
        style.size(sum(-(-each.size // 1024) for each in files)),
        style.size(cached // 1024),
        f"{100 * cached // whole}" if whole else UNKNOWN,
        style.size(None if None in dirty else sum(dirty) // 1024),  # type: ignore[arg-type]
        f"{sum(len(each.runs) for each in files):,}",
    ]


def format_working_set(found: WorkingSet, style: TableStyle = PLAIN) -> str:
    """Return one row per mapping that was touched, in kB, the most first, and the total."""
    touched = sorted(
        (mapping for mapping in found.snapshot if mapping.referenced),
        key=lambda mapping: mapping.referenced or 0,
        reverse=True,
    )
    shown, rest = split_rows(touched, style)
    rows = [["Address", "Size", "RSS", "Touched", "Mapping"]]
    for mapping in shown:
        cells = _touched_cells(mapping, style)
        rows.append([f"{mapping.start:016x}", *cells, label(mapping.pathname)])
    if rest:
        rows.append(["", *_touched_cells(totals(rest), style), label_of_others(rest)])
    sums = _touched_cells(found.snapshot.totals(), style)
    rows.append([style.total, *sums, f"within {found.seconds:.1f} s"])
    return _table(rows, style, left=(0,))


def _touched_cells(usage: Mapping | Totals, style: TableStyle) -> list[str]:
    return [style.size(value) for value in (usage.size, usage.rss, usage.referenced)]


def _table(rows: list[list[str]], style: TableStyle, left: tuple[int, ...]) -> str:
    return "\n".join([*table_lines(rows, style, left=left), ""])


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
