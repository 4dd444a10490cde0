"""Captures of other kernels and machines: their files agree, and what each kernel has is read."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
from support.paths import KERNEL_CAPTURES, KERNELS, capture_name

import smapskit
from smapskit import Backing

EACH = pytest.mark.parametrize("archive", KERNEL_CAPTURES, ids=capture_name)
FEATURES = pytest.mark.parametrize(
    "archive", sorted(KERNELS.glob("*/kernel_features.tar.xz")), ids=capture_name
)
Unpack = Callable[[Path], Path]


def _kernel(archive: Path) -> tuple[dict[str, Any], tuple[int, int]]:
    """Return the description of a capture's kernel, and its version."""
    described = json.loads((archive.parent / "kernel.json").read_text())
    major, minor = re.findall(r"\d+", described["release"])[:2]
    return described, (int(major), int(minor))


def _status(folder: Path) -> dict[str, int]:
    """Return the sizes in status, in kB."""
    text = (folder / "status.txt").read_text()
    return {name: int(kb) for name, kb in re.findall(r"^(\w+):\s+(\d+) kB$", text, re.MULTILINE)}


@EACH
def test_smaps_is_parsed_and_agrees_with_maps_and_rollup(archive: Path, unpacked: Unpack) -> None:
    folder = unpacked(archive)
    text = (folder / "smaps.txt").read_bytes()
    snapshot = smapskit.parse_smaps(text)
    assert snapshot.notes == ()
    assert snapshot.check(smapskit.load_rollup(folder / "smaps_rollup.txt")) == []
    assert smapskit.format_smaps(snapshot).encode("utf-8", "surrogateescape") == text
    maps = smapskit.load(folder / "maps.txt")
    assert [str(m.start) + m.pathname for m in maps] == [
        str(m.start) + m.pathname for m in snapshot
    ]
    assert all(not mapping.extra for mapping in snapshot), "a field of this kernel is not known"
    assert smapskit.parse_frame(text)["rss"].sum() == smapskit.totals(snapshot).rss


@EACH
def test_status_reports_the_same_sizes(archive: Path, unpacked: Unpack) -> None:
    folder = unpacked(archive)
    snapshot, status = smapskit.load(folder / "smaps.txt"), _status(folder)
    own = [m for m in snapshot if m.pathname != "[vsyscall]"]
    totals = smapskit.totals(snapshot)
    assert status["VmSize"] == sum(m.size for m in own)
    assert status["VmLck"] == sum(m.size for m in own if "lo" in (m.vm_flags or ()))
    hugetlb = (totals.shared_hugetlb or 0) + (totals.private_hugetlb or 0)
    assert status["HugetlbPages"] == hugetlb
    assert status["VmRSS"] == sum(status[f"Rss{part}"] for part in ("Anon", "File", "Shmem"))


@EACH
def test_page_sizes_are_those_of_the_machine(archive: Path, unpacked: Unpack) -> None:
    kernel, _ = _kernel(archive)
    for mapping in smapskit.load(unpacked(archive) / "smaps.txt"):
        assert mapping.size % (kernel["page_size"] // 1024) == 0
        if mapping.backing is not Backing.HUGETLB:
            assert mapping.kernel_page_size == kernel["page_size"] // 1024


FLAGS = {
    "rr": (3, 8),
    "sr": (3, 8),
    "dc": (3, 8),
    "dd": (3, 8),
    "mg": (3, 8),
    "hg": (3, 8),
    "lo": (3, 8),
    "ht": (3, 8),
    "um": (4, 3),
    "wf": (4, 14),
    "uw": (5, 7),
    "lf": (6, 8),
    "sl": (6, 10),
    "dp": (6, 11),
    "gu": (6, 18),
}
"""Flags of mappings in `kernel_features`, with the first kernel that reports them."""


@FEATURES
def test_what_a_process_made_is_reported(archive: Path, unpacked: Unpack) -> None:
    _, version = _kernel(archive)
    snapshot = smapskit.load(unpacked(archive) / "smaps.txt")
    reported = {flag for mapping in snapshot for flag in mapping.vm_flags or ()}
    assert {flag: flag in reported for flag in FLAGS} == {
        flag: version >= since for flag, since in FLAGS.items()
    }
    counted = attrs.asdict(smapskit.totals(snapshot))
    for name in ("swap", "swap_pss", "lazy_free", "anon_huge_pages"):
        assert counted[name] > 0, name
    assert counted["shared_hugetlb"] + counted["private_hugetlb"] > 0
    assert (counted["ksm"] or 0) > 0 or version < (6, 7)
    secret = [m.backing for m in snapshot if m.pathname == "/secretmem (deleted)"]
    assert secret == ([Backing.SPECIAL] if version >= (5, 14) else [])
