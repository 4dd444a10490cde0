"""Snapshots: a sequence of mappings, filters, sums, contradictions."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import attrs
from support.paths import FIXTURES
from support.records import SMALL, mapping

import smapskit
from smapskit import InconsistencyKind, MappingKind, Note, Snapshot


def test_check_reports_sums_that_differ_from_the_rollup(process_folder: Path) -> None:
    snapshot = smapskit.load(process_folder / "smaps.txt")
    rollup = smapskit.load_rollup(process_folder / "smaps_rollup.txt")
    assert snapshot.check(rollup) == []
    resident = next(n for n, mapping in enumerate(snapshot) if mapping.rss)
    torn = smapskit.Snapshot((*snapshot[:resident], *snapshot[resident + 1 :]))
    (fault, *_) = torn.check(rollup)
    assert fault.kind is InconsistencyKind.ROLLUP
    assert fault.mapping is None
    assert str(fault).startswith("the sum of rss is ")
    assert f"smaps_rollup reports {rollup.rss} kB" in str(fault)


class TestSnapshot:
    SNAPSHOT = Snapshot(SMALL, pid=7, command="x")

    def test_is_a_sequence(self) -> None:
        assert len(self.SNAPSHOT) == 4
        assert self.SNAPSHOT[-1].pathname == "[vdso]"
        assert next(reversed(self.SNAPSHOT)) is self.SNAPSHOT[3]
        assert self.SNAPSHOT[1] in self.SNAPSHOT
        assert self.SNAPSHOT[1:3] == Snapshot(SMALL[1:3], pid=7, command="x")

    def test_filters_are_of_the_same_process(self) -> None:
        chosen = {
            "anonymous": self.SNAPSHOT.anonymous(),
            "file_backed": self.SNAPSHOT.file_backed(),
            "shared": self.SNAPSHOT.shared(),
            "private": self.SNAPSHOT.private(),
            "filter": self.SNAPSHOT.filter(lambda m: (m.rss or 0) > 3),
        }
        assert {name: [m.rss for m in found] for name, found in chosen.items()} == {
            "anonymous": [4],
            "file_backed": [1, 2],
            "shared": [2],
            "private": [1, 4, 8],
            "filter": [4, 8],
        }
        assert all(found.pid == 7 for found in chosen.values())

    def test_its_sums_are_those_of_its_mappings(self) -> None:
        assert self.SNAPSHOT.totals() == smapskit.totals(SMALL)
        assert self.SNAPSHOT.shared_rss() == 2
        assert self.SNAPSHOT.group_by("perms") == smapskit.group_by(SMALL, "perms")

    def test_a_part_has_the_kinds_of_the_whole(self) -> None:
        """An arena is known by the memory after it, .bss by the file before it."""
        whole = smapskit.load(FIXTURES / "all_mapping_kinds" / "smaps.txt")
        kind_of = {m.start: v for m, v in zip(whole, whole.kinds(), strict=True)}
        parts = [whole.filter(lambda m: m.perms.write), whole.anonymous(), whole[1:40:3]]
        parts += [parts[0].anonymous(), parts[0][1:]]
        for part in parts:
            verdicts = [kind_of[mapping.start] for mapping in part]
            assert list(part.kinds()) == smapskit.kinds(part) == verdicts
            assert part.to_frame()["kind"].tolist() == [v.kind for v in verdicts]
            assert part.to_frame()["kind_source"].tolist() == [v.source for v in verdicts]
            assert set(part.group_by("kind")) == {v.kind for v in verdicts}
        assert MappingKind.MALLOC_ARENA in parts[0].group_by("kind")
        assert MappingKind.MALLOC_ARENA not in smapskit.group_by(parts[0].mappings, "kind")

    def test_kinds_are_those_of_replaced_mappings(self) -> None:
        part = attrs.evolve(self.SNAPSHOT[1:], mappings=SMALL[:1])
        assert part.kinds() == tuple(smapskit.kinds(SMALL[:1]))
        assert Snapshot(()).kinds() == self.SNAPSHOT[:0].kinds() == ()

    def test_equal_are_pid_command_and_mappings(self) -> None:
        time = datetime(2026, 1, 1, tzinfo=UTC)
        other = Snapshot(
            SMALL, pid=7, command="x", time=time, source="/proc/7/smaps", notes=(Note.CRLF,)
        )
        assert other == self.SNAPSHOT
        assert hash(other) == hash(self.SNAPSHOT)
        for changed in ({"pid": 8}, {"command": "y"}, {"mappings": SMALL[1:]}):
            assert attrs.evolve(other, **changed) != self.SNAPSHOT
        assert self.SNAPSHOT != SMALL  # type: ignore[comparison-overlap]

    def test_sums_are_computed_once(self) -> None:
        snapshot = Snapshot(SMALL)
        assert snapshot.totals() is snapshot.totals()
        assert snapshot[1:].totals().rss == 14
        assert attrs.evolve(snapshot, mappings=SMALL[:1]).totals().rss == 1

    def test_check_reports_contradictions(self) -> None:
        parts = {"shared_clean": 1, "shared_dirty": 1, "private_clean": 1, "private_dirty": 1}
        torn = Snapshot(
            (
                mapping(0x8000, size=8, rss=5, **parts),
                mapping(0x9000, rss=4, **parts),
                mapping(0x1000),
            )
        )
        first, second, third = torn
        assert [(fault.kind, fault.mapping, str(fault)) for fault in torn.check()] == [
            (InconsistencyKind.OVERLAP, second, "9000-a000 overlaps the mapping before it"),
            (InconsistencyKind.ORDER, third, "1000-2000 follows a mapping at a higher address"),
            (
                InconsistencyKind.RSS,
                first,
                "8000-a000 has Rss 5 kB, but the sum of its four parts is 4 kB",
            ),
        ]

    def test_representation(self) -> None:
        assert repr(self.SNAPSHOT) == "<Snapshot of 7 (x): 4 mappings, size 16 kB, rss 15 kB>"
        assert repr(self.SNAPSHOT[1]) == "<Mapping 1000-2000 rw-s '/bin/x': size 4 kB, rss 2 kB>"
