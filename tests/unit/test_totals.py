from __future__ import annotations

from pathlib import Path

import pytest
from support.paths import FIXTURES
from support.records import SMALL, mapping

import smapskit
from smapskit import Backing, Sharing
from smapskit.model.mapping import COUNTERS, to_columns
from smapskit.model.totals import GroupName, add_totals, group_columns


def test_the_first_document_of_the_project() -> None:
    text = (FIXTURES / "document-pmap-x.txt").read_text()
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
    def test_a_sum_is_over_the_mappings_that_report_the_field(self) -> None:
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

    def test_any_iterable_is_accepted(self) -> None:
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


class TestSharedRss:
    """The sums of records, of groups, of columns and of sums agree."""

    @pytest.mark.parametrize("by", ["backing", "sharing", "kind", "perms", "pathname"])
    def test_of_groups(self, process_folder: Path, by: GroupName) -> None:
        text = (process_folder / "smaps.txt").read_bytes()
        snapshot = smapskit.parse_smaps(text)
        expected = sum(m.rss or 0 for m in snapshot if m.is_shared)
        assert smapskit.shared_rss(snapshot) == snapshot.shared_rss() == expected
        assert snapshot.totals().shared_rss == expected
        groups = snapshot.group_by(by)
        assert sum(totals.shared_rss or 0 for totals in groups.values()) == expected
        assert group_columns([to_columns(snapshot.mappings)], by) == groups
        assert add_totals(list(groups.values())) == snapshot.totals()

    def test_is_none_where_no_rss_is_reported(self, process_folder: Path) -> None:
        maps = smapskit.load(process_folder / "maps.txt")
        assert smapskit.shared_rss(maps) is None
        assert maps.shared_rss() is maps.totals().shared_rss is None
        assert group_columns([to_columns(maps.mappings)])[""].shared_rss is None
        assert add_totals([maps.totals(), maps.totals()]).shared_rss is None
        assert add_totals([maps.totals(), smapskit.totals(SMALL)]).shared_rss == 2
        assert smapskit.shared_rss([]) is None

    def test_is_0_where_no_mapping_is_shared(self) -> None:
        assert smapskit.shared_rss([mapping(0, rss=4)]) == 0
        assert smapskit.shared_rss([mapping(0, perms="rw-s"), mapping(4096, rss=4)]) == 0


class TestGroups:
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
        found = smapskit.group_by(SMALL, key)
        assert {group: total.rss for group, total in found.items()} == groups
        assert list(found) == list(groups)

    def test_by_a_function(self) -> None:
        found = smapskit.group_by(SMALL, lambda m: m.perms.execute)
        assert {group: total.count for group, total in found.items()} == {True: 2, False: 2}

    def test_by_an_unknown_name(self) -> None:
        with pytest.raises(
            ValueError, match="expected one of backing, sharing, kind, perms, pathname"
        ):
            smapskit.group_by(SMALL, "colour")  # type: ignore[call-overload]
