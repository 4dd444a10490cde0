"""A group of its own with a known use of memory: the table adds up to what the kernel counts."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import cgroup
import jsonschema
import pytest
from support.marks import needs_linux, needs_root
from support.paths import ROOT
from support.subjects import Start

import smapskit
from smapskit import cli, read_cgroup

pytestmark = [needs_linux, pytest.mark.slow]
MIB = 1024
ANON, TMPFS, MAPPED, CACHED, FILES = 24, 8, 12, 16, 6000
"""MiB of each kind of memory, and the number of empty files."""

PROGRAM = f"""
import mmap, os, sys
group, folder, tmpfs = sys.argv[1:]
open(group + "/cgroup.procs", "w").write("0")
def make(name, mib):
    with open(name, "wb") as file:
        for _ in range(mib):
            file.write(os.urandom(1 << 20))
        file.flush()
        os.fsync(file.fileno())
anon = mmap.mmap(-1, {ANON} << 20, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
anon[:: mmap.PAGESIZE] = b"x" * (len(anon) // mmap.PAGESIZE)
make(tmpfs, {TMPFS})
make(folder + "/mapped", {MAPPED})
make(folder + "/cached", {CACHED})
for number in range({FILES}):
    open(f"{{folder}}/{{number}}", "w").close()
with open(folder + "/mapped", "rb") as file:
    mapped = mmap.mmap(file.fileno(), 0, mmap.MAP_SHARED, mmap.PROT_READ)
sum(mapped[:: mmap.PAGESIZE])
print("ready", flush=True)
sys.stdin.readline()
"""


@functools.cache
def why_not() -> str:
    try:
        cgroup.MemoryGroup.find()
    except cgroup.CannotRun as error:
        return str(error)
    return ""


def _is_tmpfs(folder: Path) -> bool:
    command = ["stat", "-f", "-c", "%T", str(folder)]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return found.stdout.strip() == "tmpfs"


@pytest.fixture
def group() -> Iterator[cgroup.MemoryGroup]:
    """A new group with a limit, below the one of this process; removed at the end."""
    if why_not():
        pytest.skip(why_not())
    made = cgroup.MemoryGroup.find()
    made.make(256 << 20)
    try:
        yield made
    finally:
        made.remove()


@pytest.fixture
def pod(
    group: cgroup.MemoryGroup, tmp_path: Path, start: Callable[..., subprocess.Popen[str]]
) -> Iterator[int]:
    """A process in that group that uses each kind of memory."""
    if not _is_tmpfs(Path("/dev/shm")) or _is_tmpfs(tmp_path):
        pytest.skip("requires a tmpfs at /dev/shm, and none at the temporary folder")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as shared:
        arguments = (str(group.path), str(tmp_path), f"{shared}/tmpfs")
        yield start(sys.executable, "-c", PROGRAM, *arguments).pid


def cached_kb(file: Path) -> int:
    """Return what is in the page cache: the kernel may drop pages that are not mapped."""
    residency = smapskit.read_residency(file)
    return residency.cached * residency.page_size // 1024


def test_the_table_adds_up(pod: int, group: cgroup.MemoryGroup, tmp_path: Path) -> None:
    usage = read_cgroup(pod)
    assert usage.directory == str(group.path)
    assert usage.current is not None
    assert usage.unexplained is not None
    assert abs(usage.unexplained) <= 0.02 * usage.current
    stat = usage.stat
    assert stat.anon is not None
    assert stat.page_cache is not None
    assert stat.file_mapped is not None
    assert stat.kernel is not None
    # Up to 64 pages per CPU are not yet in memory.stat when it is read.
    late = 256 * (os.cpu_count() or 1)
    assert ANON * MIB - late <= stat.anon <= (ANON + 12) * MIB  # and the interpreter's own
    assert TMPFS * MIB - late <= (stat.shmem or 0) <= TMPFS * MIB
    files = cached_kb(tmp_path / "mapped") + cached_kb(tmp_path / "cached")
    assert files >= MAPPED * MIB
    assert files - late <= stat.page_cache <= files + 4 * MIB  # and of the folder's blocks
    assert MAPPED * MIB - late <= stat.file_mapped <= (MAPPED + 12) * MIB
    assert stat.kernel >= FILES  # at least 1 kB per inode and name
    assert (usage.limit, usage.limited_by) == (256 * MIB, usage.name)
    assert usage.events["oom_kill"] == 0
    assert usage.pids == (pod,)


def test_the_group_is_not_the_sum_of_its_processes(pod: int, tmp_path: Path) -> None:
    """Page cache that no process maps, tmpfs and the kernel are in no smaps."""
    usage = read_cgroup(pod)
    processes = smapskit.read_system("kind", pids=usage.pids)
    (process,) = processes.processes
    assert usage.current is not None
    assert process.usage.pss is not None
    hidden = cached_kb(tmp_path / "cached") + TMPFS * MIB + FILES
    assert usage.current - process.usage.pss >= 0.8 * hidden
    pss = [group.totals.pss for group in processes.groups.values()]
    assert sum(kb or 0 for kb in pss) == process.usage.pss


def test_groups_with_groups_below(pod: int, group: cgroup.MemoryGroup) -> None:
    above = read_cgroup(group.path.parent)
    names = {child.name: child for child in above.children}
    usage = read_cgroup(pod)
    assert usage.name in names
    assert pod in above.pids
    assert (above.current or 0) >= (names[usage.name].current or 0)
    below = {each.name for each in smapskit.read_cgroups()}
    assert {above.name, usage.name} <= below


def test_the_command(pod: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["cgroup", str(pod)]) == 0
    text = capsys.readouterr().out
    assert "Limit        256.0 MiB" in text
    assert f"\n {pod:>6} " in text or f"\n{pod:>7} " in text
    assert "Kubernetes' working set = in use - inactive_file" in text
    assert cli.main(["cgroup", "--json", str(pod)]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [row["pid"] for row in document["processes"]] == [pod]
    assert {"kind", "pss"} <= document["kinds"][0].keys()
    assert document["unreadable"] == {}
    schema = json.loads((ROOT / "docs" / "schema-cgroup.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(document)
    assert cli.main(["cgroup", "--all"]) == 0
    assert read_cgroup(pod).name.rpartition("/")[2] in capsys.readouterr().out


def test_groups_that_are_removed_meanwhile(group: cgroup.MemoryGroup) -> None:
    """A group is read with its values, or not at all."""
    code = (
        "import os, sys, time\n"
        "end = time.monotonic() + 1\n"
        "while time.monotonic() < end:\n"
        "    os.mkdir(sys.argv[1]); os.rmdir(sys.argv[1])\n"
    )
    folder = group.path / "short"
    with subprocess.Popen([sys.executable, "-c", code, str(folder)]) as process:
        seen = 0
        while process.poll() is None:
            try:
                usage = read_cgroup(folder)
            except FileNotFoundError:
                continue
            seen += 1
            assert None not in (usage.current, usage.limit, usage.stat.anon)
    assert process.returncode == 0
    if not seen:
        pytest.skip("the group was never there when it was read")


def test_this_process() -> None:
    try:
        usage = read_cgroup()
    except smapskit.Unsupported as error:
        pytest.skip(str(error))
    assert os.getpid() in usage.pids
    assert usage == read_cgroup(usage.directory) or usage.name == read_cgroup(usage.name).name


def test_no_such_process(start: Start) -> None:
    process = start("sh", "-c", "echo ready; read line")
    process.kill()
    process.communicate()
    with pytest.raises(smapskit.ProcessNotFound):
        read_cgroup(process.pid)


@needs_root
def test_who_is_charged_with_a_file(
    pod: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first group that used a page is charged with it, whoever uses it later."""
    if not Path("/proc/kpagecgroup").exists():
        pytest.skip("requires /proc/kpagecgroup")
    name = read_cgroup(pod).name
    (tmp_path / "mapped").read_bytes()  # by this process, in another group
    for file in ("mapped", "cached"):
        charges = smapskit.read_charges(tmp_path / file)
        assert charges.groups == {name: cached_kb(tmp_path / file)}
        assert charges.uncharged == 0
    assert smapskit.read_charges(tmp_path / "mapped").cached == MAPPED * MIB
    own = tmp_path / "own"
    own.write_bytes(b"x" * (1 << 20))
    assert list(smapskit.read_charges(own).groups) == [read_cgroup().name]
    assert cli.main(["cgroup", "--who-pays", str(own), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["charged"] == [{"name": read_cgroup().name, "kb": 1024}]
    assert cli.main(["cgroup", "--who-pays", str(own)]) == 0
    assert "1,024  100.0%" in capsys.readouterr().out


@needs_root
def test_pages_that_are_not_cached_are_not_read(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(bytes(4 << 20))
    with file.open("rb") as opened:
        os.fsync(opened.fileno())
        os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_RANDOM)
        os.pread(opened.fileno(), 1, 2 << 20)
    before = smapskit.read_residency(file).cached
    assert 0 < before < 1024
    charges = smapskit.read_charges(file)
    assert charges.cached == before * 4
    assert smapskit.read_residency(file).cached == before


def test_charges_require_root(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("this is root")
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(smapskit.AccessDenied):
        smapskit.read_charges(tmp_path / "file")
