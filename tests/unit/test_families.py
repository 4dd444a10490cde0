"""Families of processes: names, sums, bounds and the cost of one more worker."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import jsonschema
import pytest
from support.paths import ROOT

from smapskit import cli
from smapskit.model.family import Families, Family, FamilyMember, Spread
from smapskit.model.mapping import Usage
from smapskit.sources import system
from smapskit.sources.families import read_families
from smapskit.views import exports, tables

CONTAINER = "0123456789abcdef" * 4


def member(
    pid: int, parent: int, uss: int | None, pss: int | None, tables: int = 10
) -> FamilyMember:
    usage = Usage(rss=1000, pss=pss, private_clean=0, private_dirty=uss, swap=pid, swap_pss=1)
    return FamilyMember(pid, parent, f"worker {pid}", usage, tables)


PREFORK = Family(
    name="server",
    members=(
        member(10, 1, 50, 400),
        member(11, 10, 100, 300),
        member(12, 10, 300, 500),
        member(13, 10, 200, 400),
    ),
    uncounted="page frame numbers are hidden",
)


class TestFamily:
    def test_what_is_shared_and_what_each_worker_has(self) -> None:
        assert PREFORK.pss == 1600
        assert PREFORK.shared == 1600 - 650
        assert [each.pid for each in PREFORK.workers] == [11, 12, 13]
        assert PREFORK.own == Spread(100, 200, 300)
        assert PREFORK.next_worker == 210
        assert PREFORK.swap == 4

    def test_uss_is_between_bounds_unless_it_was_counted(self) -> None:
        assert (PREFORK.uss, PREFORK.uss_min, PREFORK.uss_max) == (None, 650, 1600)
        counted = Family(name="x", members=PREFORK.members, uss=1400)
        assert (counted.uss_min, counted.uss_max) == (1400, 1400)

    def test_processes_without_a_common_parent_are_all_workers(self) -> None:
        family = Family(name="x", members=(member(1, 0, 10, 20), member(5, 3, 30, 40)))
        assert family.own == Spread(10, 20, 30)
        assert family.next_worker == 30

    def test_one_process_shows_nothing_about_another(self) -> None:
        assert Family(name="x", members=(member(1, 0, 10, 20),)).next_worker is None

    def test_an_unknown_value_is_not_0(self) -> None:
        family = Family(name="x", members=(member(1, 0, 10, None), member(2, 1, None, 20)))
        assert family.pss is None
        assert family.uss_min is None
        assert family.shared is None
        assert family.own is None
        assert family.next_worker is None


FAMILIES = Families(
    "command", (PREFORK, Family(name=None, members=(member(1, 0, 5, 6),), uss=5)), {7: "no"}
)


class TestOutput:
    def test_the_table_marks_bounds_and_names_the_reason(self) -> None:
        lines = tables.format_families(FAMILIES).splitlines()
        assert lines[0].split() == [
            *[
                "Processes",
                "PSS",
                "USS",
                "Shared",
                "Own",
                "min",
                "median",
                "max",
                "One",
                "more",
                "Swap",
                "Command",
            ]
        ]
        assert lines[1].split() == [
            "4",
            "1,600",
            ">=650",
            "950",
            "100",
            "200",
            "300",
            "210",
            "4",
            "server",
        ]
        assert lines[2].split() == ["1", "6", "5", "1", "5", "5", "5", "-", "1", "-"]
        assert "page frame numbers are hidden" in lines[-1]

    def test_json_has_members_and_bounds(self) -> None:
        document = json.loads(exports.families_to_json(FAMILIES))
        schema = json.loads((ROOT / "docs" / "schema-families.json").read_text())
        jsonschema.validate(document, schema)
        first, second = document["rows"]
        assert first["uss"] is None
        assert (first["uss_min"], first["uss_max"]) == (650, 1600)
        assert first["own"] == {"min": 100, "median": 200, "max": 300}
        assert [each["pid"] for each in first["processes"]] == [10, 11, 12, 13]
        assert second["name"] is None
        assert document["unreadable"] == {"7": "no"}

    def test_csv_has_one_row_per_family(self) -> None:
        rows = list(csv.DictReader(io.StringIO(exports.families_to_csv(FAMILIES))))
        assert [row["name"] for row in rows] == ["server", ""]
        assert rows[0]["uss"] == ""
        assert rows[0]["processes"] == "4"
        assert rows[0]["own_median"] == "200"


ROLLUP = b"""00400000-7ffc1000 ---p 00000000 00:00 0 [rollup]
Rss: 100 kB
Pss: 60 kB
Shared_Clean: 40 kB
Shared_Dirty: 0 kB
Private_Clean: 20 kB
Private_Dirty: 40 kB
Swap: 0 kB
"""


def make_process(proc: Path, pid: int, parent: int, name: str, uid: int, group: str) -> None:
    folder = proc / str(pid)
    folder.mkdir()
    (folder / "stat").write_text(f"{pid} ({name}) S {parent} 0 0 0 0 0")
    (folder / "status").write_text(
        f"Name:\t{name}\nPPid:\t{parent}\nUid:\t99\t{uid}\t99\t99\nVmPTE:\t      44 kB\n"
    )
    (folder / "cmdline").write_bytes(b"x\0")
    (folder / "smaps_rollup").write_bytes(ROLLUP)
    (folder / "cgroup").write_text(f"5:cpu:/\n0::{group}\n")


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    (tmp_path / "self").mkdir()
    (tmp_path / "self" / "stat").write_text("")
    make_process(tmp_path, 1, 0, "init", 0, "/init.scope")
    make_process(tmp_path, 20, 1, "a) (b", 4_000_000_001, r"/system.slice/my\x2ddb.service")
    make_process(tmp_path, 21, 20, "worker", 4_000_000_001, r"/system.slice/my\x2ddb.service")
    make_process(
        tmp_path, 22, 21, "worker", 4_000_000_002, f"/system.slice/docker-{CONTAINER}.scope"
    )
    make_process(tmp_path, 30, 1, "worker", 4_000_000_002, "/")
    return tmp_path


class TestKeys:
    @pytest.mark.parametrize(
        ("by", "expected"),
        [
            ("command", {"init": 1, "a) (b": 1, "worker": 3}),
            ("user", {"root": 1, "4000000001": 2, "4000000002": 2}),
            ("container", {CONTAINER: 1, None: 4}),
            ("tree", {"1 init": 1, "20 a) (b": 3, "30 worker": 1}),
        ],
    )
    def test_names(self, by: str, expected: dict[str | None, int], proc: Path) -> None:
        found = read_families(by, proc=proc)  # type: ignore[arg-type]
        assert {each.name: len(each.members) for each in found.families} == expected
        assert found.unreadable == {}

    def test_units_are_those_of_systemd(self, proc: Path) -> None:
        found = {each.name: each for each in read_families("unit", proc=proc).families}
        assert len(found["my-db.service"].members) == 2
        assert len(found["init.scope"].members) == 1

    def test_pages_that_cannot_be_counted_leave_bounds(self, proc: Path) -> None:
        worker = next(f for f in read_families(proc=proc).families if f.name == "worker")
        assert worker.uss is None
        assert "could not be read" in (worker.uncounted or "")
        assert (worker.uss_min, worker.uss_max) == (180, 180)
        assert worker.members[0].page_tables == 44

    def test_an_unknown_key(self) -> None:
        with pytest.raises(ValueError, match=r"expected one of command, user, .*, got 'pid'"):
            read_families("pid")  # type: ignore[arg-type]

    def test_a_process_that_ends_meanwhile_is_omitted(self, proc: Path) -> None:
        (proc / "21" / "smaps_rollup").unlink()
        (proc / "21" / "stat").unlink()
        found = read_families("command", proc=proc)
        assert sum(len(each.members) for each in found.families) == 4


class TestCommandLine:
    def test_sorting_is_rejected(self, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit):
            cli.main(["--all", "--by-process", "user", "--sort", "rss"])
        assert "--sort is not possible with --by-process" in capsys.readouterr().err

    def test_by_and_by_process_exclude_each_other(self, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit):
            cli.main(["--all", "--by", "backing", "--by-process", "user"])
        assert "not allowed with" in capsys.readouterr().err


def test_system_and_families_read_the_same_processes(proc: Path) -> None:
    found = read_families("tree", proc=proc)
    pids = {each.pid for family in found.families for each in family.members}
    assert pids == {each.pid for each in system.read_system(proc=proc).processes}
