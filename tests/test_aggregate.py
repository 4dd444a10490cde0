from __future__ import annotations

from pathlib import Path

import attrs
import pytest

import smapskit
from smapskit import Backing, ChangeKind, InconsistencyKind, Mapping, Permissions, Sharing, Snapshot
from smapskit.model.mapping import COUNTERS
from smapskit.model.totals import GroupName


def mapping(
    start: int, size: int = 4, perms: str = "rw-p", name: str = "", **known: int
) -> Mapping:
    return Mapping(
        start=start, end=start + size * 1024, perms=Permissions.parse(perms), pathname=name, **known
    )


def test_the_document_the_project_started_from() -> None:
    text = (Path(__file__).parent / "fixtures" / "document-pmap-x.txt").read_text()
    snapshot = smapskit.parse_pmap(text)
    total = smapskit.totals(snapshot)
    assert (len(snapshot), total.count) == (38, 38)
    assert (total.size, total.rss, total.dirty) == (20489436, 5080988, 2528)
    assert smapskit.shared_rss(snapshot) == 5076052
    (shared,) = snapshot.shared()
    assert shared.pathname == "tempfile"
    assert (snapshot.pid, snapshot.command) == (695564, "./a.out tempfile")
    assert smapskit.format_pmap(snapshot) == text


class TestTotals:
    def test_a_sum_is_over_those_that_know_the_field(self) -> None:
        total = smapskit.totals([mapping(0, rss=4, pss=2), mapping(8192, rss=8)])
        assert (total.rss, total.pss, total.swap) == (12, 2, None)
        assert (total.count, total.size) == (2, 8)

    def test_of_nothing(self) -> None:
        total = smapskit.totals([])
        assert (total.count, total.size) == (0, 0)
        assert all(getattr(total, name) is None for name in COUNTERS)

    def test_page_sizes_are_not_added_up(self) -> None:
        total = smapskit.totals([mapping(0, kernel_page_size=4, mmu_page_size=4, rss=0)])
        assert not hasattr(total, "kernel_page_size")
        assert not hasattr(total, "thp_eligible")

    def test_uss_and_dirty(self) -> None:
        parts = {"shared_clean": 1, "shared_dirty": 2, "private_clean": 4, "private_dirty": 8}
        total = smapskit.totals([mapping(0, **parts), mapping(8192, **parts)])
        assert (total.uss, total.dirty) == (24, 20)
        assert (smapskit.totals([mapping(0)]).uss, smapskit.totals([mapping(0)]).dirty) == (
            None,
            None,
        )

    def test_any_iterable_will_do(self) -> None:
        assert smapskit.totals(mapping(n * 4096, rss=1) for n in range(3)).rss == 3

    def test_of_a_concatenation_is_the_sum(self, process_folder: Path) -> None:
        snapshot = smapskit.load(process_folder / "smaps.txt")
        half = len(snapshot) // 2
        first, second = snapshot[:half].totals(), snapshot[half:].totals()
        whole = snapshot.totals()
        for name in ("count", "size", "rss", "pss", "swap_pss", "private_hugetlb"):
            assert getattr(first, name) + getattr(second, name) == getattr(whole, name)


def test_shared_is_the_permission_not_how_many_map_it() -> None:
    mapped_once = mapping(0, perms="rw-s", rss=100, private_dirty=100, shared_dirty=0)
    mapped_by_two = mapping(8192, perms="rw-p", rss=7, private_dirty=0, shared_dirty=7)
    both = [mapped_once, mapped_by_two]
    assert smapskit.shared_rss(both) == 100
    assert smapskit.totals(both).shared_dirty == 7


class TestGroups:
    MAPPINGS = (
        mapping(0, perms="r-xp", name="/bin/x", rss=1),
        mapping(4096, perms="rw-s", name="/bin/x", rss=2),
        mapping(8192, perms="rw-p", rss=4),
        mapping(12288, perms="r-xp", name="[vdso]", rss=8),
    )

    @pytest.mark.parametrize(
        ("key", "groups"),
        [
            ("backing", {Backing.FILE: 3, Backing.ANONYMOUS: 4, Backing.SPECIAL: 8}),
            ("sharing", {Sharing.PRIVATE: 13, Sharing.SHARED: 2}),
            ("perms", {"r-xp": 9, "rw-s": 2, "rw-p": 4}),
            ("pathname", {"/bin/x": 3, "": 4, "[vdso]": 8}),
        ],
    )
    def test_by_name(self, key: GroupName, groups: dict[object, int]) -> None:
        found = smapskit.group_by(self.MAPPINGS, key)
        assert {group: total.rss for group, total in found.items()} == groups
        assert list(found) == list(groups)

    def test_by_a_function(self) -> None:
        found = smapskit.group_by(self.MAPPINGS, lambda m: m.perms.execute)
        assert {group: total.count for group, total in found.items()} == {True: 2, False: 2}

    def test_by_something_else(self) -> None:
        with pytest.raises(ValueError, match="expected one of backing, sharing, perms, pathname"):
            smapskit.group_by(self.MAPPINGS, "colour")  # type: ignore[call-overload]


class TestDiff:
    def test_what_came_went_changed_and_stayed(self) -> None:
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

    def test_other_permissions_or_figures_alone(self) -> None:
        before = mapping(0x1000, rss=4)
        after = mapping(0x1000, perms="r--p", rss=4)
        (change,) = smapskit.diff([before], [after]).changes
        assert (change.kind, change.deltas) == (ChangeKind.CHANGED, {})

    def test_the_same_place_with_another_file_is_another_mapping(self) -> None:
        before, after = mapping(0x1000, name="/a"), mapping(0x1000, name="/b")
        found = smapskit.diff([before], [after])
        assert (found.added, found.removed, found.changed) == ((after,), (before,), ())

    def test_a_figure_that_is_not_known_at_both_moments_did_not_change(self) -> None:
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


class TestSnapshot:
    SNAPSHOT = Snapshot(TestGroups.MAPPINGS, pid=7, command="x")

    def test_is_a_sequence(self) -> None:
        assert len(self.SNAPSHOT) == 4
        assert self.SNAPSHOT[-1].pathname == "[vdso]"
        assert next(reversed(self.SNAPSHOT)) is self.SNAPSHOT[3]
        assert self.SNAPSHOT[1] in self.SNAPSHOT
        assert self.SNAPSHOT[1:3] == Snapshot(TestGroups.MAPPINGS[1:3], pid=7, command="x")

    def test_choices_are_of_the_same_process(self) -> None:
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

    def test_its_sums_are_the_aggregates(self) -> None:
        assert self.SNAPSHOT.totals() == smapskit.totals(TestGroups.MAPPINGS)
        assert self.SNAPSHOT.shared_rss() == 2
        assert self.SNAPSHOT.group_by("perms") == smapskit.group_by(TestGroups.MAPPINGS, "perms")

    def test_check_names_what_contradicts_itself(self) -> None:
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

    def test_a_person_can_read_it(self) -> None:
        assert repr(self.SNAPSHOT) == "<Snapshot of 7 (x): 4 mappings, size 16 kB, rss 15 kB>"
        assert repr(self.SNAPSHOT[1]) == "<Mapping 1000-2000 rw-s '/bin/x': size 4 kB, rss 2 kB>"
