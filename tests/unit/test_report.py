"""The HTML file of a report: its values, its security, and what it says is not known."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
from support.paths import FIXTURES, PROCESSES, RECORDED
from support.records import SMALL, mapping
from support.reports import (
    HOSTILE_NAMES,
    ReportPage,
    hostile_snapshot,
    labels,
    large_snapshot,
)
from unit.test_recording import SHORT, row

import smapskit
from smapskit import Recording, Snapshot
from smapskit.analysis.findings import format_kb
from smapskit.text import UNPRINTABLE
from smapskit.views.report import page

MAX_TEMPLATE = 150_000
JAVA = FIXTURES / "java"


@pytest.fixture
def report(tmp_path: Path) -> Callable[..., ReportPage]:
    """Write a report and read it again."""

    def write(subject: Any, **options: Any) -> ReportPage:
        path = tmp_path / "report.html"
        subject.to_html(path, **options)
        return ReportPage.load(path)

    return write


def digest(text: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


class TestSecurity:
    @pytest.mark.parametrize(
        "subject",
        [
            hostile_snapshot(),
            Snapshot(()),
            smapskit.diff(SMALL, hostile_snapshot()),
            Recording((row(0, 1, HOSTILE_NAMES[0]), row(0, 1, "b"), row(1, 0, "", "</script>"))),
        ],
        ids=["hostile", "empty", "difference", "recording"],
    )
    def test_the_policy_permits_one_script_and_one_style_by_hash(
        self, subject: Any, report: Callable[..., ReportPage]
    ) -> None:
        found = report(subject)
        data, script = found.contents["script"]
        (style,) = found.contents["style"]
        assert data.startswith("{")
        assert found.policy == {
            "default-src": "'none'",
            "script-src": digest(script),
            "style-src": digest(style),
            "base-uri": "'none'",
            "form-action": "'none'",
        }
        # A policy is not applied to what comes before it.
        tags = [tag for tag, _ in found.tags]
        names = [attributes.get("http-equiv") for _, attributes in found.tags]
        assert names.index("Content-Security-Policy") < min(
            tags.index("style"), tags.index("script")
        )

    def test_nothing_refers_to_another_file(self, report: Callable[..., ReportPage]) -> None:
        found = report(hostile_snapshot())
        refused = {"src", "srcset", "style", "action", "background", "poster", "data"}
        for tag, attributes in found.tags:
            assert not refused & set(attributes), (tag, attributes)
            assert not [name for name in attributes if name.startswith("on")]
            assert (attributes.get("href") or "#").startswith("#")
        script = found.contents["script"][1]
        assert not re.search(r"\b(fetch|XMLHttpRequest|WebSocket|sendBeacon|import)\b", script)
        urls = re.findall(r"https?:[^\"'\s]*", script + found.contents["style"][0])
        assert set(urls) == {"http://www.w3.org/2000/svg"}  # a name, which is not loaded

    def test_the_script_never_reads_text_as_html(self) -> None:
        _, script = page.assets()
        unsafe = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function"
        assert not re.search(unsafe, script)

    def test_hostile_names_are_text(self, report: Callable[..., ReportPage]) -> None:
        snapshot = hostile_snapshot()
        found = report(snapshot, title=HOSTILE_NAMES[0])
        plain = report(attrs.evolve(snapshot, mappings=SMALL, command="x", notes=()), title="x")
        assert {tag for tag, _ in found.tags} <= {tag for tag, _ in plain.tags} | {"ul", "li"}
        assert found.table("mappings")["pathname"] == labels(snapshot.mappings)
        for name in labels(snapshot.mappings):
            assert name in found.text

    def test_no_character_changes_the_direction_or_ends_a_line(
        self, report: Callable[..., ReportPage]
    ) -> None:
        found = report(hostile_snapshot(), title="".join(HOSTILE_NAMES))
        assert set(re.findall(f"[{UNPRINTABLE}]", found.source)) == {"\n"}
        texts = [str(text) for text in found.table("mappings")["pathname"]]
        assert not re.search(f"[{UNPRINTABLE}]", "".join(texts))


class TestValues:
    @pytest.mark.parametrize("folder", PROCESSES, ids=lambda folder: folder.name)
    def test_every_value_is_that_of_the_snapshot(
        self, folder: Path, report: Callable[..., ReportPage]
    ) -> None:
        snapshot = smapskit.load(folder / "smaps.txt")
        columns = report(snapshot).table("mappings")
        assert columns["address"] == [(m.start, m.end) for m in snapshot]
        assert columns["perms"] == [str(m.perms) for m in snapshot]
        assert columns["pathname"] == labels(snapshot.mappings)
        assert columns["kind"] == [verdict.kind for verdict in snapshot.kinds()]
        assert columns["flags"] == [" ".join(m.vm_flags or ()) for m in snapshot]
        assert columns["inode"] == [str(m.inode) for m in snapshot]
        counters = [*attrs.asdict(snapshot.totals()), "dirty", "uss"]
        for name in counters:
            values = [getattr(m, name, None) for m in snapshot]
            if any(value is not None for value in values):
                assert columns[name] == values, name

    def test_addresses_that_javascript_numbers_cannot_represent(
        self, report: Callable[..., ReportPage]
    ) -> None:
        mappings = (
            mapping(2**64 - 4096, size=4, rss=0),
            mapping(0xFFFFFFFFFF600001, size=4, rss=4),
            mapping(0, size=4, rss=0),
        )
        found = report(Snapshot(mappings))
        assert found.table("mappings")["address"] == [(m.start, m.end) for m in mappings]

    def test_a_value_that_javascript_rounds_has_a_note(
        self, report: Callable[..., ReportPage]
    ) -> None:
        note = "are rounded in the table that the script shows"
        assert note in report(Snapshot((mapping(0, rss=2**53),))).text
        assert note not in report(Snapshot((mapping(0, rss=2**53 - 1),))).text

    def test_values_that_are_not_reported(self, report: Callable[..., ReportPage]) -> None:
        snapshot = smapskit.load(JAVA / "maps.txt")
        found = report(snapshot)
        assert "The source does not report RSS, PSS, USS, Swap." in found.text
        assert "rss" not in found.table("mappings")
        assert found.table("mappings")["size"] == [m.size for m in snapshot]
        mixed = report(Snapshot((mapping(0, rss=4), mapping(4096))))
        assert mixed.table("mappings")["rss"] == [4, None]

    def test_unknown_fields_are_kept(self, report: Callable[..., ReportPage]) -> None:
        text = (JAVA / "smaps.txt").read_text().replace("Rss:", "Warm:  12 kB\nRss:", 1)
        extra = report(smapskit.parse_smaps(text)).table("mappings")["extra"]
        assert extra[0] == "Warm: 12"
        assert set(extra[1:]) == {"-"}

    def test_the_sums_of_the_kinds_are_in_the_page(self, report: Callable[..., ReportPage]) -> None:
        snapshot = smapskit.load(JAVA / "smaps.txt")
        found = report(snapshot)
        titles = {attributes.get("title") for _, attributes in found.tags}
        for totals in (*snapshot.group_by("kind").values(), snapshot.totals()):
            assert {f"{totals.size:,} kB", f"{totals.rss:,} kB", f"{totals.pss:,} kB"} <= titles

    def test_a_part_of_a_snapshot_has_the_kinds_of_the_whole(
        self, report: Callable[..., ReportPage]
    ) -> None:
        snapshot = smapskit.load(JAVA / "smaps.txt")
        part = snapshot.filter(lambda m: not m.pathname)
        found = report(part)
        assert found.table("mappings")["kind"] == [verdict.kind for verdict in part.kinds()]
        assert f"a selection of {len(part)} mappings" in found.text


class TestOrigin:
    def test_what_is_not_known_is_said(self, report: Callable[..., ReportPage]) -> None:
        found = report(smapskit.load(JAVA / "smaps.txt"))
        text = re.sub(r"\s+", " ", re.sub("<[^>]*>", " ", found.source))
        for name in ("Process", "Command", "Read", "Kernel"):
            assert f" {name} not known: the source does not contain it " in text
        assert f" Source {JAVA / 'smaps.txt'} " in text
        assert f" by smapskit {smapskit.__version__} " in text

    def test_the_title(self, report: Callable[..., ReportPage]) -> None:
        snapshot = Snapshot(SMALL, pid=7, command="a <b>")
        assert report(snapshot).contents["title"] == ["Memory of process 7: a <b>"]
        assert report(snapshot, title="Bug & 12").contents["h1"] == ["Bug & 12"]

    def test_findings_are_those_of_explain(self, report: Callable[..., ReportPage]) -> None:
        snapshot = smapskit.load(JAVA / "smaps.txt")
        context = smapskit.Context(max_map_count=220, page_size=4)
        expected = smapskit.explain(snapshot, context)
        assert expected
        found = report(snapshot, context=context)
        for finding in expected:
            assert finding.title in found.text
            assert finding.meaning in found.text
        assert "are not known: page_tables" in found.text


class TestPlainTables:
    def test_all_rows_of_a_small_process(self, report: Callable[..., ReportPage]) -> None:
        assert "All 4 mappings." in report(Snapshot(SMALL)).text

    def test_the_largest_rows_of_a_large_process(self, report: Callable[..., ReportPage]) -> None:
        snapshot = large_snapshot(3000)
        found = report(snapshot)
        assert "The 100 largest of 3,000 mappings; 2,900 are left out here." in found.text
        order = sorted(snapshot, key=lambda m: (-(m.rss or 0), m.start))
        for number, each in enumerate(order):
            assert (f"<code>{each.start:x}</code>" in found.source) == (number < 100)

    def test_a_process_without_mappings(self, report: Callable[..., ReportPage]) -> None:
        found = report(Snapshot((), pid=2, command="[kthreadd]", notes=("a kernel thread",)))
        assert "Process 2 ([kthreadd]) has no mappings." in found.text
        assert "a kernel thread" in found.text


class TestDifferences:
    def test_changes_are_those_of_the_difference(self, report: Callable[..., ReportPage]) -> None:
        before = smapskit.load(JAVA / "smaps.txt")
        after = [attrs.evolve(m, rss=(m.rss or 0) + 4 * n) for n, m in enumerate(before[:60])]
        difference = smapskit.diff(before, after)
        found = report(difference)
        columns = found.table("changes")
        assert columns["change"] == [change.kind for change in difference.changes]
        for name in ("size", "rss", "pss", "dirty", "swap"):
            deltas = [change.deltas.get(name, 0) for change in difference.changes]
            assert columns[name] == deltas
        assert columns["rss_before"][0] == sum(m.rss or 0 for m in difference.changes[0].before)
        assert found.table("mappings")["rss"] == [m.rss for m in difference.after]
        grown = sorted(d for change in difference.changes if (d := change.deltas.get("rss", 0)) > 0)
        assert f"The 20 largest of {len(grown)} that grew" in found.text
        assert f"+{format_kb(grown[-1])}" in found.text

    def test_a_change_to_what_is_not_reported_is_unknown(
        self, report: Callable[..., ReportPage]
    ) -> None:
        before = [mapping(0, rss=4), mapping(4096, rss=4, name="/a")]
        after = [mapping(0, size=8), mapping(4096, rss=8, name="/a")]
        columns = report(smapskit.diff(before, after)).table("changes")
        assert sorted(columns["rss"], key=str) == [4, None]

    def test_nothing_changed(self, report: Callable[..., ReportPage]) -> None:
        found = report(smapskit.diff(SMALL, SMALL))
        assert "none changed, 4 unchanged." in found.text
        assert "No changes." in found.text


class TestRecordings:
    @pytest.mark.parametrize("name", ["sequential", "swap"])
    def test_the_layers_are_the_groups(self, name: str, report: Callable[..., ReportPage]) -> None:
        recording = Recording.load(RECORDED / f"{name}.csv")
        found = report(recording, memory_limit=262_144)
        chart = found.data["chart"]
        sums = recording.totals()
        assert chart["seconds"] == list(sums)
        layers = [layer["values"] for layer in chart["layers"]]
        assert [sum(values) for values in zip(*layers, strict=True)] == [
            total.rss for total in sums.values()
        ]
        assert chart["markers"] == [list(marker) for marker in recording.markers]
        assert chart["limit"] == 262_144
        assert recording.notes["kernel"] in found.text
        assert found.table("samples")["rss"] == [row.totals.rss for row in recording.samples]

    def test_lines_without_groups(self, report: Callable[..., ReportPage]) -> None:
        chart = report(SHORT).data["chart"]
        values = {layer["name"]: layer["values"] for layer in chart["layers"]}
        assert values["RSS"] == [100, 200, 300]
        assert not chart["stacked"]
        assert chart["limit"] is None

    def test_no_samples(self, report: Callable[..., ReportPage]) -> None:
        assert "has no samples" in report(Recording(())).text


class TestFile:
    def test_the_template_is_small(self, tmp_path: Path) -> None:
        for name, subject in (
            ("snapshot", Snapshot(())),
            ("difference", smapskit.diff((), ())),
            ("recording", Recording(())),
        ):
            path = tmp_path / name
            subject.to_html(path)
            assert path.stat().st_size < MAX_TEMPLATE

    def test_data_is_compact(self, report: Callable[..., ReportPage]) -> None:
        found = report(large_snapshot(3000))
        assert len(found.contents["script"][0]) < 3000 * 60

    def test_an_existing_file_is_replaced_or_unchanged(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "report.html"
        path.write_text("before")
        monkeypatch.setattr(page, "embed_json", lambda _: "\ud800")  # which cannot be encoded
        with pytest.raises(UnicodeEncodeError):
            Snapshot(SMALL).to_html(path)
        assert path.read_text() == "before"
        assert [file.name for file in tmp_path.iterdir()] == ["report.html"]
        monkeypatch.undo()
        Snapshot(SMALL).to_html(path)
        assert path.read_bytes().startswith(b"<!DOCTYPE html>")
