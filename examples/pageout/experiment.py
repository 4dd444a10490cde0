"""One run: a workload in a memory cgroup of its own, recorded from outside it."""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import attrs
from cgroup import CannotBeMade, MemoryGroup

import smapskit
from smapskit.sources.recording import Recording, Sample

HERE = Path(__file__).parent
MIB = 1 << 20
FILE, REST = "the mapped file", "all else"
"""The two groups of a run's recording."""

_MARGIN = 4
"""How many times the limit must be free, so that nothing but the workload feels it."""
_IN_MEMORY = {0x01021994: "tmpfs", 0x858458F6: "ramfs", 0x958458F6: "hugetlbfs"}
"""File systems whose pages can't be written back to anything, by their number in statfs(2)."""
_PMAP_EVERY = 6


@attrs.frozen
class Plan:
    """What to do: sizes in bytes, times in seconds."""

    limit: int = 256 * MIB
    file_size: int = 512 * MIB
    step: int = 4 * MIB
    pattern: Literal["sequential", "random", "reread"] = "sequential"
    swap: bool = False
    high: int | None = None
    stretch: int = 8 * MIB
    read_pause: float = 0.05
    hold: float = 2.0
    step_pause: float = 0.15
    read_timeout: float = 15.0
    reread_time: float = 0.5
    interval: float = 0.25
    timeout: float = 60.0
    file: Path | None = None
    """A file to map; None to make a sparse one, new, which is gone with the run."""
    folder: Path = attrs.field(factory=lambda: Path(tempfile.gettempdir()))
    """Where to make it."""

    @property
    def stop(self) -> int:
        """The size of all blocks at which the workload stops by itself."""
        return self.limit * 3 // 2


def check(plan: Plan) -> MemoryGroup:
    """
    See whether this machine can do it, and where the group may be made.

    Raises:
        CannotBeMade: it can't; nothing has been changed.
    """
    if sys.platform != "linux":
        raise CannotBeMade(f"page-out is watched on Linux; this is {platform.system()}")
    facts = Path("/proc/meminfo").read_text()
    memory = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in facts.splitlines()}
    needed = _MARGIN * plan.limit
    if memory["MemAvailable"] < needed:
        raise CannotBeMade(
            f"{memory['MemAvailable'] // MIB} MiB of memory are available, and {needed // MIB} "
            f"({_MARGIN} times the limit) are needed (a smaller --limit takes less)"
        )
    if plan.swap and not memory["SwapTotal"]:
        raise CannotBeMade("this machine has no swap to show (--swap none)")
    where = plan.file or plan.folder
    system = _IN_MEMORY.get(_file_system(where))
    if system is not None:
        raise CannotBeMade(
            f"{where} is on {system}, whose pages have no file on a disk to go to "
            "(--folder DIR takes one on a disk)"
        )
    group = MemoryGroup.find()
    if plan.high is not None and group.version == 1:
        raise CannotBeMade("--high takes cgroup v2; on this machine v1 has the memory controller")
    for around, limit in group.around():
        if limit < needed:
            raise CannotBeMade(
                f"the group {around} around this process is limited to {limit // MIB} MiB, and "
                f"{needed // MIB} are needed (a smaller --limit takes less)"
            )
    if plan.file is not None:
        cached = cached_pages(plan.file)
        if cached:
            raise CannotBeMade(
                f"{cached * mmap.PAGESIZE // MIB} MiB of {plan.file} are in the page cache "
                "already, charged to others than this run's group: its limit would not hold them"
            )
    return group


def run(plan: Plan, group: MemoryGroup, tell: Callable[[str], object]) -> Recording:
    """
    Do it, and keep what was seen.

    Args:
        plan: what to do.
        group: what `check` found.
        tell: called with a line at each phase.

    Returns:
        A recording by FILE and REST, marked with the phases, whose notes hold the facts.
    """
    with ExitStack() as stack:
        stack.enter_context(_made(group, plan))
        file = stack.enter_context(_file(plan))
        name = str(Path(f"/proc/self/fd/{file}").readlink())
        workload = stack.enter_context(_started(plan, group, file))
        said = _Said(workload, tell)
        watch = _Watch(workload, said)

        def which(mapping: smapskit.Mapping) -> str:
            return FILE if mapping.pathname == name else REST

        recording = smapskit.record(
            workload.pid, plan.interval, plan.timeout, by=which, on_sample=watch.look
        )
        with suppress(subprocess.TimeoutExpired):
            workload.wait(1)
        timed_out = workload.poll() is None
        if timed_out:
            workload.kill()
        status = workload.wait()
        ended = time.monotonic()
        said.listen()
        notes = {
            "plan": attrs.asdict(plan, value_serializer=_plain),
            "machine": _machine(),
            "kernel": platform.release(),
            "python": platform.python_version(),
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "cgroup": group.version,
            "exit": status,
            "oom_kills": group.oom_kills(),
            "timed_out": timed_out,
            "steps": [[round(at - watch.began, 3), size] for at, size in said.steps],
            "pmap": watch.pmap,
        }
        end = "OOM-killed" if status == -signal.SIGKILL and notes["oom_kills"] else "ended"
        marks = [*said.phases, (ended, end)]
    for at, event in marks:
        recording = recording.add_marker(round(max(0.0, at - watch.began), 3), event)
    return attrs.evolve(recording, command="pageout workload", by="file", notes=notes)


class _Said:
    """What the workload has said so far."""

    def __init__(self, workload: subprocess.Popen[bytes], tell: Callable[[str], object]) -> None:
        assert workload.stdout is not None  # noqa: S101  asked for
        self.pipe = workload.stdout
        self.tell = tell
        self.phases: list[tuple[float, str]] = []
        self.steps: list[tuple[float, int]] = []
        if not self.pipe.readline():
            raise CannotBeMade(f"the workload ended before it began, with {workload.wait()}")
        os.set_blocking(self.pipe.fileno(), False)

    def listen(self) -> None:
        for line in iter(self.pipe.readline, b""):
            said: dict[str, Any] = json.loads(line)
            if "allocated" in said:
                self.steps.append((said["at"], said["allocated"]))
            elif "phase" in said:
                self.phases.append((said["at"], said["phase"]))
                self.tell(said["phase"])
            else:
                self.tell(said["note"])


class _Watch:
    """Looks at each sample as it comes; starts the workload after the first."""

    def __init__(self, workload: subprocess.Popen[bytes], said: _Said) -> None:
        self.workload = workload
        self.said = said
        self.began = 0.0
        self.pmap: list[dict[str, float]] = []
        self.count = 0

    def look(self, rows: Sequence[Sample]) -> None:
        if not self.count:
            self.began = time.monotonic() - rows[0].read_seconds - rows[0].seconds
            assert self.workload.stdin is not None  # noqa: S101  asked for
            self.workload.stdin.write(b"go\n")
            self.workload.stdin.flush()
        elif self.count % _PMAP_EVERY == 0 and shutil.which("pmap"):
            self.pmap += _pmap(self.workload.pid, rows[0].seconds)
        self.count += 1
        self.said.listen()


def _pmap(pid: int, seconds: float) -> list[dict[str, float]]:
    """What pmap -x itself says at this moment, in kB."""
    command = ["pmap", "-x", str(pid)]
    ran = subprocess.run(command, capture_output=True, check=False)
    with suppress(smapskit.ParseError):
        table = smapskit.parse_pmap(ran.stdout)
        if table:
            rss = table.totals().rss or 0
            return [{"seconds": seconds, "rss": rss, "shared_rss": table.shared_rss()}]
    return []  # it was over


@contextmanager
def _made(group: MemoryGroup, plan: Plan) -> Iterator[None]:
    """The group; removed in the end, by a janitor of its own should this process be killed."""
    command = [sys.executable, str(HERE / "cgroup.py"), str(group.path), str(group.version)]
    janitor = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
    assert janitor.stdin is not None  # noqa: S101  asked for
    with janitor:
        try:
            group.make(plan.limit, swap=plan.swap, high=plan.high)
            janitor.stdin.write(b"%d\n" % (group.inode or 0))
            janitor.stdin.flush()
            yield
        finally:
            group.remove()


@contextmanager
def _file(plan: Plan) -> Iterator[int]:
    """A descriptor of the file to map; one made here has no name any more."""
    if plan.file is not None:
        descriptor = os.open(plan.file, os.O_RDONLY)
    else:
        descriptor, name = tempfile.mkstemp(prefix="smapskit-pageout-", dir=plan.folder)
        Path(name).unlink()
        os.ftruncate(descriptor, plan.file_size)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _started(plan: Plan, group: MemoryGroup, file: int) -> Iterator[subprocess.Popen[bytes]]:
    words = {
        **attrs.asdict(plan, value_serializer=_plain),
        "fd": file,
        "group": group.path.name,
        "parent": os.getpid(),
        "stop": plan.stop,
    }
    with subprocess.Popen(
        [sys.executable, "-I", str(HERE / "workload.py"), json.dumps(words)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        pass_fds=[file],
        start_new_session=True,  # a Ctrl-C is this process's to handle
        # Before it is a program, so that all its memory is the group's; there are no threads.
        preexec_fn=group.join,  # noqa: PLW1509
    ) as workload:
        try:
            yield workload
        finally:
            workload.kill()


def cached_pages(path: Path) -> int:
    """How many pages of a file are in the page cache now, by mincore(2)."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if not size:
            return 0
        with mmap.mmap(file.fileno(), size, mmap.MAP_PRIVATE) as mapped:
            pages = (ctypes.c_ubyte * -(-size // mmap.PAGESIZE))()
            start = ctypes.byref(ctypes.c_char.from_buffer(mapped))
            libc = ctypes.CDLL(None, use_errno=True)
            if libc.mincore(start, ctypes.c_size_t(size), pages) != 0:
                raise OSError(ctypes.get_errno(), "mincore")
            del start
            return sum(page & 1 for page in pages)


def _file_system(path: Path) -> int:
    facts = (ctypes.c_long * 64)()  # larger than any struct statfs; f_type comes first
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.statfs(os.fsencode(path), facts) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(path))
    return facts[0] & 0xFFFFFFFF


def _machine() -> str:
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return f"{platform.machine()}, {os.cpu_count()} CPUs, {pages / (1 << 30):.0f} GiB"


def _plain(_instance: type, _field: object, value: object) -> object:
    return str(value) if isinstance(value, Path) else value
