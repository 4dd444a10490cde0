"""Findings of `explain` over records and texts: what rules need, order, limits, false alarms."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import kernel_texts, strategies
from support.paths import FIXTURES, PROCESSES, corpus
from support.records import mapping

import smapskit
from smapskit import Context, Recording, Sample, Snapshot, Totals
from smapskit.analysis.explain import RULES, examine
from smapskit.analysis.thresholds import THRESHOLDS
from smapskit.text import sanitize
from smapskit.views.findings import Report, findings_to_json, format_report

MIB = 1024
GIB = 1024 * MIB

# Each was looked at: the cause is there.
OF_FIXTURES = {
    "all_mapping_kinds": {"hugetlb"},  # it maps a huge page
}
OF_RUNTIMES = {
    "asan": {"reserved"},  # its shadow memory
    "chromium-browser": {"reserved"},
    "chromium-renderer": {"reserved"},
    "cpython": {"malloc-arenas"},  # made with 8 threads that allocate
    "firefox": {"lazy-free"},
    "glibc": {"malloc-arenas"},
    "glibc-2.43": {"malloc-arenas"},
    "glibc-32": {"malloc-arenas"},
    "jvm-z": {"reserved"},
    "qemu": {"thp-bloat"},  # memory of the guest
    "ruby": {"malloc-arenas"},
    "tsan": {"reserved"},  # its shadow memory
}
OF_CAPTURES = {
    "smaps/android-14-memorylab": {"reserved"},
    "smaps/android-systrace-analysis": {
        "deleted-executable",  # compiled code of an app that was updated
        "device-memory",
        "pss-far-below-rss",
    },
    # Old ARM processors and kernels: what can be read can be executed.
    "smaps/arm-hikvision-2.6-init": {"executable-stack", "writable-executable"},
    "maps/arm-hikvision-2.6-init": {"executable-stack", "writable-executable"},
    "maps/arm-init-busybox": {"writable-executable"},
    "maps/procfs-tcsh-2.4": {"writable-executable"},
    "smaps/arm-xilinx-4.4-python": {"writable-executable"},  # a closure of libffi
    "smaps/firecracker-guest-mem-hugetlb": {"hugetlb"},
    "smaps/firefox-ubuntu1604": {"runtime-heap"},  # 1 GiB of jemalloc
    "smaps/pcp-5.5.7-pid291591": {"deleted-executable"},
    "smaps/uutils-parser-test": {"hugetlb"},  # values made up for a test
    "pmap-x/centos5-chunk_server": {"deleted-executable"},  # replaced by prelink
}


def ids(found: list[smapskit.Finding]) -> set[str]:
    return {finding.id for finding in found}


@pytest.mark.parametrize("folder", PROCESSES, ids=lambda folder: folder.name)
def test_no_false_alarm_over_fixtures(folder: Path) -> None:
    found = smapskit.explain(smapskit.load(folder / "smaps.txt"))
    assert ids(found) == OF_FIXTURES.get(folder.name, set())


@pytest.mark.parametrize(
    "file", sorted((FIXTURES / "runtimes").glob("*.smaps.gz")), ids=lambda file: file.name
)
def test_no_false_alarm_over_runtimes(file: Path) -> None:
    found = smapskit.explain(smapskit.load(file))
    assert ids(found) == OF_RUNTIMES.get(file.name.removesuffix(".smaps.gz"), set())


CAPTURES = [
    file
    for family in ("smaps", "maps", "pmap", "pmap-x", "pmap-d", "pmap-X")
    for file in corpus(family)
]


@pytest.mark.parametrize(
    "file",
    [file for file in CAPTURES if not file.name.startswith("MALFORMED")],
    ids=lambda file: f"{file.parent.name}/{file.stem}",
)
def test_no_false_alarm_over_captures_by_others(file: Path) -> None:
    found: set[str] = set()
    for snapshot in smapskit.load_all(file):
        found |= ids(smapskit.explain(snapshot))
    assert found == OF_CAPTURES.get(f"{file.parent.name}/{file.stem}", set())


# ---- what this machine cannot cause ------------------------------------------------------


HEADER = "7f0000000000-7f0040000000 rw-p 00000000 00:00 0 "


def snapshot_with(**counters: int) -> Snapshot:
    """A record with some counters set."""
    text = kernel_texts.record(kernel_texts.FIELDS["6.18"].split(), HEADER)
    for name, value in {"Size": GIB, **counters}.items():
        lines = text.split("\n")
        at = next(at for at, line in enumerate(lines) if line.startswith(f"{name}:"))
        lines[at] = f"{name + ':':16}{value:8} kB"
        text = "\n".join(lines)
    return smapskit.parse_smaps(text)


@pytest.mark.parametrize(
    ("id_", "counters", "few"),
    [
        ("ksm", {"KSM": 2 * MIB}, {"KSM": 512}),
        ("swapped", {"Swap": 64 * MIB}, {"Swap": 8 * MIB}),
        ("hugetlb", {"Private_Hugetlb": 2 * MIB}, {"Private_Hugetlb": 0}),
        ("hugetlb", {"Shared_Hugetlb": 2 * MIB}, {"Shared_Hugetlb": 0}),
    ],
)
def test_counters_of_other_machines(
    id_: str, counters: dict[str, int], few: dict[str, int]
) -> None:
    (finding,) = smapskit.explain(snapshot_with(**counters))
    assert finding.id == id_
    assert finding.size == next(iter(counters.values()))
    assert len(finding.mappings) == 1
    assert smapskit.explain(snapshot_with(**few)) == []


def test_locked_is_believed_only_with_its_flag() -> None:
    # Kernels about 4.18 repeat Pss as Locked.
    repeated = snapshot_with(Rss=64 * MIB, Pss=64 * MIB, Locked=64 * MIB, Private_Dirty=64 * MIB)
    assert smapskit.explain(repeated) == []
    (locked,) = repeated
    flagged = Snapshot((attrs.evolve(locked, vm_flags=("rd", "wr", "lo")),))
    assert ids(smapskit.explain(flagged)) == {"locked"}


def test_swap_of_a_machine_that_is_short_of_memory() -> None:
    before, after = snapshot_with(), snapshot_with(Swap=64 * MIB)
    found = smapskit.explain(smapskit.diff(before, after))
    assert "swapped-out" in ids(found)
    assert smapskit.explain(smapskit.diff(before, before)) == []


# ---- the context -------------------------------------------------------------------------


@pytest.mark.slow
def test_the_limit_of_mappings_is_that_of_the_machine() -> None:
    many = Snapshot(tuple(mapping(8192 * at, rss=0) for at in range(50_000)))
    assumed = next(f for f in smapskit.explain(many) if f.id == "map-count")
    assert "65,530" in assumed.title
    assert assumed.confidence is smapskit.Confidence.LIKELY
    raised = Context(max_map_count=262144)
    assert "map-count" not in ids(smapskit.explain(many, raised))
    known = Context(max_map_count=65530)
    certain = next(f for f in smapskit.explain(many, known) if f.id == "map-count")
    assert certain.confidence is smapskit.Confidence.CERTAIN


def test_an_unlimited_stack_has_no_limit() -> None:
    stack = Snapshot((mapping(0x7F0000000000, 8 * MIB, name="[stack]", rss=8),))
    assert smapskit.explain(stack, Context(stack_limit=math.inf)) == []
    assert ids(smapskit.explain(stack, Context(stack_limit=8 * MIB))) == {"stack-limit"}
    assert "stack-limit" in smapskit.unchecked_rules(stack)
    assert "stack-limit" not in smapskit.unchecked_rules(stack, Context(stack_limit=math.inf))


def test_facts_are_checked() -> None:
    parsed = Context.parse({"stack_limit": "unlimited", "mem_total": "1000", "thp_mode": "always"})
    assert parsed == Context(stack_limit=math.inf, mem_total=1000, thp_mode="always")
    for facts in (
        {"stack_limit": "-1"},
        {"mem_total": "unlimited"},
        {"max_map_count": "0"},
        {"mem_total": "0"},
        {"thp_mode": "on"},
        {"x": "1"},
    ):
        with pytest.raises(ValueError, match="expected"):
            Context.parse(facts)
    assert Context.parse({"stack_limit": "0"}).stack_limit == 0


def test_a_machine_that_allows_no_mappings_has_no_share_of_0() -> None:
    some = Snapshot(tuple(mapping(8192 * at, rss=0) for at in range(50)))
    assert smapskit.explain(some, Context(max_map_count=0)) == []


def test_deleted_files_with_the_same_name_are_counted_each() -> None:
    # A library of two versions of a program, and one that was replaced twice.
    old = Snapshot(
        tuple(
            mapping(at << 30, 64, "r-xp", name=name, inode=inode)
            for at, (name, inode) in enumerate(
                [("/a/x.so (deleted)", 1), ("/b/x.so (deleted)", 2), ("/b/x.so (deleted)", 3)], 1
            )
        )
    )
    (finding,) = smapskit.explain(old)
    assert finding.title.startswith("The process still runs code of 3 files")


# ---- what a source does not report -------------------------------------------------------


def test_a_rule_is_unchecked_where_the_source_lacks_a_field() -> None:
    maps = smapskit.load(FIXTURES / "bash" / "maps.txt")
    unchecked = smapskit.unchecked_rules(maps)
    assert "rss" in unchecked["main-heap"]
    assert "swap" in unchecked["swapped"]
    assert "deleted-executable" not in unchecked
    old = smapskit.parse_smaps(kernel_texts.text("5.4"))
    assert "ksm" in smapskit.unchecked_rules(old)
    assert "ksm" not in smapskit.unchecked_rules(smapskit.parse_smaps(kernel_texts.text("6.18")))


def test_rss_that_is_not_reported_is_no_figure() -> None:
    # As in maps and in pmap without -x.
    cause = {
        "many-stacks": [mapping(at << 20, 8, name=f"[stack:{at}]") for at in range(1, 300)],
        "writable-executable": [mapping(1 << 40, 8, "rwxp")],
        "deleted-file": [mapping(2 << 40, 32 * MIB, name="/tmp/x (deleted)", inode=7)],
        "device-memory": [mapping(3 << 40, 32 * MIB, "rw-s", "/dev/dri/card0", inode=8)],
        "split-mappings": [
            mapping((4 << 40) + at * 4096, perms="rw-p" if at % 2 else "r--p") for at in range(1100)
        ],
    }
    maps = Snapshot(tuple(each for mappings in cause.values() for each in mappings))
    found = smapskit.explain(maps)
    assert ids(found) == set(cause)
    for finding in found:
        assert "rss" not in {figure.name for figure in finding.figures}
        assert finding.size > 0
        assert {"rss", "pss"}.isdisjoint(finding.title.lower().split())
    stacks = next(finding for finding in found if finding.id == "many-stacks")
    assert stacks.counter == "size"


@pytest.mark.parametrize("counter", ["dirty", "swap"])
def test_a_counter_that_one_snapshot_lacks_did_not_grow(counter: str) -> None:
    # pmap -X has no dirty pages, and pmap -x no swap.
    full = {"rss": 200 * MIB, "shared_dirty": 0, "private_dirty": 100 * MIB, "swap": 100 * MIB}
    lacking = ("shared_dirty", "private_dirty") if counter == "dirty" else ("swap",)
    lean = {name: value for name, value in full.items() if name not in lacking}
    one, two = (
        Snapshot((mapping(0x7F0000000000, GIB, **known),))  # type: ignore[arg-type]
        for known in (lean, full)
    )
    for difference in (smapskit.diff(one, two), smapskit.diff(two, one)):
        assert smapskit.explain(difference) == []
        unchecked = smapskit.unchecked_rules(difference)
        assert ("growth" in unchecked) == (counter == "dirty")


def test_nothing_is_unusual_about_nothing() -> None:
    assert smapskit.explain(Snapshot(())) == []
    assert smapskit.explain(Recording(())) == []
    assert smapskit.explain(smapskit.diff((), ())) == []


# ---- findings ----------------------------------------------------------------------------


def test_findings_are_sorted_and_can_be_ignored() -> None:
    area = Snapshot(
        (
            mapping(0x10000, 64, "rwxp", rss=64),
            mapping(0x7F0000000000, 512 * MIB, rss=600 * MIB, lazy_free=256 * MIB),
        )
    )
    found = smapskit.explain(area)
    assert [finding.id for finding in found] == [
        "unnamed-anonymous",
        "lazy-free",
        "writable-executable",
    ]
    assert [finding.size for finding in found] == [600 * MIB, 256 * MIB, 64]
    assert ids(smapskit.explain(area, ignore=["lazy-free"])) == {
        "unnamed-anonymous",
        "writable-executable",
    }
    with pytest.raises(ValueError, match="'lazy-fre'; known are address-space-limit"):
        smapskit.explain(area, ignore=["lazy-fre"])
    with pytest.raises(TypeError, match="got list"):
        smapskit.explain([])  # type: ignore[arg-type]


def test_figures_are_printed_with_units() -> None:
    written = {
        str(smapskit.Figure("x", 812, "kB")): "812 kB",
        str(smapskit.Figure("x", 12 * MIB + 300, "kB")): "12.3 MiB",
        str(smapskit.Figure("x", 3 * GIB // 2, "kB")): "1.50 GiB",
        str(smapskit.Figure("x", 0.004, "share")): "0.4 %",
        str(smapskit.Figure("x", 0.345, "share")): "34 %",
        str(smapskit.Figure("x", 1, "count", "mapping")): "1 mapping",
        str(smapskit.Figure("x", 65530, "count", "mapping")): "65,530 mappings",
        str(smapskit.Figure("x", 2, "count", "library")): "2 libraries",
        str(smapskit.Figure("x", 1.25, "s")): "1.2 s",
        str(smapskit.Figure("x", 2048.0, "kB/s")): "2.00 MiB/s",
    }
    assert all(text == expected for text, expected in written.items())


def test_each_threshold_belongs_to_a_rule_and_is_described() -> None:
    assert set(THRESHOLDS) <= set(RULES)
    for rule in RULES.values():
        described = rule.describe_condition()
        assert "{" not in described
        for name in THRESHOLDS.get(rule.id, {}):
            if name not in ("dominant", "times"):
                assert f"{{{name}}}" in rule.condition, (rule.id, name)


# ---- recordings --------------------------------------------------------------------------


def recording(values: list[int], **last: int) -> Recording:
    """A recording of dirty memory in MiB, one sample a second."""
    rows = [
        Sample(
            datetime(2026, 1, 1, tzinfo=UTC),
            float(at),
            0.001,
            "",
            Totals(
                count=10,
                size=GIB,
                rss=value * MIB,
                shared_clean=0,
                shared_dirty=0,
                private_clean=0,
                private_dirty=value * MIB,
                swap=0,
                **last,
            ),
        )
        for at, value in enumerate(values)
    ]
    return Recording(rows=tuple(rows))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([100] * 20, set()),
        ([100, 101] * 10, set()),
        (list(range(100, 200, 5)), {"steady-growth"}),
        ([100, 120, 140, 160, 180, *([200] * 15)], {"levelled-off"}),
        ([100, 150, 200, 100, 150, 200, 100, 150, 200, 100], {"saw-tooth"}),
        ([100, 100, 300, 100, 100, 100, 100, 100], {"peak"}),
        ([100, 150, 200], set()),  # too few samples for a direction
        ([100, 50, 20, 10, 10, 10, 10, 10], {"peak"}),
        ([100, 90, 120, 80, 130, 90, 140, 100, 150, 120], {"saw-tooth"}),
    ],
)
def test_shapes_of_growth(values: list[int], expected: set[str]) -> None:
    assert ids(smapskit.explain(recording(values))) == expected


def test_growth_after_an_exec_is_that_of_the_new_program() -> None:
    grown = recording(list(range(100, 200, 5)))
    begin = grown.rows[0].time
    marker = Sample(begin, 19.5, 0.0, "", smapskit.totals(()), "exec: true")
    after = moved(recording([10] * 10), 20)
    assert ids(smapskit.explain(Recording(rows=(*grown.rows, marker, *after)))) == set()


def test_samples_of_status_are_not_falls_to_0() -> None:
    grown = recording(list(range(100, 200, 5)))
    rows = []
    for row in grown.rows:
        sums = smapskit.Totals(count=9, size=9, rss=row.totals.rss, swap=0)
        rows += [row, attrs.evolve(row, seconds=row.seconds + 0.5, totals=sums, source="status")]
    found = smapskit.explain(Recording(rows=tuple(rows)))
    assert ids(found) == ids(smapskit.explain(grown)) == {"steady-growth"}


@pytest.mark.parametrize("counter", ["private_dirty", "swap"])
def test_samples_without_a_counter_are_no_growth(counter: str) -> None:
    lean: dict[str, Any] = {"swap": 100 * MIB, counter: None}
    full: dict[str, Any] = {"swap": 100 * MIB, counter: 100 * MIB}
    rows = [
        attrs.evolve(row, totals=attrs.evolve(row.totals, **(lean if at < 4 else full)))
        for at, row in enumerate(recording([100] * 12).rows)
    ]
    subject = Recording(rows=tuple(rows))
    assert smapskit.explain(subject) == []
    expected = "swap-growth" if counter == "swap" else "steady-growth"
    assert expected in smapskit.unchecked_rules(subject)


def moved(record: Recording, seconds: float) -> list[Sample]:
    return [
        Sample(row.time, row.seconds + seconds, row.read_seconds, row.group, row.totals)
        for row in record.rows
    ]


# ---- any input ---------------------------------------------------------------------------


CONTEXT = Context(
    max_map_count=1, stack_limit=1, address_space_limit=1, page_tables=10**9, mem_total=1
)


@pytest.mark.slow
@given(strategies.smaps(), strategies.smaps())
def test_any_text_is_explained(before: bytes, after: bytes) -> None:
    one, two = (smapskit.parse_smaps(text, strict=False) for text in (before, after))
    subjects = ("process", one), ("difference", smapskit.diff(one, two))
    for name, subject in subjects:
        explanation = examine(subject, CONTEXT)
        sizes = [finding.size for finding in explanation.findings]
        assert sizes == sorted(sizes, reverse=True)
        assert not {finding.id for finding in explanation.findings} & set(explanation.unchecked)
        report = Report(subject=name, explanation=explanation, command="\x1b[2J", source="\x1b")
        lines = format_report(report).split("\n")
        assert lines == list(map(sanitize, lines))
        json.loads(findings_to_json([report]).encode("ascii"))


@given(st.lists(st.lists(st.integers(0, 10**9), min_size=4, max_size=4), max_size=20))
def test_any_recording_is_explained(values: list[list[int]]) -> None:
    rows = [
        attrs.evolve(
            row,
            totals=Totals(
                count=count,
                size=size,
                private_dirty=dirty,
                shared_dirty=0,
                private_clean=clean,
                shared_clean=0,
            ),
        )
        for row, (count, size, dirty, clean) in zip(
            recording([0] * len(values)).rows, values, strict=True
        )
    ]
    for finding in smapskit.explain(Recording(rows=tuple(rows))):
        assert finding.size >= 0
