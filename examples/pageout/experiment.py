"""Make one run: a workload in a memory cgroup of its own, recorded from outside the group."""

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
from typing import Any

import attrs
from cgroup import CannotRun, MemoryGroup
from kernel_log import explain_kill
from page_run import PageRun, PageRunRecorder
from patterns import PATTERNS, Region

import smapskit

HERE = Path(__file__).parent
MIB = 1 << 20
FILE, REST = "the mapped file", "all else"
"""The two groups of the recording of a run."""
SNAPSHOT_WHEN = "anon > 80% of limit"
"""RSS would be at the limit from the beginning: pages of the file fill it."""

_MARGIN = 4
"""Times the limit that must be available, so that no other process is affected."""
_MEMORY_FILE_SYSTEMS = {0x01021994: "tmpfs", 0x858458F6: "ramfs", 0x958458F6: "hugetlbfs"}
"""File systems whose pages cannot be written to a disk, by their number in statfs(2)."""
_SAMPLES_PER_PMAP = 6


def _by_pages(with_pages: float, without: float) -> Any:
    """Return a field of a plan whose default depends on whether pages are recorded."""
    return attrs.field(
        default=attrs.Factory(lambda plan: with_pages if plan.pages else without, takes_self=True)
    )


@attrs.frozen
class Plan:
    """The parameters of a run: sizes in bytes, times in seconds."""

    limit: int = 256 * MIB
    file_size: int = 512 * MIB
    step: int = 4 * MIB
    """Bytes of one allocation."""
    pattern: str = "sequential"
    """How the file is accessed: a key of PATTERNS."""
    seed: int = 1
    """Of the random order of a pattern."""
    pages: bool = False
    """Whether the pages of the file are recorded too."""
    swap: bool = False
    """Whether the group may swap."""
    high: int | None = None
    """Where reclaim begins (cgroup v2); None for at the limit."""
    read_batch: int = 8 * MIB
    """Bytes that are read between two pauses."""
    read_pause: float = _by_pages(0.1, 0.05)
    """Longer if pages are recorded, so that few of them arrive between two samples."""
    hold: float = 2.0
    """Between reading and allocating."""
    step_pause: float = 0.15
    read_timeout: float = 15.0
    reread_time: float = 0.5
    """For reading again after each allocation."""
    advice_pause: float = 0.5
    """Before each madvise(2) of the pattern "advice"."""
    interval: float = _by_pages(0.1, 0.25)
    """Between two samples; shorter if pages are recorded."""
    timeout: float = 60.0
    """For the whole run."""
    file: Path | None = None
    """A file to map; None for a new sparse file, which is deleted at once."""
    folder: Path = attrs.field(factory=lambda: Path(tempfile.gettempdir()))
    """Where to create the new file."""

    @property
    def stop(self) -> int:
        """The total of allocations at which the workload stops by itself."""
        return self.limit * 3 // 2

    @property
    def regions(self) -> list[Region]:
        """The parts of the file that the pattern treats in its own way."""
        return PATTERNS[self.pattern].regions(self.limit // mmap.PAGESIZE)


@attrs.frozen
class Run:
    """What was recorded of a run."""

    memory: smapskit.Recording | None
    """Samples of smaps, with the groups FILE and REST; None if only the pages were loaded."""
    pages: PageRun | None
    """The pages of the file; None if they were not recorded."""


def check(plan: Plan) -> MemoryGroup:
    """
    Check whether this machine can make the run, without changing anything.

    Returns:
        The group that `run` can make.

    Raises:
        CannotRun: it cannot.
    """
    if sys.platform != "linux":
        raise CannotRun(f"the experiment requires Linux, this is {platform.system()}")
    lines = Path("/proc/meminfo").read_text().splitlines()
    memory = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines}
    needed = _MARGIN * plan.limit
    if memory["MemAvailable"] < needed:
        raise CannotRun(
            f"{memory['MemAvailable'] // MIB} MiB of memory are available, but {needed // MIB} "
            f"({_MARGIN} times the limit) are required (try a smaller --limit)"
        )
    if plan.swap and not memory["SwapTotal"]:
        raise CannotRun("this machine has no swap (use --swap none)")
    path = plan.file or plan.folder
    file_system = _MEMORY_FILE_SYSTEMS.get(_file_system_type(path))
    if file_system is not None:
        raise CannotRun(
            f"{path} is on {file_system}, which is memory itself: its pages cannot be dropped "
            "(use --folder DIR with a folder on a disk)"
        )
    _check_pattern(plan)
    group = MemoryGroup.find()
    if plan.high is not None and group.version == 1:
        raise CannotRun("--high requires cgroup v2; here v1 has the memory controller")
    for folder, limit in group.enclosing_limits():
        if limit < needed:
            raise CannotRun(
                f"this process is in the group {folder}, which is limited to {limit // MIB} MiB, "
                f"but {needed // MIB} are required (try a smaller --limit)"
            )
    if plan.file is not None:
        cached = count_cached_pages(plan.file)
        if cached:
            raise CannotRun(
                f"{cached * mmap.PAGESIZE // MIB} MiB of {plan.file} are in the page cache "
                "already and are not charged to the group: its limit would not apply to them"
            )
    return group


def _check_pattern(plan: Plan) -> None:
    end = max((region.end for region in plan.regions), default=0) * mmap.PAGESIZE
    if end > plan.file_size:
        raise CannotRun(
            f"--pattern {plan.pattern} requires a file of at least {-(-end // MIB)} MiB with this "
            "limit (use a larger --file-size)"
        )
    if PATTERNS[plan.pattern].writes and plan.file is not None:
        raise CannotRun(
            f"--pattern {plan.pattern} maps a writable file, which must be a new one (omit --file)"
        )
    import resource  # noqa: PLC0415  not on every system, on which runs are replayed

    locked = sum(region.end - region.first for region in plan.regions if region.name == "mlock")
    allowed, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    is_limited = os.geteuid() != 0 and allowed != resource.RLIM_INFINITY
    if locked and is_limited and allowed < locked * mmap.PAGESIZE:
        raise CannotRun(
            f"--pattern {plan.pattern} locks {locked * mmap.PAGESIZE // MIB} MiB, but this user "
            f"may lock {allowed // MIB} (see ulimit -l)"
        )


def run(
    plan: Plan,
    group: MemoryGroup,
    progress: Callable[[str], object],
    snapshot: Path | None = None,
) -> Run:
    """
    Make a run and record it.

    Args:
        plan: the parameters.
        group: what `check` returned.
        progress: called with a line at the beginning of each phase.
        snapshot: where to save the last snapshot before the OOM kill: the text of smaps, once
            the condition SNAPSHOT_WHEN holds.

    Returns:
        The recordings, with a marker for each phase. Their notes contain the plan, the machine,
        and how the workload ended.

    Raises:
        CannotRun: the group or the workload could not be made.
        KeyboardInterrupt: after the workload was killed and the group was removed.
    """
    with ExitStack() as stack:
        stack.enter_context(_make_group(group, plan))
        file = stack.enter_context(_open_file(plan))
        name = str(Path(f"/proc/self/fd/{file}").readlink())
        pages = None
        if plan.pages:
            pages = stack.enter_context(PageRunRecorder(plan.file_size // mmap.PAGESIZE))
        table = None if pages is None else pages.touches.descriptor
        workload = stack.enter_context(_start_workload(plan, group, file, table))
        output = _WorkloadOutput(workload, progress)
        if pages is not None:
            pages.open(workload.pid, name)
        observer = _Observer(workload, output, pages)

        def group_of(mapping: smapskit.Mapping) -> str:
            return FILE if mapping.pathname == name else REST

        recording = smapskit.record(
            workload.pid,
            plan.interval,
            plan.timeout,
            by=group_of,
            on_sample=observer.on_sample,
            when=None if snapshot is None else SNAPSHOT_WHEN,
            snapshot=snapshot,
            overwrite=True,
        )
        with suppress(subprocess.TimeoutExpired):
            workload.wait(1)
        has_timed_out = workload.poll() is None
        if has_timed_out:
            workload.kill()
        status = workload.wait()
        end_time = time.monotonic()
        output.read()
        begin = observer.begin
        notes = {
            "plan": attrs.asdict(plan, value_serializer=_to_json),
            "machine": _describe_machine(),
            "kernel": platform.release(),
            "python": platform.python_version(),
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "cgroup": group.version,
            "lru_gen": _read_line("/sys/kernel/mm/lru_gen/enabled"),
            "read_ahead_kb": _read_line(f"/sys/class/bdi/{_device(file)}/read_ahead_kb"),
            "exit": status,
            "oom_kills": group.oom_kills(),
            "kernel_report": explain_kill(workload.pid),
            "timed_out": has_timed_out,
            "steps": [[round(at - begin, 3), size] for at, size in output.steps],
            "pmap": observer.pmap,
        }
        is_oom_kill = status == -signal.SIGKILL and notes["oom_kills"]
        end = "OOM-killed" if is_oom_kill else "ended"
        phases = [*output.phases, (end_time, end)]
        for at, phase in phases:
            recording = recording.add_marker(round(max(0.0, at - begin), 3), phase)
        recording = attrs.evolve(recording, command="pageout workload", by="file", notes=notes)
        regions = [attrs.astuple(region) for region in plan.regions]
        page_run = None if pages is None else pages.finish(plan.interval, phases, notes, regions)
    return Run(recording, page_run)


class _WorkloadOutput:
    """The lines that the workload has printed so far, with their times."""

    def __init__(
        self, workload: subprocess.Popen[bytes], progress: Callable[[str], object]
    ) -> None:
        assert workload.stdout is not None  # noqa: S101  it is a pipe
        self.phases: list[tuple[float, str]] = []
        self.steps: list[tuple[float, int]] = []
        self._pipe = workload.stdout
        self._progress = progress
        for line in iter(self._pipe.readline, b""):
            message = json.loads(line)
            if message.get("phase") == "ready":
                break
            progress(message["note"])
        else:
            raise CannotRun(f"the workload ended with status {workload.wait()} before it was ready")
        os.set_blocking(self._pipe.fileno(), False)

    def read(self) -> None:
        """Read the lines that have arrived."""
        for line in iter(self._pipe.readline, b""):
            message: dict[str, Any] = json.loads(line)
            if "allocated" in message:
                self.steps.append((message["at"], message["allocated"]))
            elif "phase" in message:
                self.phases.append((message["at"], message["phase"]))
                self._progress(message["phase"])
            else:
                self._progress(message["note"])


class _Observer:
    """
    Starts the workload after the first sample, and runs pmap with every sixth one.

    The pages of the file are read with each sample, if they are to be recorded.
    """

    def __init__(
        self,
        workload: subprocess.Popen[bytes],
        output: _WorkloadOutput,
        pages: PageRunRecorder | None,
    ) -> None:
        self.begin = 0.0
        """When the recording began, by the monotonic clock."""
        self.pmap: list[dict[str, float | None]] = []
        self._workload = workload
        self._output = output
        self._pages = pages
        self._count = 0

    def on_sample(self, rows: Sequence[smapskit.Sample]) -> None:
        if not self._count:
            self.begin = time.monotonic() - rows[0].read_seconds - rows[0].seconds
        if self._pages is not None:
            self._pages.sample(sum(row.totals.anonymous or 0 for row in rows))
        if not self._count:
            assert self._workload.stdin is not None  # noqa: S101  it is a pipe
            self._workload.stdin.write(b"go\n")
            self._workload.stdin.flush()
        elif self._count % _SAMPLES_PER_PMAP == 0 and shutil.which("pmap"):
            self.pmap += _run_pmap(self._workload.pid, rows[0].seconds)
        self._count += 1
        self._output.read()


def _run_pmap(pid: int, seconds: float) -> list[dict[str, float | None]]:
    """Return the totals of pmap -x in kB, or nothing if the process has ended."""
    command = ["pmap", "-x", str(pid)]
    finished = subprocess.run(command, capture_output=True, check=False)
    with suppress(smapskit.ParseError):
        totals = smapskit.parse_pmap(finished.stdout).totals()
        if totals.rss is not None:
            return [{"seconds": seconds, "rss": totals.rss, "shared_rss": totals.shared_rss}]
    return []


@contextmanager
def _make_group(group: MemoryGroup, plan: Plan) -> Iterator[None]:
    """Make the group and remove it at the end; a process of its own does if this one is killed."""
    command = [sys.executable, str(HERE / "cgroup.py"), str(group.path), str(group.version)]
    cleanup = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
    assert cleanup.stdin is not None  # noqa: S101  it is a pipe
    try:
        group.make(plan.limit, swap=plan.swap, high=plan.high)
        cleanup.stdin.write(b"%d\n" % (group.inode or 0))
        cleanup.stdin.flush()
        yield
    finally:
        group.remove()
        cleanup.communicate()


@contextmanager
def _open_file(plan: Plan) -> Iterator[int]:
    """Open the file to map, and return its descriptor; a new file is deleted at once."""
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
def _start_workload(
    plan: Plan, group: MemoryGroup, file: int, table: int | None
) -> Iterator[subprocess.Popen[bytes]]:
    """
    Start the workload in the group; kill it at the end.

    Args:
        plan: the parameters.
        group: the group.
        file: descriptor of the file to map.
        table: descriptor of the file for the times of touches; None if they are not recorded.
    """
    parameters = {
        **attrs.asdict(plan, value_serializer=_to_json),
        "fd": file,
        "table": table,
        "regions": [attrs.astuple(region) for region in plan.regions],
        "writes": PATTERNS[plan.pattern].writes,
        "group": group.path.name,
        "parent": os.getpid(),
        "stop": plan.stop,
    }
    with subprocess.Popen(
        [sys.executable, "-I", str(HERE / "workload.py"), json.dumps(parameters)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        pass_fds=[file] if table is None else [file, table],
        start_new_session=True,  # this process handles Ctrl-C
        # Before exec, so that all its memory is charged to the group. There are no threads here.
        preexec_fn=group.join,  # noqa: PLW1509
    ) as workload:
        try:
            yield workload
        finally:
            workload.kill()
            # After Ctrl-C Popen waits for a quarter of a second only.
            workload.wait()


def count_cached_pages(path: Path) -> int:
    """Return how many pages of a file are in the page cache now, by mincore(2)."""
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


def _file_system_type(path: Path) -> int:
    """Return the type of the file system of a path, by statfs(2)."""
    result = (ctypes.c_long * 64)()  # larger than any struct statfs; f_type is its first member
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.statfs(os.fsencode(path), result) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(path))
    return result[0] & 0xFFFFFFFF


def _device(descriptor: int) -> str:
    number = os.fstat(descriptor).st_dev
    return f"{os.major(number)}:{os.minor(number)}"


def _read_line(path: str) -> str | None:
    """Return the text of a file of the kernel; None if this kernel does not have it."""
    try:
        return Path(path).read_text().strip()
    except OSError:
        return None


def _describe_machine() -> str:
    size = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return f"{platform.machine()}, {os.cpu_count()} CPUs, {size / (1 << 30):.0f} GiB"


def _to_json(_instance: type, _field: object, value: object) -> object:
    return str(value) if isinstance(value, Path) else value
