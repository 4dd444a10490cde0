"""Captures by others as they were pasted: each is read or rejected as their index says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from support.paths import PASTED

import smapskit
from smapskit import Note, ParseError, Snapshot

INDEX = PASTED / "INDEX.tsv"
pytestmark = pytest.mark.skipif(not INDEX.exists(), reason="the folder of captures does not exist")

Expectation = Callable[[Path], None]


def read(count: int, *notes: str, found: Callable[[Snapshot], bool] | None = None) -> Expectation:
    """Expect so many mappings, and notes that begin with these texts and no others."""

    def check(file: Path) -> None:
        snapshot = smapskit.load(file)
        assert len(snapshot) == count
        for note in snapshot.notes:
            assert note.startswith(notes), note
        for note in notes:
            assert any(each.startswith(note) for each in snapshot.notes), note
        assert found is None or found(snapshot)

    return check


def rollups(count: int) -> Expectation:
    def check(file: Path) -> None:
        assert len(smapskit.load_rollup_all(file)) == count

    return check


def rejected(line: int | None = None) -> Expectation:
    def check(file: Path) -> None:
        with pytest.raises(ParseError) as caught:
            smapskit.load(file)
        assert caught.value.source == str(file)
        assert line in (None, caught.value.line_number)

    return check


def names(snapshot: Snapshot) -> set[str]:
    return {mapping.pathname for mapping in snapshot}


EXPECTED = {
    "pmap/localised-pt_BR.txt": read(23, found=lambda s: {"[ anôn ]", "[ pilha ]"} < names(s)),
    "pmap-x/toybox-android.txt": read(
        14,
        Note.ROWS_OMITTED,
        Note.TOTAL_DIFFERS,
        found=lambda s: {"[anon]", "boot.art]"} < names(s),
    ),
    "maps/i915-gnome.txt": read(28),
    "maps/android5-ashmem.txt": read(14),
    "smaps/chromium-empty-range.txt": read(2, Note.EMPTY_RANGE),
    "pmap/web-endash-sshd.txt": read(8, Note.DASHES, Note.SKIPPED),
    "maps/hash-prefixed-i386.txt": read(53, Note.PREFIX),
    "maps/backticked-ssh.txt": read(6, Note.PREFIX, found=lambda s: s[-1].pathname == "[vvar]"),
    "pmap-x/arrow-remark-java.txt": read(
        5, Note.SKIPPED, Note.REMARK, found=lambda s: names(s) == {"java", "[ anon ]"}
    ),
    "other/gdb-info-proc-mappings.txt": rejected(),
    "other/asan-map.txt": rejected(),
    "other/solaris-pmap-x.txt": rejected(3),
    "pmap-X/MALFORMED-wsl2-wrapped.txt": rejected(2),
    "pmap-X/MALFORMED-libbpf-XX-mangled.txt": rejected(3),
    "pmap-d/sles-ellipsis.txt": read(11, Note.ROWS_OMITTED, Note.TOTAL_DIFFERS),
    "pmap/xorg-drm-shmid.txt": read(17),
    "smaps/openj9-ppc64le-64k.txt": read(1, found=lambda s: s[0].kernel_page_size == 64),
    "smaps/ppc64-sed-64k.txt": read(11, found=lambda s: s[0].kernel_page_size == 64),
    "smaps/mips64-loongson-16k.txt": read(2, found=lambda s: s[0].kernel_page_size == 16),
    "smaps/qemu-huge1G.txt": read(1, found=lambda s: s[0].backing is smapskit.Backing.HUGETLB),
    "rollup/writeback.txt": rollups(1),
    "rollup/MALFORMED-several.txt": rollups(2),
    "maps/dpdk-rtemap.txt": read(4),
    "maps/riscv.txt": read(9),
    "maps/io_uring.txt": read(8),
    "pmap-X/wsl1-bash-XX.txt": read(31),
}
"""How names are classified is tested with the rules about names."""


def captures() -> list[str]:
    if not INDEX.exists():
        return []
    lines = INDEX.read_text(encoding="utf-8").splitlines()
    return [line.split("\t")[0] for line in lines[1:]]


@pytest.mark.parametrize("name", captures())
def test_each_is_read_or_rejected_as_expected(name: str) -> None:
    assert name in EXPECTED, "a new capture: what is expected of it?"
    EXPECTED[name](PASTED / name)
