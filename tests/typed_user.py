"""A program as a user writes it, for a strict type checker."""

from __future__ import annotations

from collections.abc import Iterable
from typing import assert_type

import smapskit
from smapskit import (
    Backing,
    ChangeKind,
    Device,
    Inconsistency,
    Mapping,
    MappingKind,
    Permissions,
    Recording,
    Sample,
    Sharing,
    Snapshot,
    Totals,
)


def largest(mappings: Iterable[Mapping]) -> tuple[str, int]:
    found = max(mappings, key=lambda mapping: mapping.rss or 0)
    return found.pathname, found.rss or 0


def by_backing(snapshot: Snapshot) -> dict[str, int]:
    groups = smapskit.group_by(snapshot, "backing")
    assert_type(groups, dict[Backing | None, Totals])
    return {str(key): totals.rss or 0 for key, totals in groups.items()}


def keys_of_groups(snapshot: Snapshot) -> None:
    for groups in (smapskit.group_by(snapshot, "sharing"), snapshot.group_by("sharing")):
        assert_type(groups, dict[Sharing, Totals])
    assert_type(snapshot.group_by("backing"), dict[Backing | None, Totals])
    assert_type(snapshot.group_by("kind"), dict[MappingKind, Totals])
    assert_type(smapskit.group_by(snapshot, "kind"), dict[MappingKind, Totals])
    assert_type(snapshot.group_by("perms"), dict[str, Totals])
    assert_type(smapskit.group_by(snapshot, "pathname"), dict[str, Totals])
    assert_type(snapshot.group_by(lambda mapping: mapping.inode), dict[int | None, Totals])
    assert_type(smapskit.group_by(snapshot, lambda m: m.is_shared), dict[bool, Totals])


def constructed() -> Mapping:
    mapping = Mapping(start=0x1000, end=0x2000, perms="rw-p", device="fe:00")
    assert_type(mapping.perms, Permissions)
    assert_type(mapping.device, Device | None)
    return mapping


def watch(pid: int) -> Recording:
    return smapskit.record(pid, interval=0.5, duration=1, by="backing")


def main() -> None:
    snapshot: Snapshot = smapskit.load("capture.txt")
    name, rss = largest(snapshot)
    print(name, rss, by_backing(snapshot), snapshot.totals().uss)
    rollup = smapskit.read_rollup(1)
    assert_type(snapshot.check(rollup), list[Inconsistency])
    assert_type(snapshot.shared_rss(), int | None)
    assert_type(snapshot.totals().shared_rss, int | None)
    difference = smapskit.diff(snapshot, smapskit.read())
    assert_type(difference.counts, dict[ChangeKind, int])
    assert_type(watch(1).samples, tuple[Sample, ...])
    context = smapskit.read_context(1)
    assert_type(smapskit.explain(snapshot, context), list[smapskit.Finding])
    print(smapskit.explain(difference), smapskit.explain(watch(1), ignore=["peak"]))
    print(snapshot.check(rollup), difference.deltas, constructed())
    frame = smapskit.load_frame(["a.txt"], "MiB")
    print(frame.shape, smapskit.VM_FLAGS["rd"])
