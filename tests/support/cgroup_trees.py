"""Trees of cgroup files: captures of guests, and trees written for a test."""

from __future__ import annotations

import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from support.paths import FIXTURES

CAPTURES = sorted((FIXTURES / "cgroup").glob("*.tar.gz"))
"""Of v2 on Linux 6.1 and 6.12: a pod that uses each kind of memory, and other groups."""
POD = (
    "/kubepods.slice/kubepods-burstable.slice/"
    "kubepods-burstable-pod0b5c7f0e_2f2b_4a7e_9d55_3c1f0a6b7d21.slice"
)
CONTAINER = (
    f"{POD}/cri-containerd-4f6d1c9b8a7e5d3c2b1a09f8e7d6c5b4a3928170f6e5d4c3b2a1908f7e6d5c4b.scope"
)
SIDECAR = (
    f"{POD}/cri-containerd-9a8b7c6d5e4f3a2b1c0d9e8f7a6b5c4d3e2f1a0b9c8d7e6f5a4b3c2d1e0f9a8b.scope"
)


def unpack(capture: Path, folder: Path) -> Path:
    """Unpack a capture, mount it in a procfs beside it, and return the procfs."""
    with tarfile.open(capture) as archive:
        # Python 3.11.0 to 3.11.3 have no filters.
        options: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
        archive.extractall(folder, **options)
    write_mounts(folder / "proc", f"31 23 0:28 / {folder}/sys rw - cgroup2 cgroup2 rw")
    return folder / "proc"


def write_mounts(proc: Path, *lines: str) -> None:
    """Write the mountinfo of this process into a procfs."""
    (proc / "self").mkdir(parents=True, exist_ok=True)
    (proc / "self" / "mountinfo").write_text("".join(f"{line}\n" for line in lines))


def write_process(proc: Path, pid: int, groups: str) -> None:
    """Write a process with its groups into a procfs."""
    (proc / str(pid)).mkdir(parents=True, exist_ok=True)
    (proc / str(pid) / "cgroup").write_text(groups)


def write_group(folder: Path, files: Mapping[str, str]) -> None:
    """Write the files of a group."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)


V1_STAT = """\
cache 8388608
rss 16777216
rss_huge 0
shmem 2097152
mapped_file 1048576
dirty 0
writeback 0
swap 4096
inactive_anon 0
active_anon 18874368
inactive_file 6291456
active_file 0
unevictable 0
hierarchical_memory_limit 67108864
total_cache 12582912
total_rss 33554432
total_rss_huge 0
total_shmem 4194304
total_mapped_file 2097152
total_dirty 0
total_writeback 0
total_swap 8192
total_inactive_anon 0
total_active_anon 37748736
total_inactive_file 8388608
total_active_file 0
total_unevictable 0
"""
V1 = {
    "memory.usage_in_bytes": "50331648\n",
    "memory.limit_in_bytes": "9223372036854771712\n",
    "memory.max_usage_in_bytes": "60000000\n",
    "memory.memsw.limit_in_bytes": "134217728\n",
    "memory.kmem.usage_in_bytes": "4096000\n",
    "memory.stat": V1_STAT,
    "memory.use_hierarchy": "1\n",
    "memory.failcnt": "7\n",
    "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
    "cgroup.procs": "11\n12\n",
}
"""The files of a group of v1 with groups below it."""
