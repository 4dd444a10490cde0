"""
Families of processes: what they use together, and what each of them has of its own.

A family is all processes with one command, user, systemd unit or container, or a process with
its descendants, such as a server that forks its workers. Sizes are in kB.
"""

from __future__ import annotations

from collections.abc import Iterable
from statistics import median
from typing import Literal, NamedTuple

import attrs

from smapskit.errors import escape_unprintable
from smapskit.model.mapping import Usage

FamilyKey = Literal["command", "user", "unit", "container", "tree"]
"""What makes processes a family."""


@attrs.frozen
class FamilyMember:
    """A process of a family."""

    pid: int
    parent: int
    command: str
    usage: Usage
    page_tables: int | None = None
    """VmPTE of /proc/PID/status: not in smaps, and never shared."""


class Spread(NamedTuple):
    """The smallest, the median and the largest of some values."""

    min: int
    median: int
    max: int


@attrs.frozen(kw_only=True)
class Family:
    """Processes that belong together."""

    name: str | None
    """Of the command, user, unit, container or root process; None where it has none."""
    members: tuple[FamilyMember, ...]
    uss: int | None = None
    """Memory that no process outside maps, by counting its pages; None if it was not counted."""
    uncounted: str | None = None
    """Why `uss` is None."""

    @property
    def pss(self) -> int | None:
        """What the family uses, with its share of memory that processes outside map too."""
        return _sum(member.usage.pss for member in self.members)

    @property
    def swap(self) -> int | None:
        """What is in swap, by share where the kernel reports that (4.3 and later)."""
        shares = _sum(member.usage.swap_pss for member in self.members)
        return _sum(member.usage.swap for member in self.members) if shares is None else shares

    @property
    def uss_min(self) -> int | None:
        """At least this much no process outside maps: the sum of what each has of its own."""
        return _sum(member.usage.uss for member in self.members) if self.uss is None else self.uss

    @property
    def uss_max(self) -> int | None:
        """At most this much no process outside maps: PSS has a part of all other pages."""
        return self.pss if self.uss is None else self.uss

    @property
    def shared(self) -> int | None:
        """The part of PSS that several processes map, inside or outside."""
        pss, own = self.pss, _sum(member.usage.uss for member in self.members)
        return None if pss is None or own is None else pss - own

    @property
    def workers(self) -> tuple[FamilyMember, ...]:
        """The processes with a parent in the family; all if there are none."""
        pids = {member.pid for member in self.members}
        return tuple(m for m in self.members if m.parent in pids) or self.members

    @property
    def own(self) -> Spread | None:
        """The USS of the workers."""
        return _spread(member.usage.uss for member in self.workers)

    @property
    def next_worker(self) -> int | None:
        """
        What one more worker would cost: the median of the workers' USS and page tables.

        All else it would map is in memory already. Kernel stacks and sockets are not included.
        None for a family of one process.
        """
        if len(self.members) < 2:  # noqa: PLR2004
            return None
        spread = _spread(
            None if m.usage.uss is None or m.page_tables is None else m.usage.uss + m.page_tables
            for m in self.workers
        )
        return None if spread is None else spread.median


@attrs.frozen
class Families:
    """The families of the processes of a machine that could be read, the largest PSS first."""

    by: FamilyKey
    families: tuple[Family, ...]
    unreadable: dict[int, str]
    """The reason by pid: another user's process, too many open files."""

    def __repr__(self) -> str:
        names = ", ".join(str(each.name) for each in self.families[:3])
        return f"<{len(self.families)} families by {self.by}: {escape_unprintable(names)}, ...>"


def _sum(values: Iterable[int | None]) -> int | None:
    """Return the sum; None if one of the values is not known."""
    known = list(values)
    return None if None in known else sum(known)  # type: ignore[arg-type]


def _spread(values: Iterable[int | None]) -> Spread | None:
    known = [value for value in values if value is not None]
    return Spread(min(known), round(median(known)), max(known)) if known else None
