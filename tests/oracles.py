"""
Compare smapskit with others on the same processes: other files of the kernel, pmap, psutil, jc.

    python tests/oracles.py [PID ...]

Compares all processes that it may read, and prints how many agreed with which oracle. A process
that changed while it was read is omitted and counted.

Other processes start and end and change the values of those that are compared, so that a
difference is only reported. The exit status is 1 if a process that this program started and
stopped differs.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import shutil
import signal
import struct
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from support.pmap_tool import in_ascii, printed
from support.subjects import ALL_MAPPING_KINDS

import smapskit
from smapskit.model.mapping import COUNTERS, kernel_fields

# struct procmap_query of linux/fs.h, kernel 6.11 and later.
_QUERY = struct.Struct("=9Q4I2Q")
_PROCMAP_QUERY = (3 << 30) | (_QUERY.size << 16) | (ord("f") << 8) | 17
_COVERING_OR_NEXT = 0x10
_PSUTIL = {
    "rss": "rss",
    "size": "size",
    "pss": "pss",
    "shared_clean": "shared_clean",
    "shared_dirty": "shared_dirty",
    "private_clean": "private_clean",
    "private_dirty": "private_dirty",
    "referenced": "referenced",
    "anonymous": "anonymous",
    "swap": "swap",
}

Snapshot = smapskit.Snapshot


class Absent(Exception):
    """This oracle is not available here."""


def maps(snapshot: Snapshot, pid: int, _text: bytes) -> Iterator[str]:
    """/proc/PID/maps: the header lines."""
    other = smapskit.read_maps(pid)
    for mine, its in zip(snapshot, other, strict=True):
        for name in ("start", "end", "perms", "offset", "device", "inode", "pathname"):
            if getattr(mine, name) != getattr(its, name):
                yield f"{mine}: {name} is {getattr(its, name)} in maps"


def rollup(snapshot: Snapshot, pid: int, _text: bytes) -> Iterator[str]:
    """/proc/PID/smaps_rollup: the sums."""
    try:
        its = smapskit.read_rollup(pid)
    except smapskit.Unsupported as error:
        raise Absent from error
    yield from map(str, snapshot.check(its))


def again(snapshot: Snapshot, _pid: int, text: bytes) -> Iterator[str]:
    """The text of smaps, written again from the records."""
    if smapskit.format_smaps(snapshot).encode("utf-8", "surrogateescape") != text:
        yield "written again, the text differs"


def frame(snapshot: Snapshot, _pid: int, text: bytes) -> Iterator[str]:
    """The frame of the text, built without records."""
    mine = smapskit.parse_frame(text)
    for name in ("start", "size", *COUNTERS):
        if name in mine and mine[name].notna().all():
            figures = [getattr(mapping, name) for mapping in snapshot]
            if mine[name].tolist() != figures:
                yield f"{name} differs between frame and records"


def query(snapshot: Snapshot, pid: int, _text: bytes) -> Iterator[str]:
    """The ioctl PROCMAP_QUERY: ranges, permissions, page size, offset, inode, device."""
    with Path(f"/proc/{pid}/maps").open("rb") as file:
        for mapping in snapshot:
            if mapping.pathname == "[vsyscall]":  # not an area of the process
                continue
            asked = [_QUERY.size, _COVERING_OR_NEXT, mapping.start, *[0] * 12]
            try:
                answer = fcntl.ioctl(file, _PROCMAP_QUERY, _QUERY.pack(*asked))
            except OSError as error:
                raise Absent from error
            _, _, _, start, end, flags, page, offset, inode, major, minor, *_ = _QUERY.unpack(
                answer
            )
            perms = mapping.perms
            bits = perms.read | perms.write << 1 | perms.execute << 2 | perms.shared << 3
            place = (mapping.start, mapping.end, bits, mapping.offset, mapping.inode)
            mine = (*place, mapping.device, 1024 * (mapping.kernel_page_size or 0))
            its = (start, end, flags, offset, inode, smapskit.Device(major, minor), page)
            if mine != its:
                yield f"{mapping}: the kernel answers {its}"


def pmap(snapshot: Snapshot, pid: int, _text: bytes) -> Iterator[str]:
    """The table of the installed pmap -x, byte for byte (except characters that are not ASCII)."""
    if shutil.which("pmap") is None:
        raise Absent
    if in_ascii(printed("-x", pid)) != in_ascii(smapskit.format_pmap(snapshot)):
        yield "pmap -x prints another table"


def pages_by_scan(snapshot: Snapshot, pid: int, _text: bytes) -> Iterator[str]:
    """Resident and swapped pages by PAGEMAP_SCAN: Rss and Swap of each mapping."""
    try:
        found = smapskit.read_pages(pid, exclusive=False, method="scan")
    except smapskit.Unsupported as error:
        raise Absent from error
    yield from map(str, found.check(snapshot))


def pages_by_entries(snapshot: Snapshot, pid: int, _text: bytes) -> Iterator[str]:
    """The same by the entries of pagemap, and the same pages as by PAGEMAP_SCAN."""
    found = smapskit.read_pages(pid, method="pagemap")
    yield from map(str, found.check(snapshot))
    try:
        scanned = smapskit.read_pages(pid, method="scan")
    except smapskit.Unsupported:
        return
    mask = 0xFF & ~(smapskit.PageFlag.HUGE | smapskit.PageFlag.ZERO)
    mine, its = (each.runs.page_flags() & mask for each in (found, scanned))
    if not (found.addresses().tolist() == scanned.addresses().tolist() and (mine == its).all()):
        yield "PAGEMAP_SCAN and pagemap report different pages"


def psutil(snapshot: Snapshot, pid: int, _text: bytes) -> Iterator[str]:
    """psutil's memory_maps: ten fields, in bytes."""
    try:
        import psutil as other  # noqa: PLC0415  where it is installed
    except ImportError as error:
        raise Absent from error
    for mine, its in zip(snapshot, other.Process(pid).memory_maps(grouped=False), strict=True):
        for name, field in _PSUTIL.items():
            if getattr(its, name) != 1024 * (getattr(mine, field) or 0):
                yield f"{mine}: {name} is {getattr(its, name)} bytes in psutil"


def jc(snapshot: Snapshot, _pid: int, text: bytes) -> Iterator[str]:
    """jc's parser on the same text: every value that both report."""
    try:
        import jc as other  # noqa: PLC0415
    except ImportError as error:
        raise Absent from error
    known = kernel_fields(smapskit.Mapping)
    records = other.parse("proc_pid_smaps", text.decode("utf-8", "replace"), quiet=True)
    for mine, its in zip(snapshot, records, strict=True):
        for name, value in its.items():
            field = known.get(name)
            if field and field.unit != "codes" and getattr(mine, field.attribute) != value:
                yield f"{mine}: {name} is {value} in jc"


ORACLES: dict[str, Callable[[Snapshot, int, bytes], Iterator[str]]] = {
    "maps": maps,
    "smaps_rollup": rollup,
    "PROCMAP_QUERY": query,
    "smaps written again": again,
    "frame without records": frame,
    "pages by PAGEMAP_SCAN": pages_by_scan,
    "pages by pagemap": pages_by_entries,
    "pmap -x": pmap,
    "psutil": psutil,
    "jc": jc,
}


def compare(pid: int, name: str) -> list[str] | None:
    """
    Return the differences from an oracle; None if the process changed during each attempt.

    Raises:
        Absent, SmapskitError, OSError.
    """
    path = Path(f"/proc/{pid}/smaps")
    for _ in range(20):
        before = path.read_bytes()
        snapshot = smapskit.read(pid)
        try:
            found = list(ORACLES[name](snapshot, pid, before))
        except ValueError:  # another number of mappings: the process changed
            found = ["not as many mappings"]
        if path.read_bytes() == before and smapskit.parse_smaps(before).mappings == tuple(snapshot):
            return found
    return None


@contextlib.contextmanager
def stopped_process() -> Iterator[int]:
    """Start a process with mappings of all kinds, and stop it (SIGSTOP)."""
    program = ALL_MAPPING_KINDS
    process = subprocess.Popen([sys.executable, str(program)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGSTOP)
        yield process.pid
    finally:
        process.terminate()
        process.send_signal(signal.SIGCONT)
        process.communicate()


def readable(pids: list[int]) -> Iterator[int]:
    """Yield those that have mappings which this user may read, except this program."""
    for pid in pids:
        with contextlib.suppress(smapskit.SmapskitError):
            if pid != os.getpid() and smapskit.read(pid):
                yield pid


def main() -> int:
    """Compare, and print a table."""
    parser = argparse.ArgumentParser(description="Compare smapskit with other programs.")
    parser.add_argument("pid", nargs="*", type=int, help="by default all that may be read")
    chosen = parser.parse_args().pid
    with stopped_process() as own:
        everybody = sorted(int(p.name) for p in Path("/proc").iterdir() if p.name.isdigit())
        pids = list(readable([*chosen, own] if chosen else everybody))
        print(f"{len(pids)} of {len(everybody)} processes have mappings that may be read")
        return _compare_all(pids, own)


def _compare_all(pids: list[int], own: int) -> int:
    """Print a row for each oracle; return 1 if the process started here differs in any."""
    own_differs = False
    print(f"{'compared with':<24} {'agree':>6} {'differ':>6} {'changed':>6}  mappings")
    for name in ORACLES:
        counts: Counter[str] = Counter()
        told = []
        for pid in pids:
            try:
                found = compare(pid, name)
                size = len(smapskit.read_maps(pid))
            except Absent:
                counts["absent"] += 1
            except (smapskit.SmapskitError, OSError):
                counts["changed"] += 1  # it has ended
            else:
                counts["changed" if found is None else "differ" if found else "agree"] += 1
                counts["mappings"] += size if found == [] else 0
                told += [f"    {pid}: {difference}" for difference in (found or [])[:3]]
                own_differs |= pid == own and bool(found)
        if counts["absent"] and not counts["agree"]:
            print(f"{name:<24} is not available here")
            continue
        figures = " ".join(f"{counts[what]:>6}" for what in ("agree", "differ", "changed"))
        print(f"{name:<24} {figures}  {counts['mappings']:,}", *told, sep="\n")
    return 1 if own_differs else 0


if __name__ == "__main__":
    sys.exit(main())
