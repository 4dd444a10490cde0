"""
A memory cgroup of one's own, v2 where its controller is there, else v1.

Run as a program it is the janitor: it is told on standard input which group was made, waits
until its standard input ends, as it does when the run ends in whatever way, and then removes
that group.
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


class CannotBeMade(Exception):
    """What is missing on this machine, and what to do about it."""


@attrs.define
class MemoryGroup:
    """A group that limits the memory of the processes in it; its files are the kernel's."""

    path: Path
    version: int
    inode: int | None = None
    """The inode of the directory that `make` made; None if it has made none."""

    @classmethod
    def find(cls) -> MemoryGroup:
        """
        Where this process may make one; nothing is changed yet.

        Raises:
            CannotBeMade: nowhere, and why.
        """
        own, mounts = (Path("/proc/self", name).read_text() for name in ("cgroup", "mountinfo"))
        parent, version = _place(own, mounts)
        # A random part, so that no other run, user or container has the same name.
        return cls(parent / f"{PREFIX}{os.getpid()}-{secrets.token_hex(8)}", version)

    def make(self, limit: int, *, swap: bool = False, high: int | None = None) -> None:
        """
        Make the directory and set the limits.

        Args:
            limit: bytes beyond which a process in it is OOM-killed.
            swap: whether it may swap.
            high: bytes from which the kernel reclaims and slows, without killing (v2 alone).

        Raises:
            CannotBeMade: the kernel would not have it.
        """
        try:
            self.path.mkdir()
            self.inode = self.path.stat().st_ino
            for name, figure in self._limits(limit, swap=swap, high=high).items():
                (self.path / name).write_text(str(figure))
        except OSError as error:
            self.remove()
            raise CannotBeMade(f"the memory cgroup {self.path}: {error.strerror}") from None

    def _limits(self, limit: int, *, swap: bool, high: int | None) -> dict[str, int]:
        if self.version == 1:
            limits = {"memory.limit_in_bytes": limit}
            no_swap = {"memory.memsw.limit_in_bytes": limit, "memory.swappiness": 0}
        else:
            limits = {"memory.max": limit}
            if high is not None:
                limits["memory.high"] = high
            no_swap = {"memory.swap.max": 0}
        if not swap:  # kernels without swap have no file to limit it with
            limits |= {k: v for k, v in no_swap.items() if (self.path / k).exists()}
        return limits

    def around(self) -> Iterator[tuple[Path, int]]:
        """The groups that it would be in, and their limits in bytes, where they have any."""
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
        """How many of its processes the kernel has killed because the limit was reached."""
        name = "memory.oom_control" if self.version == 1 else "memory.markers"
        facts = dict(line.split() for line in (self.path / name).read_text().splitlines())
        return int(facts["oom_kill"])

    def remove(self, seconds: float = 10) -> None:
        """Kill what is left in the group, and remove it; no other group than the one made."""
        until = time.monotonic() + seconds
        while self._is_there():
            self._kill()
            with suppress(OSError):
                self.path.rmdir()
                return
            if time.monotonic() > until:
                print(f"could not remove {self.path}", file=sys.stderr)
                return
            time.sleep(0.05)

    def _is_there(self) -> bool:
        if self.inode is None:
            return False
        try:
            return self.path.stat().st_ino == self.inode
        except OSError:
            return False

    def _kill(self) -> None:
        kill = self.path / "cgroup.kill"
        with suppress(OSError):
            if kill.exists():  # v2 since 5.14: all at once, whatever their pids are here
                kill.write_text("1")
                return
        for pid in _members(self.path):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _place(own_groups: str, mounts: str) -> tuple[Path, int]:
    """The folder to make the group in, and the version of its tree, from the kernel's texts."""
    own = _own_groups(own_groups)
    reasons = []
    for mount, root, kind, options in _mounts(mounts):
        version = 2 if kind == "cgroup2" else 1
        name = "" if version == 2 else "memory"  # noqa: PLR2004
        if name not in own or (version == 1 and "memory" not in options.split(",")):
            continue
        # In a container the mount begins at the group that is its root.
        inside = own[name].removeprefix(root.rstrip("/")).strip("/")
        folder = mount / inside
        chain = [folder, *folder.parents[: len(Path(inside).parts)]]
        if version == 2:  # noqa: PLR2004
            chain = [group for group in chain if _hands_memory_on(group)]
            if not chain:
                reasons.append(f"{mount}: no group here hands the memory controller on")
        for group in chain:
            if os.access(group, os.W_OK) and os.access(group / "cgroup.procs", os.W_OK):
                return group, version
        if chain:
            reasons.append(f"{mount}: no permission to make a group in {chain[0]}")
    if not reasons:
        reasons = ["no cgroup file system with the memory controller is mounted"]
    hint = "run it as root, or by: systemd-run --user --scope -p Delegate=yes"
    raise CannotBeMade(f"no memory cgroup can be made: {'; '.join(reasons)} ({hint})")


def _own_groups(text: str) -> dict[str, str]:
    """The groups that the process is in, by controller; that of v2 under ""."""
    groups = {}
    for line in text.splitlines():
        _number, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            groups[controller] = path
    return groups


def _mounts(text: str) -> Iterator[tuple[Path, str, str, str]]:
    """Where cgroup trees are mounted, v2 first: folder, root in the tree, type, options."""
    found = []
    for line in text.splitlines():
        head, tail = line.split(" - ", 1)
        kind, _source, options = tail.split(" ", 2)
        if kind in ("cgroup", "cgroup2"):
            root, folder = head.split()[3:5]
            found.append((Path(folder), root, kind, options))
    return iter(sorted(found, key=lambda mount: mount[2], reverse=True))


def _hands_memory_on(group: Path) -> bool:
    """Whether groups made below it have the memory controller (v2)."""
    with suppress(OSError):
        return "memory" in (group / "cgroup.subtree_control").read_text().split()
    return False


def _members(path: Path) -> list[int]:
    """The processes in a group that have a pid here."""
    with suppress(OSError):
        pids = [int(pid) for pid in (path / "cgroup.procs").read_text().split()]
        # Of another pid namespace v2 shows 0, which to kill(2) is the caller's process group.
        return [pid for pid in pids if pid > 0]
    return []


if __name__ == "__main__":
    made = sys.stdin.buffer.read().strip()
    inode = int(made) if made else None  # none was made
    MemoryGroup(Path(sys.argv[1]), int(sys.argv[2]), inode).remove()
