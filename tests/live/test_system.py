"""All processes of a machine: sums, a table, a frame."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
from support.paths import FIXTURES, ROOT
from support.subjects import unmeasured

import smapskit
from smapskit import cli
from smapskit.sources import system

needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="reads live processes")


@needs_linux
class TestReadSystem:
    def test_has_each_process_with_its_sums(self, sleeper: int) -> None:
        found = {each.pid: each for each in system.read_system().processes}
        rollup = smapskit.read_rollup(sleeper)
        assert found[sleeper].usage.rss == rollup.rss
        assert found[sleeper].usage.private_dirty == rollup.private_dirty
        assert found[sleeper].command.startswith("sh -c")
        assert os.getpid() in found

    def test_groups_are_those_of_all_processes(self, sleeper: int) -> None:
        found = system.read_system("pathname")
        own = {m.pathname for m in smapskit.read_maps(sleeper)}
        assert own <= set(found.groups)
        libc = next(name for name in own if "libc" in name)
        assert found.groups[libc].processes >= 2  # this one has it too
        # PSS shares each page out, so that processes and groups add up to the same; as the two
        # are read at one time, to the kB that rounding leaves.
        by_group = sum(g.totals.pss or 0 for g in found.groups.values())
        assert by_group == sum(p.usage.pss or 0 for p in found.processes)

    def test_a_kernel_without_rollup_has_the_same_sums(self, tmp_path: Path) -> None:
        (tmp_path / "7").mkdir()
        (tmp_path / "self").mkdir()
        for pid in ("7", "self"):
            (tmp_path / pid / "stat").write_text("7 (x) S 0")
        smaps = (FIXTURES / "all_mapping_kinds" / "smaps.txt").read_bytes()
        (tmp_path / "7" / "smaps").write_bytes(smaps)
        (tmp_path / "7" / "cmdline").write_bytes(b"x\0")
        (found,) = system.read_system(proc=tmp_path).processes
        assert found.usage == smapskit.parse_smaps(smaps).totals()

    def test_the_reason_is_reported_for_unreadable_processes(self, tmp_path: Path) -> None:
        for pid in ("7", "8", "self"):
            (tmp_path / pid).mkdir()
            (tmp_path / pid / "stat").write_text("7 (x) S 0")
            (tmp_path / pid / "cmdline").write_bytes(b"x\0")
        (tmp_path / "7" / "smaps_rollup").write_bytes(b"nonsense\n")
        found = system.read_system(proc=tmp_path)
        assert found.processes == ()
        assert "line 1: expected a line like" in found.unreadable[7]
        assert "this kernel has no /proc/PID/smaps" in found.unreadable[8]

    def test_without_procfs(self, tmp_path: Path) -> None:
        with pytest.raises(smapskit.Unsupported, match="is not a Linux procfs"):
            system.read_system(proc=tmp_path)


@needs_linux
class TestCommand:
    def test_one_row_per_process_the_largest_first(
        self, sleeper: int, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert cli.main(["--all", "--sort", "rss"]) == 0
        head, *rows, _rule, total = capsys.readouterr().out.splitlines()
        assert head.split() == ["PID", "PSS", "USS", "RSS", "Swap", "Command"]
        sizes = [int(row.split()[3]) for row in rows]
        assert sizes == sorted(sizes, reverse=True)
        assert str(sleeper) in [row.split()[0] for row in rows]
        assert total.split()[2] == "-"  # RSS does not add up
        assert total.endswith(f"total kB, {len(rows)} processes")

    def test_one_row_per_library(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.main(["--all", "--by", "pathname"]) == 0
        table = capsys.readouterr().out.splitlines()
        assert table[0].split() == ["Processes", "PSS", "USS", "RSS", "Swap", "Pathname"]
        assert any("libc" in row for row in table)

    def test_json_and_csv(self, sleeper: int, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.main(["--all", "--json"]) == 0
        document = json.loads(capsys.readouterr().out)
        assert sleeper in [row["pid"] for row in document["rows"]]
        assert cli.main(["--all", "--csv", "--by", "backing"]) == 0
        rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
        assert {"anonymous", "file"} <= {row["backing"] for row in rows}
        assert all(int(row["processes"]) > 0 for row in rows)

    @pytest.mark.parametrize(
        "options",
        [[], *(["--by", by] for by in ("backing", "sharing", "kind", "perms", "pathname"))],
    )
    def test_json_is_valid_by_the_schema(
        self, options: list[str], sleeper: int, capsys: pytest.CaptureFixture[str]
    ) -> None:
        schema = json.loads((ROOT / "docs" / "schema-system.json").read_text())
        jsonschema.Draft202012Validator.check_schema(schema)
        assert cli.main(["--all", "--json", *options]) == 0
        document = json.loads(capsys.readouterr().out)
        jsonschema.Draft202012Validator(schema).validate(document)
        first = document["rows"][0]
        assert list(first)[:2] == ([options[1], "processes"] if options else ["pid", "command"])
        assert options or sleeper in [row["pid"] for row in document["rows"]]

    def test_processes_of_others_are_counted_by_reason(self) -> None:
        if os.geteuid() != 0:
            pytest.skip("requires root, to become another user")
        program = (
            "import os, sys, smapskit.cli as cli, contextlib, io\n"
            "with contextlib.redirect_stdout(io.StringIO()): cli.main(['--all'])\n"
            "os.setgroups([]); os.setgid(65534); os.setuid(65534); cli.main(['--all'])"
        )
        run = subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            check=True,
            cwd="/",
            env=unmeasured(),
        )
        assert "more could not be read (not permitted to read the smaps_rollup" in run.stderr


@needs_linux
def test_every_mapping_of_every_process_as_one_frame(sleeper: int) -> None:
    seen: list[tuple[int, int]] = []
    frame = smapskit.read_system_frame(progress=lambda number, count: seen.append((number, count)))
    assert frame.index.names == ["pid", "time"]
    assert len(frame.loc[sleeper]) == len(smapskit.read(sleeper))
    assert frame.attrs["commands"][sleeper].startswith("sh -c")
    assert seen[-1][0] == seen[-1][1] == len(seen)
