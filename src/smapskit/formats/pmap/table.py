"""
Format the tables of pmap from columns of values.

No records are needed, so that the command line prints a table without importing attrs: a start
takes 38 ms of CPU time instead of 113.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from collections.abc import Mapping as MappingOf
from itertools import compress
from typing import Any, Final, NamedTuple

from smapskit.formats.pmap.columns import MODE
from smapskit.formats.pmap.dialects import (
    FLAGS_COLUMN,
    MAPPING_COLUMN,
    OMITTED_BY_X,
    SHARED,
    WRITABLE_PRIVATE,
    Dialect,
    LayoutName,
)
from smapskit.model.backing import PMAP_ANON, PMAP_STACK
from smapskit.text import sanitize

UNKNOWN: Final = "-"
_SYSV = re.compile(r"/SYSV[0-9a-f]{8}")
# Names of the kernel that are not paths: pmap prints the same word for all of them.
_PATHLESS = re.compile(r"\[.*\]|(?:anon_inode|socket|pipe|dmabuf):.*|", re.DOTALL)


def plain_table(
    columns: Sequence[Sequence[Any]], dialect: Dialect, *, quiet: bool
) -> Iterator[str]:
    """
    Yield the lines of a table.

    Args:
        columns: those of the dialect, in order, with one value per mapping.
        dialect: one that has formats for writing.
        quiet: no header and no footer.
    """
    if dialect.header and not quiet:
        yield dialect.header
    yield from map(dialect.row.__mod__, zip(*columns, strict=True))
    if quiet:
        return
    if dialect.separator:
        yield dialect.separator
    values = dict(zip(dialect.columns, columns, strict=True))
    sums: dict[str, int | str] = {counter: _sum(values[counter]) for counter in dialect.counters}
    if f"{{{SHARED}}}" in dialect.total:
        modes, sizes = values[MODE], values["size"]
        for name, is_counted in ((WRITABLE_PRIVATE, _is_writable_private), (SHARED, _is_shared)):
            counted = set(filter(is_counted, set(modes)))
            sums[name] = sum(compress(sizes, map(counted.__contains__, modes)))
    yield dialect.total.format_map(sums)


def _is_writable_private(mode: str) -> bool:
    return mode[1] + mode[3] == "w-"


def _is_shared(mode: str) -> bool:
    return mode[3] == "s"


class DetailColumns(NamedTuple):
    """The columns of a table of -X, by heading, with one value per mapping."""

    texts: MappingOf[str, Sequence[str]]
    """Those before the counters, the address first."""
    counters: MappingOf[str, Sequence[int | None]]
    flags: Sequence[str] | None
    """The last two columns; None to omit them."""
    names: Sequence[str] | None

    def text_widths(self, *, quiet: bool) -> dict[str, int]:
        """Return the widths of the columns of text, except that of the names."""
        columns = {**self.texts, **({} if self.flags is None else {FLAGS_COLUMN: self.flags})}
        return {
            name: max([0 if quiet else len(name), *map(len, column)])
            for name, column in columns.items()
        }


def detail_table(
    columns: DetailColumns, text_widths: MappingOf[str, int], widths: dict[str, int], *, quiet: bool
) -> Iterator[str]:
    """
    Yield the lines of -X.

    Args:
        columns: what to print.
        text_widths: of the columns of text.
        widths: of the counters in the tables before; updated.
        quiet: no header and no footer.
    """
    counters = columns.counters
    sums = {name: sum(filter(None, column)) for name, column in counters.items()}
    for name, column in counters.items():
        values = [value for value in column if value is not None] if quiet else []
        least = [] if quiet else [len(name), len(str(sums[name]))]  # no value is wider than the sum
        widths[name] = max([widths.get(name, 0), *least, *(len(str(value)) for value in values)])
    all_widths = {**text_widths, **widths}
    before = [*columns.texts, *counters]
    after = [] if columns.flags is None else [FLAGS_COLUMN]
    if not quiet:
        line = "".join(f"{heading:>{all_widths[heading]}} " for heading in [*before, *after])
        yield line + ("" if columns.names is None else MAPPING_COLUMN)
    row = " ".join(f"%{all_widths[heading]}s" for heading in [*before, *after])
    cells: list[Sequence[Any]] = [*columns.texts.values(), *map(_known, counters.values())]
    cells += [] if columns.flags is None else [columns.flags]
    if columns.names is not None:
        row += " %s"
        cells.append(columns.names)
    yield from map(row.__mod__, zip(*cells, strict=True))
    if not quiet and counters:
        gap = " " * sum(text_widths[name] + 1 for name in columns.texts)
        yield gap + "".join("=" * widths[name] + " " for name in counters)
        yield gap + "".join(f"{sums[name]:>{widths[name]}} " for name in counters) + "KB "


def has_detail_column(layout: LayoutName | Collection[str], name: str) -> bool:
    """Return whether a table of -X, of -XX or of the columns of an rc file has a column."""
    if isinstance(layout, str):
        return layout == "XX" or name not in OMITTED_BY_X
    return name in layout


def process_line(pid: int, command: str | None) -> str:
    """Return the line that names the process."""
    return f"{pid}:   {sanitize(command or '')}"


def mode_of(perms: str) -> str:
    """Return the kernel's four characters as the five of pmap."""
    return f"{perms[:3]}{'s' if perms[3] == 's' else '-'}-"


offset_of: Final[Callable[[int], str]] = "%016x".__mod__
"""Return an offset in a file as the table of -d prints it."""


def device_of(major: int, minor: int) -> str:
    """Return a device as the table of -d prints it."""
    return f"{major:03x}:{minor:05x}"


def name_of(name: str, device_major: int | None, inode: int | None, *, show_path: bool) -> str:
    """
    Return a mapping's name as pmap prints it, safe for a terminal.

    Args:
        name: from the kernel or from a pmap text.
        device_major: None where the source does not report it.
        inode: None where the source does not report it.
        show_path: print the whole path instead of its last part.
    """
    return sanitize(_name_of(name, device_major, inode, show_path=show_path))


def _name_of(name: str, device_major: int | None, inode: int | None, *, show_path: bool) -> str:
    if name.startswith("[ "):
        return f"  {name}"  # read from a pmap text
    if device_major == 0 and _SYSV.match(name):
        # The shmid is the inode, which the pmap of SLES does not print.
        return name if inode is None else f"  [ shmid=0x{inode:x} ]"
    slash = name.rfind("/")
    if slash >= 0:
        return name[name.find("/") :] if show_path else name[slash + 1 :] or "/"
    if name == "[stack]":
        return f"  {PMAP_STACK}"
    # A pmap text reports no inode; there a name without a slash is that of a file.
    return name if inode is None or not _PATHLESS.fullmatch(name) else f"  {PMAP_ANON}"


def detail_name(path: str, *, show_path: bool) -> str:
    """Return a mapping's name as -X prints it, safe for a terminal."""
    return sanitize(path if show_path else path.rpartition("/")[2])


def _known(column: Sequence[int | None]) -> Sequence[int | str]:
    """Return the values of a column as cells."""
    return [UNKNOWN if value is None else value for value in column]


def _sum(column: Collection[int | str]) -> int | str:
    """Sum the known values of a column: unknown if all of them are, 0 if there are none."""
    known: list[Any] = [value for value in column if value != UNKNOWN]
    return sum(known) if known or not column else UNKNOWN
