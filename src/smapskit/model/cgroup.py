"""
The memory of a cgroup: its limit, what is in use, and what that consists of.

Sizes are in kB. What the kernel does not report is None, and a limit that is not set is
`math.inf`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping as MappingOf
from typing import Final, Literal

import attrs

from smapskit.errors import escape_unprintable
from smapskit.model.memory_stat import MemoryStat

_ID_LENGTH: Final = 12
"""Characters of the id of a container that its tools print."""
_ESCAPED: Final = re.compile(r"\\x([0-9a-f]{2})")
_CONTAINER: Final = re.compile(
    r"(?:(?P<runtime>[a-z][a-z0-9-]{0,30})-)?(?P<container>[0-9a-f]{64})(?:\.scope)?"
)
_POD: Final = re.compile(
    r"(?:kubepods(?:-besteffort|-burstable)?-)?pod(?P<pod>[0-9a-f][0-9a-f_-]{30,35})(?:\.slice)?"
)
_QOS: Final = re.compile(r"(?:kubepods-)?(?P<qos>besteffort|burstable)(?:\.slice)?")
_USER: Final = re.compile(r"user-(?P<user>\d{1,10})\.slice")
_MACHINE: Final = re.compile(r"machine-(?P<machine>.+)\.scope|lxc\.payload\.(?P<lxc>.+)")
_UNIT: Final = re.compile(r"(?P<unit>.+\.(?:service|scope))")
_RUNTIMES: Final = {"cri-containerd": "containerd", "crio": "CRI-O", "libpod": "Podman"}


@attrs.frozen(kw_only=True)
class CgroupOwner:
    """What the path of a group shows about its owner; None: it is not in the path."""

    container: str | None = None
    """The id of a container: 64 hexadecimal digits."""
    runtime: str | None = None
    """Such as docker or containerd, if the path names it."""
    pod: str | None = None
    """The uid of a Kubernetes pod."""
    qos: str | None = None
    """The class of the pod: burstable or besteffort; guaranteed pods have none in their path."""
    unit: str | None = None
    """The systemd unit: a service or a scope."""
    user: int | None = None
    """The uid of a user's session."""
    machine: str | None = None
    """A virtual machine or an LXC container."""

    @classmethod
    def of_path(cls, path: str) -> CgroupOwner:
        """Return what the path of a group shows."""
        found: dict[str, str] = {}
        words = path.split("/")
        for parent, word in zip(["", *words], words, strict=False):
            for pattern in (_CONTAINER, _POD, _QOS, _USER, _MACHINE, _UNIT):
                match = pattern.fullmatch(word)
                if match is None or (pattern is _QOS and "kubepods" not in (parent + word)):
                    continue
                found.update({k: v for k, v in match.groupdict().items() if v is not None})
                if pattern is _CONTAINER and not match["runtime"] and parent == "docker":
                    found["runtime"] = "docker"
                break
        pod, user, runtime = found.get("pod"), found.get("user"), found.get("runtime")
        machine = found.get("machine") or found.get("lxc")
        return cls(
            container=found.get("container"),
            runtime=None if runtime is None else _RUNTIMES.get(runtime, runtime),
            pod=None if pod is None else pod.replace("_", "-"),
            qos=found.get("qos"),
            unit=None if "unit" not in found else _unescape(found["unit"]),
            user=None if user is None else int(user),
            machine=None if machine is None else _unescape(machine),
        )

    def __str__(self) -> str:
        """Return it for a person; "" if the path shows nothing."""
        runtime = f" ({self.runtime})" if self.runtime else ""
        qos = f", {self.qos}" if self.qos else ""
        parts = (
            None if self.container is None else f"container {self.container[:_ID_LENGTH]}{runtime}",
            None if self.pod is None else f"pod {self.pod}{qos}",
            None if self.machine is None else f"machine {self.machine}",
            None if self.unit is None else f"systemd unit {self.unit}",
            None if self.user is None else f"user {self.user}",
        )
        return ", ".join(part for part in parts if part)


def _unescape(name: str) -> str:
    r"""Decode what systemd writes for other characters, such as `\x2d` for a minus."""
    return _ESCAPED.sub(lambda code: chr(int(code[1], 16)), name)


@attrs.frozen
class Pressure:
    """One line of memory.pressure: how long processes waited for memory."""

    avg10: float
    """Percent of the last 10 seconds."""
    avg60: float
    """Percent of the last minute."""
    avg300: float
    """Percent of the last five minutes."""
    total: float
    """Seconds since the group was made."""


@attrs.frozen
class CgroupChild:
    """A group directly below another one."""

    name: str
    current: int | None
    limit: float | None


@attrs.frozen(kw_only=True, repr=False)
class CgroupUsage:
    """The memory of a cgroup, with that of the groups below it."""

    name: str
    """Its path in the hierarchy, such as `/system.slice/ssh.service`."""
    directory: str
    """Where its files are."""
    version: Literal[1, 2]
    """Of the hierarchy that has the memory controller."""
    owner: CgroupOwner
    """What its name shows: pod, container, systemd unit."""
    current: int | None
    """Memory in use (memory.current, memory.usage_in_bytes); None for the root of v2."""
    limit: float | None
    """Its own limit (memory.max, memory.limit_in_bytes)."""
    effective_limit: float | None
    """The smallest limit of this group and the visible groups above it."""
    limited_by: str | None
    """The group that has this limit; None if there is no limit."""
    peak: int | None = None
    """The largest use so far."""
    high: float | None = None
    """Above this, processes are slowed down (v2)."""
    low: int | None = None
    """Up to this, memory is reclaimed last (v2)."""
    min: int | None = None
    """Up to this, memory is never reclaimed (v2)."""
    swap: int | None = None
    """Memory in swap."""
    swap_limit: float | None = None
    """Of swap alone (v2)."""
    memory_swap_limit: float | None = None
    """Of memory and swap together (v1)."""
    stat: MemoryStat = attrs.field(factory=MemoryStat)
    """What the memory consists of."""
    events: MappingOf[str, int] = attrs.field(factory=dict)
    """How often the limits had effects: high, max, oom, oom_kill; v1: failcnt, oom_kill."""
    pressure: MappingOf[str, Pressure] = attrs.field(factory=dict)
    """`some`: at least one process waited for memory; `full`: all of them (v2)."""
    pids: tuple[int, ...] = ()
    """The processes of the group and of the groups below it."""
    children: tuple[CgroupChild, ...] = ()
    """The groups directly below it, the largest first."""
    notes: tuple[str, ...] = ()

    @property
    def unexplained(self) -> int | None:
        """
        What is in use but in no figure of memory.stat, in kB.

        Memory that the kernel charged in advance or has not yet added to memory.stat, and swap
        cache that no process maps. A few hundred kB per CPU are normal. It may be negative, since
        the files are not read at one time.
        """
        stat = self.stat
        if self.current is None or stat.anon is None or stat.file is None:
            return None
        parts = (stat.kernel, stat.sock, stat.hugetlb) if self.version == 2 else (stat.kernel,)  # noqa: PLR2004
        return self.current - stat.anon - stat.file - sum(part or 0 for part in parts)

    @property
    def working_set(self) -> int | None:
        """What Kubernetes compares with the limit, in kB: in use without inactive_file."""
        if self.current is None or self.stat.inactive_file is None:
            return None
        return max(0, self.current - self.stat.inactive_file)

    @property
    def available(self) -> float | None:
        """How much is left until the effective limit, in kB; `math.inf` without one."""
        if self.current is None or self.effective_limit is None:
            return None
        return max(0, self.effective_limit - self.current)

    def __repr__(self) -> str:
        name = escape_unprintable(self.name)
        used = "" if self.current is None else f" {self.current:,} kB in use,"
        return f"<CgroupUsage of {name} (v{self.version}):{used} {len(self.pids)} processes>"


@attrs.frozen(kw_only=True)
class FileCharges:
    """
    Which memory cgroups are charged with the cached pages of a file, in kB.

    A page is charged to the group that used it first, whoever maps it now.
    """

    path: str
    groups: MappingOf[str, int]
    """By the path of the group, the largest first."""
    uncharged: int
    """Pages that no group is charged with, or one that is not visible here."""

    @property
    def cached(self) -> int:
        """All cached pages of the file."""
        return self.uncharged + sum(self.groups.values())
