"""A program as a user writes it, for a strict type checker."""

from __future__ import annotations

from collections.abc import Iterable

import smapskit
from smapskit import Backing, Mapping, Recording, Snapshot, Totals


def largest(mappings: Iterable[Mapping]) -> tuple[str, int]:
    found = max(mappings, key=lambda mapping: mapping.rss or 0)
    return found.pathname, found.rss or 0


def by_backing(snapshot: Snapshot) -> dict[str, int]:
    groups: dict[Backing | None, Totals] = smapskit.group_by(snapshot, lambda m: m.backing)
    return {str(key): totals.rss or 0 for key, totals in groups.items()}


def watch(pid: int) -> Recording:
    return smapskit.record(pid, interval=0.5, duration=1, by="backing")


def main() -> None:
    snapshot: Snapshot = smapskit.load("capture.txt")
    name, rss = largest(snapshot)
    print(name, rss, by_backing(snapshot), snapshot.totals().uss)
    rollup = smapskit.read_rollup(1)
    print(snapshot.check(rollup), smapskit.diff(snapshot, snapshot).deltas)
    frame = smapskit.load_frame(["a.txt"], "MiB")
    print(frame.shape, smapskit.VM_FLAGS["rd"])
