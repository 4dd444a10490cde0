"""
Read chosen fields of live processes as text, or their sums, without records.

What is printed as a table is read this way: it takes a quarter of the time, and neither attrs nor
NumPy is loaded. A process whose text is unusual is read as records.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from collections.abc import Mapping as MappingOf
from functools import partial
from operator import itemgetter
from os import PathLike
from typing import Any, Final, NamedTuple

from smapskit.errors import ProcessNotFound, Unsupported
from smapskit.formats.smaps.chunks import split_between_records
from smapskit.formats.smaps.grammar import parse_vm_flags
from smapskit.formats.smaps.scan import HEADER_PARTS, FieldScanner, Row
from smapskit.model.backing import backing_of_key, sharing_of
from smapskit.model.sums import ProcessSums, Sums, add_sums
from smapskit.sources import procfs
from smapskit.sources.processes import Progress, read_processes
from smapskit.text import decode

_FIELDS: Final = (
    *("Size", "KernelPageSize", "Rss", "Pss", "Shared_Dirty"),
    *("Private_Clean", "Private_Dirty", "Swap", "VmFlags"),
)
"""In the order of the kernel."""
_key_of_row: Final = itemgetter(6, 2, 4, HEADER_PARTS + 8, HEADER_PARTS + 1)
"""The values of `Columns.classification_keys`, as text."""
_FIELDS_OF_ROLLUP: Final = ("Rss", "Pss", "Private_Clean", "Private_Dirty", "Swap")

GROUPS: Final[dict[str, Callable[[tuple[Any, ...]], Any]]] = {
    "backing": backing_of_key,
    "sharing": lambda key: sharing_of(key[1][3] == "s"),
    "perms": lambda key: key[1],
    "pathname": lambda key: key[0],
}
"""The groups that depend on one mapping alone, from its name, permissions, device and so on."""


def scan_process(
    pid: int,
    name: str,
    scanner: FieldScanner,
    add: Callable[[list[Row]], object],
    proc: str | PathLike[str] = procfs.PROC,
) -> str | None:
    """
    Scan a file of a process.

    Args:
        pid: of the process.
        name: smaps, maps or smaps_rollup.
        scanner: finds the fields; it may have been used for other processes.
        add: called with the rows of each chunk of the text, which are none if it is empty.
        proc: where procfs is mounted.

    Returns:
        The command line. None where the process must be read as records: its text is not regular,
        or it called exec meanwhile; the rows are then not valid.

    Raises:
        ProcessNotFound, AccessDenied, Unsupported, OSError: as `smapskit.read`.
    """
    text = procfs.ProcessText(pid, name, proc)
    try:
        for chunk in split_between_records(text):
            rows = scanner.scan(chunk)
            if rows is None:
                return None
            add(rows)
    except procfs.ExecDuringRead:
        return None
    return text.command if text.is_steady else None


class SumScanner:
    """Reads the sums of processes by group."""

    def __init__(self, by: str) -> None:
        """Prepare to read processes; `by` is a name in `GROUPS`."""
        self._scanner = FieldScanner(_FIELDS)
        self._group_of_key = GROUPS[by]
        self._groups: dict[tuple[bytes, ...], Any] = {}

    def read(
        self, pid: int, proc: str | PathLike[str] = procfs.PROC
    ) -> tuple[str, dict[Any, Sums]] | None:
        """Return the command line and the sums by group; None as `scan_process`."""
        parts: dict[Any, list[Sums]] = {}

        def add(rows: list[Row]) -> None:
            for group, members in self._by_group(rows).items():
                parts.setdefault(group, []).append(_sums_of_rows(members))

        command = scan_process(pid, "smaps", self._scanner, add, proc)
        if command is None:
            return None
        return command, {group: add_sums(sums) for group, sums in parts.items()}

    def _by_group(self, rows: list[Row]) -> dict[Any, list[Row]]:
        members: dict[Any, list[Row]] = {}
        groups = self._groups
        for key, row in zip(map(_key_of_row, rows), rows, strict=True):
            if key not in groups:
                groups[key] = self._group_of_key(_classification_key(key))
            members.setdefault(groups[key], []).append(row)
        return members


def _classification_key(key: tuple[bytes, ...]) -> tuple[Any, ...]:
    """Return the values of `Columns.classification_keys` for the same texts."""
    path, perms, device, flags, page_size = key
    return decode(path), perms.decode(), device.decode(), parse_vm_flags(flags), int(page_size)


def _sums_of_rows(rows: list[Row]) -> Sums:
    columns = [*zip(*rows, strict=True)][HEADER_PARTS:]
    size, _, rss, pss, shared_dirty, private_clean, private_dirty, swap, _ = columns
    private_dirty_kb = sum(map(int, private_dirty))
    return Sums(
        count=len(rows),
        size=sum(map(int, size)),
        rss=sum(map(int, rss)),
        pss=sum(map(int, pss)),
        uss=sum(map(int, private_clean)) + private_dirty_kb,
        dirty=sum(map(int, shared_dirty)) + private_dirty_kb,
        swap=sum(map(int, swap)),
    )


class SystemSums(NamedTuple):
    """The memory of all processes of a machine that could be read."""

    processes: list[tuple[int, Any, str]]
    """Pid, sums and command line of each process with an address space; none if grouped."""
    groups: dict[Any, tuple[int, Any]]
    """By group: how many processes have such mappings, and the sums over all of them."""
    unreadable: dict[int, str]
    """The reason by pid."""


def read_system_sums(
    by: str | None = None,
    *,
    pids: Iterable[int] | None = None,
    proc: str | PathLike[str] = procfs.PROC,
    progress: Progress | None = None,
) -> SystemSums:
    """
    Read what `read_system` reads, as far as tables show it.

    Args:
        by: a name in `GROUPS`, or None. All else is as in `read_system`.
        pids: the processes to read; None for all.
        proc: where procfs is mounted.
        progress: called after each process.
    """
    processes: list[tuple[int, Any, str]] = []
    members: dict[Any, list[Any]] = {}
    rollup_scanner = FieldScanner(_FIELDS_OF_ROLLUP)

    def read_usage(pid: int) -> None:
        command, usage = _read_rollup(pid, rollup_scanner, proc) or _read_usage(pid, proc)
        processes.append((pid, usage, command))

    def read_groups(pid: int, by: str, scanner: SumScanner) -> None:
        _, groups = scanner.read(pid, proc) or _read_groups(pid, by, proc)
        for group, sums in groups.items():
            members.setdefault(group, []).append(sums)

    read = read_usage if by is None else partial(read_groups, by=by, scanner=SumScanner(by))
    unreadable = read_processes(read, proc, progress, pids)
    groups = {group: (len(parts), add_sums(parts)) for group, parts in members.items()}
    return SystemSums(processes, groups, unreadable)


def _read_rollup(
    pid: int, scanner: FieldScanner, proc: str | PathLike[str]
) -> tuple[str, ProcessSums] | None:
    rows: list[Row] = []
    try:
        command = scan_process(pid, "smaps_rollup", scanner, rows.extend, proc)
    except Unsupported:  # before kernel 4.14
        return None
    if command is None:
        return None
    if not rows:
        raise ProcessNotFound(f"process {pid} has no memory map", pid=pid)
    rss, pss, private_clean, private_dirty, swap = map(int, rows[0][HEADER_PARTS:])
    return command, ProcessSums(rss, pss, private_clean + private_dirty, swap)


def _read_usage(pid: int, proc: str | PathLike[str]) -> tuple[str, Any]:
    from smapskit.sources.system import read_usage  # noqa: PLC0415  slow to import

    reading = read_usage(pid, proc)
    return reading.command, reading.value


def _read_groups(pid: int, by: Any, proc: str | PathLike[str]) -> tuple[str, MappingOf[Any, Any]]:
    from smapskit.sources.process import read_sums_text  # noqa: PLC0415  slow to import

    reading = read_sums_text(pid, by, proc)
    return reading.command, reading.value
