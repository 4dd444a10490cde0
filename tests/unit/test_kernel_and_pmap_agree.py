"""Captures of stopped processes: the three files of the kernel and the tables of pmap agree."""

from __future__ import annotations

import re
from pathlib import Path

import attrs
import pytest
from support.pmap_tool import (
    CHANGED_BY_PMAP,
    LAYOUTS,
    changed_as_in,
    in_ascii,
    named,
    up_to_unnamed_flags,
)

import smapskit
from smapskit import Backing, Mapping, Note
from smapskit.model.mapping import COUNTERS

ROUNDED_DOWN_PER_RECORD = {"pss", "pss_dirty", "swap_pss"}


def text(folder: Path, name: str) -> str:
    return (folder / name).read_bytes().decode("utf-8", "surrogateescape")


@pytest.fixture
def snapshot(process_folder: Path) -> smapskit.Snapshot:
    return smapskit.parse_smaps(text(process_folder, "smaps.txt"))


def test_sums_are_those_of_the_rollup(snapshot: smapskit.Snapshot, process_folder: Path) -> None:
    rollup = smapskit.parse_rollup(text(process_folder, "smaps_rollup.txt"))
    totals = smapskit.totals(snapshot)
    for name in COUNTERS:
        summed, said = getattr(totals, name), getattr(rollup, name)
        if name in ROUNDED_DOWN_PER_RECORD and said is not None:
            assert 0 <= said - summed <= len(snapshot), name
        else:
            assert summed == said, name
    assert rollup.pss_anon is not None
    assert rollup.pss_file is not None
    assert rollup.pss_shmem is not None
    assert abs(rollup.pss_anon + rollup.pss_file + rollup.pss_shmem - (rollup.pss or 0)) <= 2


def test_they_are_consistent(snapshot: smapskit.Snapshot) -> None:
    assert snapshot.check() == []
    assert snapshot.notes == ()


def test_maps_has_the_same_mappings_without_counters(
    snapshot: smapskit.Snapshot, process_folder: Path
) -> None:
    maps = smapskit.parse_maps(text(process_folder, "maps.txt"))
    header = ("start", "end", "perms", "offset", "device", "inode", "pathname", "size")
    assert [[getattr(m, name) for name in header] for m in maps] == [
        [getattr(m, name) for name in header] for m in snapshot
    ]
    assert smapskit.totals(maps).rss is None


@pytest.mark.parametrize("name", ["smaps.txt", "maps.txt"])
def test_written_again_they_are_the_same_texts(process_folder: Path, name: str) -> None:
    said = text(process_folder, name)
    parse = smapskit.parse_smaps if name == "smaps.txt" else smapskit.parse_maps
    assert smapskit.format_smaps(parse(said)) == said


def test_sums_by_backing_agree_with_the_rollup(
    snapshot: smapskit.Snapshot, process_folder: Path
) -> None:
    # The rollup parts Pss into anonymous, file and shared memory by the pages themselves.
    rollup = smapskit.parse_rollup(text(process_folder, "smaps_rollup.txt"))
    groups = smapskit.group_by(snapshot, "backing")
    shmem = groups.get(smapskit.Backing.SHMEM)
    said = 0 if shmem is None else (shmem.pss or 0)
    assert rollup.pss_shmem is not None
    assert abs(said - rollup.pss_shmem) <= len(snapshot)


EVERY_TABLE = pytest.mark.parametrize(
    "options", ["", "-x", "-d", "-X", "-XX", "-xp", "-xq", "-XXp", "-XXq"]
)


class TestPmap:
    @EVERY_TABLE
    def test_its_tables_are_printed_from_the_saved_smaps(
        self, snapshot: smapskit.Snapshot, process_folder: Path, options: str
    ) -> None:
        said = text(process_folder, f"pmap{options}.txt")
        table = smapskit.parse_pmap(said)
        if "X" in options:
            snapshot = changed_as_in(snapshot, named(table, text(process_folder, "pmap-XX.txt")))
            snapshot = up_to_unnamed_flags(snapshot)
        snapshot = attrs.evolve(snapshot, pid=table.pid, command=table.command)
        assert _formatted(snapshot, options) == _sanitized(said)

    @EVERY_TABLE
    def test_read_and_written_again_they_are_the_same_tables(
        self, process_folder: Path, options: str
    ) -> None:
        said = text(process_folder, f"pmap{options}.txt")
        assert _formatted(smapskit.parse_pmap(said), options) == _sanitized(said)

    def test_totals_that_include_the_process_before_are_noted(self, process_folder: Path) -> None:
        table = text(process_folder, "pmap-X.txt")
        rows, total = table.removesuffix("\n").rsplit("\n", 1)
        doubled = re.sub("[0-9]+", lambda number: str(2 * int(number[0])), total)
        first, second = smapskit.parse_pmaps(f"{table}{rows}\n{doubled}\n")
        assert set(second.notes) - set(first.notes) == {Note.CUMULATIVE_TOTALS}
        assert second.mappings == first.mappings

    def test_the_extended_table_has_the_values_of_smaps(
        self, snapshot: smapskit.Snapshot, process_folder: Path
    ) -> None:
        def seen(mapping: Mapping) -> tuple[object, ...]:
            return (mapping.start, mapping.end, mapping.size, mapping.rss, mapping.dirty)

        table = smapskit.parse_pmap(text(process_folder, "pmap-x.txt"))
        assert [seen(m) for m in table] == [seen(m) for m in snapshot]
        assert [m.perms for m in table] == [m.perms for m in snapshot]
        assert table.shared_rss() == snapshot.shared_rss()
        assert set(table.notes) <= {Note.ASSUMED_SHMEM}

    def test_the_full_table_has_the_values_of_smaps(
        self, snapshot: smapskit.Snapshot, process_folder: Path
    ) -> None:
        table = smapskit.parse_pmap(text(process_folder, "pmap-XXp.txt"))
        moved = dict.fromkeys(CHANGED_BY_PMAP)
        assert [attrs.evolve(row, **moved) for row in table] == [
            attrs.evolve(m, **moved) for m in up_to_unnamed_flags(snapshot)
        ]

    def test_a_backing_known_from_a_row_is_that_of_smaps(
        self, snapshot: smapskit.Snapshot, process_folder: Path
    ) -> None:
        table = smapskit.parse_pmap(text(process_folder, "pmap-xp.txt"))
        # Only flags and page sizes tell huge pages of memfd_create(2) from a tmpfs.
        told = [
            (row.backing, m.backing)
            for row, m in zip(table, snapshot, strict=True)
            if not (m.backing is Backing.HUGETLB and m.pathname.startswith("/memfd:"))
        ]
        assert all(row in (None, real) for row, real in told)
        assert sum(row is not None for row, _ in told) > len(told) / 2


def _formatted(snapshot: smapskit.Snapshot, options: str) -> str:
    layout = LAYOUTS[options.rstrip("pq")]
    show_path, quiet = "p" in options, "q" in options
    table = smapskit.format_pmap(snapshot, layout, show_path=show_path, quiet=quiet)
    return table if "X" in options else in_ascii(table)


def _sanitized(said: str) -> str:
    """Return a table of -X of procps 4.0.2 without control characters."""
    return re.sub("[\x00-\x09\x0b-\x1f\x7f\udc80-\udcff]", "?", said)
