"""
Make a memory cgroup for one run: v2 where its memory controller is enabled, else v1.

Run as a program, this is the cleanup process. It reads the inode of the new group from standard
input, waits for the end of its input, which comes however the run ends, and removes that group.
"""

from __future__ import annotations

import os
import secrets
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import attrs

PREFIX = "smapskit-pageout-"
_UNLIMITED = 1 << 60


class CannotRun(Exception):
    """This machine cannot make the run; the message says what is missing and what to do."""


@attrs.define
class MemoryGroup:
    """A cgroup that limits the memory of the processes in it."""

    path: Path
    version: int
    inode: int | None = None
    """The inode of the directory that `make` created; None if it has created none."""

    @classmethod
    def find(cls) -> MemoryGroup:
        """
        Find where this process may make a group, without making it.

        Raises:
            CannotRun: there is no such place; the message says why.
        """
        own, mounts = (Path("/proc/self", name).read_text() for name in ("cgroup", "mountinfo"))
        parent, version = _find_parent(own, mounts)
        # The random part makes the name differ from those of other runs, users and containers.
        return cls(parent / f"{PREFIX}{os.getpid()}-{secrets.token_hex(8)}", version)

    def make(self, limit: int, *, swap: bool = False, high: int | None = None) -> None:
        """
        Make the directory and set the limits.

        Args:
            limit: bytes; a process that needs more is OOM-killed.
            swap: whether the processes may swap.
            high: bytes from which the kernel reclaims and slows down, without killing (v2 only).

        Raises:
            CannotRun: the kernel rejected it.
        """
        try:
            self.path.mkdir()
            self.inode = self.path.stat().st_ino
            for name, value in self._limits(limit, swap=swap, high=high).items():
                (self.path / name).write_text(str(value))
        except OSError as error:
            self.remove()
            raise CannotRun(f"the memory cgroup {self.path}: {error.strerror}") from None

    def _limits(self, limit: int, *, swap: bool, high: int | None) -> dict[str, int]:
        if self.version == 1:
            limits = {"memory.limit_in_bytes": limit}
            no_swap = {"memory.memsw.limit_in_bytes": limit, "memory.swappiness": 0}
        else:
            limits = {"memory.max": limit}
            if high is not None:
                limits["memory.high"] = high
            no_swap = {"memory.swap.max": 0}
        if not swap:  # kernels without swap do not have these files
            limits |= {k: v for k, v in no_swap.items() if (self.path / k).exists()}
        return limits

    def enclosing_limits(self) -> Iterator[tuple[Path, int]]:
        """Yield the groups that contain this one and have a limit, with the limit in bytes."""
        for folder in self.path.parents:
            for name in ("memory.max", "memory.limit_in_bytes"):
                with suppress(OSError, ValueError):  # "max"
                    limit = int((folder / name).read_text())
                    if limit < _UNLIMITED:
                        yield folder, limit

    def join(self) -> None:
        """Move the calling process into the group."""
        (self.path / "cgroup.procs").write_text("0")

    def oom_kills(self) -> int:
        """Return how many processes of the group the kernel killed because of the limit."""
        name = "memory.oom_control" if self.version == 1 else "memory.events"
        values = dict(line.split() for line in (self.path / name).read_text().splitlines())
        return int(values["oom_kill"])

    def remove(self, seconds: float = 10) -> None:
        """
        Kill all processes of the group, and remove it.

        A group that `make` did not create is left alone.

        Args:
            seconds: how long to try.
        """
        deadline = time.monotonic() + seconds
        while self._exists():
            self._kill()
            with suppress(OSError):
                self.path.rmdir()
                return
            if time.monotonic() > deadline:
                print(f"could not remove {self.path}", file=sys.stderr)
                return
            time.sleep(0.05)

    def _exists(self) -> bool:
        if self.inode is None:
            return False
        try:
            return self.path.stat().st_ino == self.inode
        except OSError:
            return False

    def _kill(self) -> None:
        kill = self.path / "cgroup.kill"
        with suppress(OSError):
            if kill.exists():  # v2 since 5.14: all processes at once, in any pid namespace
                kill.write_text("1")
                return
        for pid in _members(self.path):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _find_parent(own_groups: str, mounts: str) -> tuple[Path, int]:
    """
    Find the group to make a new one in.

    Args:
        own_groups: the text of /proc/self/cgroup.
        mounts: the text of /proc/self/mountinfo.

    Returns:
        Its folder, and the version of cgroups.

    Raises:
        CannotRun: there is none.
    """
    own = _parse_own_groups(own_groups)
    reasons = []
    for mount, root, kind, options in _parse_mounts(mounts):
        version = 2 if kind == "cgroup2" else 1
        name = "" if version == 2 else "memory"  # noqa: PLR2004
        if name not in own or (version == 1 and "memory" not in options.split(",")):
            continue
        # In a container the root of the mount is the container's group.
        inside = own[name].removeprefix(root.rstrip("/")).strip("/")
        folder = mount / inside
        chain = [folder, *folder.parents[: len(Path(inside).parts)]]
        if version == 2:  # noqa: PLR2004
            chain = [group for group in chain if _enables_memory(group)]
            if not chain:
                reasons.append(f"{mount}: no group here enables the memory controller below it")
        for group in chain:
            if os.access(group, os.W_OK) and os.access(group / "cgroup.procs", os.W_OK):
                return group, version
        if chain:
            reasons.append(f"{mount}: no permission to make a group in {chain[0]}")
    if not reasons:
        reasons = ["no cgroup file system with the memory controller is mounted"]
    hint = "run it as root, or with: systemd-run --user --scope -p Delegate=yes"
    raise CannotRun(f"no memory cgroup can be made: {'; '.join(reasons)} ({hint})")


def _parse_own_groups(text: str) -> dict[str, str]:
    """Return the groups of the process by controller; that of v2 has the key ""."""
    groups = {}
    for line in text.splitlines():
        _number, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            groups[controller] = path
    return groups


def _parse_mounts(text: str) -> Iterator[tuple[Path, str, str, str]]:
    """Return the mounts of cgroups, v2 first: folder, root of the mount, type and options."""
    found = []
    for line in text.splitlines():
        head, tail = line.split(" - ", 1)
        kind, _source, options = tail.split(" ", 2)
        if kind in ("cgroup", "cgroup2"):
            root, folder = head.split()[3:5]
            found.append((Path(folder), root, kind, options))
    return iter(sorted(found, key=lambda mount: mount[2], reverse=True))


def _enables_memory(group: Path) -> bool:
    """Return whether groups made in this one have the memory controller (v2)."""
    with suppress(OSError):
        return "memory" in (group / "cgroup.subtree_control").read_text().split()
    return False


def _members(path: Path) -> list[int]:
    """Return the processes of a group that are in this pid namespace."""
    with suppress(OSError):
        pids = [int(pid) for pid in (path / "cgroup.procs").read_text().split()]
        # v2 lists those of other namespaces as 0, which kill(2) takes as the caller's group.
        return [pid for pid in pids if pid > 0]
    return []


if __name__ == "__main__":
    line = sys.stdin.buffer.read().strip()
    inode = int(line) if line else None  # no group was made
    MemoryGroup(Path(sys.argv[1]), int(sys.argv[2]), inode).remove()
