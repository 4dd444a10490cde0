"""Which mappings changed between two snapshots."""

from __future__ import annotations

from pathlib import Path

import attrs
from support.records import mapping

import smapskit
from smapskit import ChangeKind


class TestDiff:
    def test_appeared_disappeared_changed_and_unchanged(self) -> None:
        stays = mapping(0x1000, name="/lib/a", rss=4)
        grows = mapping(0x10000, size=64, name="[heap]", rss=10)
        grown = attrs.evolve(grows, end=grows.end + 4096, size=68, rss=14)
        stack = mapping(0x70000, size=8, name="[stack]", rss=8)
        deeper = attrs.evolve(stack, start=stack.start - 4096, size=12, rss=9)
        gone, come = mapping(0x30000, rss=7), mapping(0x40000, perms="rw-s", rss=2)
        found = smapskit.diff([stays, grows, gone, stack], [stays, grown, come, deeper])
        assert (found.added, found.removed, found.unchanged) == ((come,), (gone,), 1)
        assert [(c.kind, c.mapping.pathname, c.deltas) for c in found.changes] == [
            (ChangeKind.REMOVED, "", {"size": -4, "rss": -7}),
            (ChangeKind.GROWN, "[heap]", {"size": 4, "rss": 4}),
            (ChangeKind.ADDED, "", {"size": 4, "rss": 2}),
            (ChangeKind.GROWN, "[stack]", {"size": 4, "rss": 1}),
        ]
        assert [c.mapping.pathname for c in found.changed] == ["[heap]", "[stack]"]
        assert found.deltas == {"size": 8}
        assert repr(found) == ("<Difference: 1 added, 1 removed, 2 grown, 1 unchanged, rss +0 kB>")

    def test_split_merged_and_shrunk(self) -> None:
        whole = mapping(0x10000, size=64, rss=40)
        parts = (
            mapping(0x10000, size=16, rss=16),
            mapping(0x14000, size=4, perms="r--p", rss=4),
            mapping(0x15000, size=44, rss=20),
        )
        (split,) = smapskit.diff([whole], parts).changes
        assert (split.kind, split.after, split.deltas) == (ChangeKind.SPLIT, parts, {})
        (merged,) = smapskit.diff(parts, [whole]).changes
        assert (merged.kind, merged.before) == (ChangeKind.MERGED, parts)
        (shrunk,) = smapskit.diff([whole], [parts[0]]).changes
        assert (shrunk.kind, shrunk.deltas) == (ChangeKind.SHRUNK, {"size": -48, "rss": -24})
        (changed,) = smapskit.diff(parts[:2], [mapping(0x10000, size=18), *parts[1:2]]).changes
        assert changed.kind is ChangeKind.GROWN
        (rearranged,) = smapskit.diff(
            [mapping(0, size=8), mapping(8192, size=8)],
            [mapping(0, size=4), mapping(4096, size=12)],
        ).changes
        assert rearranged.kind is ChangeKind.CHANGED

    def test_other_permissions_or_values_alone(self) -> None:
        before = mapping(0x1000, rss=4)
        after = mapping(0x1000, perms="r--p", rss=4)
        (change,) = smapskit.diff([before], [after]).changes
        assert (change.kind, change.deltas) == (ChangeKind.CHANGED, {})

    def test_another_file_at_the_same_address_is_another_mapping(self) -> None:
        before, after = mapping(0x1000, name="/a"), mapping(0x1000, name="/b")
        found = smapskit.diff([before], [after])
        assert (found.added, found.removed, found.changed) == ((after,), (before,), ())

    def test_a_value_that_one_side_does_not_report_has_no_delta(self) -> None:
        (change,) = smapskit.diff([mapping(0, rss=4)], [mapping(0, rss=5, pss=5)]).changes
        assert change.deltas == {"rss": 1}

    def test_of_the_same_snapshot(self, process_folder: Path) -> None:
        snapshot = smapskit.load(process_folder / "smaps.txt")
        found = smapskit.diff(snapshot, snapshot)
        assert (found.changes, found.unchanged) == ((), len(snapshot))

    def test_no_mapping_is_lost(self, process_folder: Path) -> None:
        snapshot = smapskit.load(process_folder / "smaps.txt")
        other = [attrs.evolve(m, end=m.end + 4096) if n % 3 else m for n, m in enumerate(snapshot)]
        found = smapskit.diff(snapshot, other[::2])
        assert sum(len(c.before) for c in found.changes) + found.unchanged == len(snapshot)
        assert sum(len(c.after) for c in found.changes) + found.unchanged == len(other[::2])
        total = smapskit.totals(other[::2]).rss or 0
        assert found.deltas.get("rss", 0) == total - (snapshot.totals().rss or 0)
