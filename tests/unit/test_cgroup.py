"""Memory cgroups from trees of files: v1, v2 of guests, hybrid, inside of containers."""

from __future__ import annotations

import json
import math
import os
import re
from pathlib import Path

import jsonschema
import pytest
from support.cgroup_trees import (
    CAPTURES,
    CONTAINER,
    POD,
    SIDECAR,
    V1,
    unpack,
    write_group,
    write_mounts,
    write_process,
)
from support.paths import ROOT

import smapskit
from smapskit import CgroupOwner, MemoryStat, cli, read_cgroup, read_cgroups
from smapskit.views.cells import TableStyle, display_width
from smapskit.views.cgroup import cgroups_to_json, format_cgroup, format_cgroups

MIB = 1024
VALIDATOR = jsonschema.Draft202012Validator(
    json.loads((ROOT / "docs" / "schema-cgroup.json").read_text())
)
EACH = pytest.mark.parametrize("capture", CAPTURES, ids=lambda path: path.name)


@EACH
class TestV2:
    """A guest: a container with 16 MiB anon, 6 MiB tmpfs, 7 MiB mapped, 9 MiB not, 4,000 files."""

    def test_every_group_adds_up(self, capture: Path, tmp_path: Path) -> None:
        groups = read_cgroups(proc=unpack(capture, tmp_path))
        with_figures = [group for group in groups if group.current is not None]
        assert len(with_figures) >= 5
        for group in with_figures:
            assert group.current is not None
            assert group.unexplained is not None
            # Up to 64 pages per CPU are charged in advance, on one CPU.
            assert abs(group.unexplained) <= max(256, 0.02 * group.current)

    def test_the_container(self, capture: Path, tmp_path: Path) -> None:
        usage = read_cgroup(CONTAINER, proc=unpack(capture, tmp_path))
        stat = usage.stat
        assert stat.anon is not None
        assert stat.slab_reclaimable is not None
        assert 16 * MIB < stat.anon < 18 * MIB
        assert stat.shmem == 6 * MIB
        assert stat.file_mapped == 7 * MIB
        assert stat.page_cache is not None
        assert 16 * MIB <= stat.page_cache < 17.5 * MIB
        assert stat.file_unmapped == (stat.file or 0) - 7 * MIB
        assert 4000 * 0.9 < stat.slab_reclaimable < 4000 * 2.5  # 1 to 2 kB per inode and name
        assert (usage.limit, usage.high, usage.swap) == (80 * MIB, 60 * MIB, 0)
        assert usage.working_set == (usage.current or 0) - (stat.inactive_file or 0)
        assert set(usage.events) >= {"low", "high", "max", "oom", "oom_kill"}
        assert usage.pressure["some"].avg10 == 0

    def test_the_smallest_limit_counts(self, capture: Path, tmp_path: Path) -> None:
        proc = unpack(capture, tmp_path)
        container, sidecar = (read_cgroup(name, proc=proc) for name in (CONTAINER, SIDECAR))
        assert (container.effective_limit, container.limited_by) == (80 * MIB, CONTAINER)
        assert (sidecar.limit, sidecar.effective_limit) == (math.inf, 100 * MIB)
        assert sidecar.limited_by == POD
        assert "100.0 MiB, of /kubepods.slice" in format_cgroup(sidecar)
        assert container.available == 80 * MIB - (container.current or 0)

    def test_a_pod_includes_its_containers(self, capture: Path, tmp_path: Path) -> None:
        proc = unpack(capture, tmp_path)
        pod = read_cgroup(POD, proc=proc)
        parts = [read_cgroup(child.name, proc=proc) for child in pod.children]
        assert {CONTAINER, SIDECAR} <= {part.name for part in parts}
        assert sum(part.current or 0 for part in parts) <= (pod.current or 0)
        assert {pid for part in parts for pid in part.pids} == set(pod.pids)
        assert pod.owner == CgroupOwner(pod="0b5c7f0e-2f2b-4a7e-9d55-3c1f0a6b7d21", qos="burstable")

    def test_the_group_of_a_process(self, capture: Path, tmp_path: Path) -> None:
        proc = unpack(capture, tmp_path)
        (pid,) = (int(path.name) for path in proc.iterdir() if path.name.isdigit())
        usage = read_cgroup(pid, proc=proc)
        assert usage.name == CONTAINER
        assert usage.pids == (pid,)
        assert usage == read_cgroup(usage.directory, proc=proc)
        assert usage.owner.container == CONTAINER[-70:-6]
        assert usage.owner.runtime == "containerd"

    def test_the_root_has_no_use_of_its_own(self, capture: Path, tmp_path: Path) -> None:
        usage = read_cgroup("/", proc=unpack(capture, tmp_path))
        assert usage.current is None
        assert usage.unexplained is None
        assert usage.working_set is None
        assert usage.limited_by is None

    def test_text_and_json(self, capture: Path, tmp_path: Path) -> None:
        groups = read_cgroups(proc=unpack(capture, tmp_path))
        document = json.loads(cgroups_to_json(groups))
        VALIDATOR.validate(document)
        by_name = {group["name"]: group for group in document["groups"]}
        assert by_name[CONTAINER]["limit"] == 80 * MIB
        assert by_name[SIDECAR]["limit"] == "max"
        for group in groups:
            rows = _rows(format_cgroup(group))
            tops = [kb for kb, label in rows if not label.startswith("  ") and label != "in use"]
            if group.current is not None:
                assert sum(tops) == group.current
                assert sum(kb for kb, label in rows if label == "in use") == group.current
        table = format_cgroups(groups)
        assert len(table.splitlines()) == 1 + len(groups)
        assert "container 4f6d1c9b8a7e (containerd)" in table


def _rows(text: str) -> list[tuple[int, str]]:
    """The rows of the table: kB and label, with its indent."""
    rows = []
    for line in text.splitlines():
        row = re.match(r" *([\d,]+) +[\d.]+% (.*)", line)
        if row is not None:
            rows.append((int(row[1].replace(",", "")), row[2]))
    return rows


def test_events_of_a_group_that_was_killed(tmp_path: Path) -> None:
    proc = unpack(CAPTURES[-1], tmp_path)
    usage = read_cgroup("/grp", proc=proc)
    assert (usage.events["oom_kill"], usage.events["oom_group_kill"]) == (5, 1)
    assert "oom_kill 5" in format_cgroup(usage)


class TestV1:
    MOUNT = "35 31 0:32 / {} rw,relatime - cgroup cgroup rw,memory"

    @pytest.fixture
    def proc(self, tmp_path: Path) -> Path:
        write_mounts(tmp_path / "proc", self.MOUNT.format(tmp_path / "memory"))
        return tmp_path / "proc"

    def test_figures_include_the_groups_below(self, proc: Path, tmp_path: Path) -> None:
        write_group(tmp_path / "memory" / "a", V1)
        write_group(tmp_path / "memory" / "a" / "b", V1 | {"cgroup.procs": "13\n"})
        usage = read_cgroup("/a", proc=proc)
        assert usage.version == 1
        assert (usage.stat.anon, usage.stat.file, usage.stat.shmem) == (32768, 12288, 4096)
        assert (usage.stat.file_mapped, usage.stat.page_cache) == (2048, 8192)
        assert (usage.current, usage.stat.kernel, usage.unexplained) == (49152, 4000, 96)
        assert usage.working_set == 49152 - 8192
        assert (usage.limit, usage.swap, usage.memory_swap_limit) == (math.inf, 8, 131072)
        assert usage.events == {"failcnt": 7, "oom_kill": 2}
        assert usage.pids == (11, 12, 13)
        assert [child.name for child in usage.children] == ["/a/b"]
        assert usage.stat.slab is None  # v1 does not report the parts of the kernel
        assert usage.pressure == {}
        assert usage.notes == ()

    def test_figures_of_the_group_alone(self, proc: Path, tmp_path: Path) -> None:
        """Before Linux 5.11, a group may not be hierarchical."""
        write_group(tmp_path / "memory" / "a", V1 | {"memory.use_hierarchy": "0\n"})
        usage = read_cgroup("/a", proc=proc)
        assert (usage.stat.anon, usage.stat.file) == (16384, 8192)
        assert "do not include the groups below" in usage.notes[0]

    def test_an_old_kernel(self, proc: Path, tmp_path: Path) -> None:
        old = {"memory.stat": "cache 4096\nrss 8192\nmapped_file 0\n"}
        files = {"memory.usage_in_bytes": "16384\n", "cgroup.procs": ""} | old
        write_group(tmp_path / "memory" / "a", files)
        usage = read_cgroup("/a", proc=proc)
        assert (usage.stat.anon, usage.stat.file, usage.stat.shmem) == (8, 4, None)
        assert (usage.limit, usage.peak, usage.stat.kernel, usage.swap) == (None, None, None, None)
        assert usage.unexplained == 4
        text = format_cgroup(usage)
        assert "Limit        unknown" in text
        assert "\n      -         kernel\n" in text
        VALIDATOR.validate(json.loads(cgroups_to_json([usage])))

    def test_hybrid(self, proc: Path, tmp_path: Path) -> None:
        """systemd mounts v2 without controllers beside v1."""
        write_mounts(
            proc,
            f"41 31 0:38 / {tmp_path}/unified rw - cgroup2 cgroup2 rw",
            self.MOUNT.format(tmp_path / "memory"),
        )
        write_group(tmp_path / "memory" / "v1", V1)
        write_group(tmp_path / "unified" / "v2", {"cgroup.procs": "11\n"})
        write_process(proc, 11, "4:cpu,memory:/v1\n1:name=systemd:/x\n0::/v2\n")
        usage = read_cgroup(11, proc=proc)
        assert (usage.name, usage.version) == ("/v1", 1)

    def test_the_root_does_not_count_the_kernel(self, proc: Path, tmp_path: Path) -> None:
        write_group(tmp_path / "memory", V1)
        usage = read_cgroup("/", proc=proc)
        assert usage.stat.kernel is None
        assert "does not count the memory of the kernel" in usage.notes[0]


V2 = {
    "memory.current": "4096000\n",
    "memory.max": "max\n",
    "memory.stat": "anon 2048000\nfile 1024000\nkernel_stack 16384\npagetables 8192\nslab 4096\n",
    "cgroup.procs": "5\n",
}


class TestPlaces:
    def test_inside_a_container_with_a_namespace(self, tmp_path: Path) -> None:
        proc = tmp_path / "proc"
        write_mounts(proc, f"41 31 0:38 / {tmp_path}/cgroup ro,nosuid - cgroup2 cgroup rw")
        write_group(tmp_path / "cgroup", V2)
        write_process(proc, 5, "0::/\n")
        usage = read_cgroup(5, proc=proc)
        assert (usage.name, usage.current, usage.limit) == ("/", 4000, math.inf)
        assert usage.stat.kernel == (16384 + 8192 + 4096) // 1024  # before Linux 5.18: the sum

    def test_inside_a_container_without_a_namespace(self, tmp_path: Path) -> None:
        """Docker with v1 mounts the group of the container where the root would be."""
        proc, name = tmp_path / "proc", f"/docker/{'ab' * 32}"
        write_mounts(proc, f"35 31 0:32 {name} {tmp_path}/memory ro - cgroup cgroup rw,memory")
        write_group(tmp_path / "memory", V1)
        write_group(tmp_path / "memory" / "inner", V1)
        write_process(proc, 11, f"4:memory:{name}\n")
        write_process(proc, 12, f"4:memory:{name}/inner\n")
        usage = read_cgroup(11, proc=proc)
        assert (usage.name, usage.directory) == (name, f"{tmp_path}/memory")
        assert str(usage.owner) == "container abababababab (docker)"
        assert read_cgroup(12, proc=proc).directory == f"{tmp_path}/memory/inner"
        assert [group.name for group in read_cgroups(proc=proc)] == [name, f"{name}/inner"]

    @pytest.mark.parametrize("path", ["/../other", "/elsewhere"])
    def test_a_group_that_this_container_does_not_see(self, path: str, tmp_path: Path) -> None:
        proc = tmp_path / "proc"
        write_mounts(proc, f"41 31 0:38 /docker/x {tmp_path}/cgroup rw - cgroup2 cgroup rw")
        write_group(tmp_path / "cgroup", V2)
        write_process(proc, 5, f"0::{path}\n")
        with pytest.raises(smapskit.Unsupported, match="run it outside of the container"):
            read_cgroup(5, proc=proc)

    def test_names_with_blanks_and_colons(self, tmp_path: Path) -> None:
        proc, folder = tmp_path / "proc", tmp_path / "c group"
        mount = str(folder).replace(" ", "\\040")
        write_mounts(proc, f"41 31 0:38 / {mount} rw - cgroup2 cgroup rw")
        write_group(folder / "a:b c", V2)
        write_process(proc, 5, "0::/a:b c\n")
        assert read_cgroup(5, proc=proc).name == "/a:b c"

    def test_a_group_without_the_memory_controller(self, tmp_path: Path) -> None:
        proc = tmp_path / "proc"
        write_mounts(proc, f"41 31 0:38 / {tmp_path}/cgroup rw - cgroup2 cgroup rw")
        write_group(tmp_path / "cgroup" / "a", V2)
        write_group(tmp_path / "cgroup" / "a" / "b" / "c", {"cgroup.procs": "5\n"})
        write_process(proc, 5, "0::/a/b/c\n")
        usage = read_cgroup(5, proc=proc)
        assert usage.name == "/a"
        assert "the memory controller is not enabled in /a/b/c" in usage.notes[0]

    def test_no_memory_controller(self, tmp_path: Path) -> None:
        write_mounts(tmp_path / "proc", "35 31 0:32 / /x rw - cgroup cgroup rw,cpu")
        write_process(tmp_path / "proc", 5, "3:cpu:/\n")
        with pytest.raises(smapskit.Unsupported, match="no cgroup hierarchy with the memory"):
            read_cgroup(5, proc=tmp_path / "proc")

    def test_processes_of_other_namespaces(self, tmp_path: Path) -> None:
        proc = tmp_path / "proc"
        write_mounts(proc, f"41 31 0:38 / {tmp_path}/cgroup rw - cgroup2 cgroup rw")
        write_group(tmp_path / "cgroup" / "a", V2 | {"cgroup.procs": "0\n7\n0\n"})
        usage = read_cgroup("/a", proc=proc)
        assert usage.pids == (7,)
        assert usage.notes == ("2 processes of the group are in another pid namespace",)

    def test_a_folder_that_is_not_mounted(self, tmp_path: Path) -> None:
        write_group(tmp_path / "saved", V2)
        usage = read_cgroup(tmp_path / "saved", proc=tmp_path)
        assert (usage.name, usage.version) == (f"{tmp_path}/saved", 2)

    def test_no_such_group(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError, match="no such cgroup"):
            read_cgroup(str(tmp_path / "missing"))
        with pytest.raises(FileNotFoundError, match="not a cgroup with the memory controller"):
            read_cgroup(tmp_path)

    def test_values_that_are_no_numbers(self, tmp_path: Path) -> None:
        """A value that is not understood is not known: None, never 0."""
        files = {
            "memory.current": "many\n",
            "memory.max": "-1\n",
            "memory.stat": f"anon x\nfile {'9' * 5000}\nshmem 4096\nshmem\n",
            "memory.events": "max\noom_kill 1 2\n",
            "memory.pressure": "some avg10=x\n",
            "cgroup.procs": "",
        }
        write_group(tmp_path / "a", files)
        usage = read_cgroup(tmp_path / "a", proc=tmp_path)
        assert (usage.current, usage.limit, usage.unexplained) == (None, None, None)
        assert (usage.stat.anon, usage.stat.file, usage.stat.shmem) == (None, None, 4)
        assert (usage.events, usage.pressure) == ({}, {})
        assert "\n      -         in use\n" in format_cgroup(usage)


OWNERS = {
    "/": "",
    "/system.slice/ssh.service": "systemd unit ssh.service",
    "/user.slice/user-1000.slice/user@1000.service/app.slice/app-gnome-firefox-4.scope": (
        "systemd unit app-gnome-firefox-4.scope, user 1000"
    ),
    r"/system.slice/systemd-fsck@dev-disk\x2dx.service": (
        "systemd unit systemd-fsck@dev-disk-x.service"
    ),
    f"/system.slice/docker-{'0a' * 32}.scope": "container 0a0a0a0a0a0a (docker)",
    f"/docker/{'0a' * 32}": "container 0a0a0a0a0a0a (docker)",
    f"/machine.slice/libpod-{'0a' * 32}.scope": "container 0a0a0a0a0a0a (Podman)",
    f"/ecs/4e1f/{'0a' * 32}": "container 0a0a0a0a0a0a",
    f"/kubepods/besteffort/pod11111111-2222-3333-4444-555555555555/{'0a' * 32}": (
        "container 0a0a0a0a0a0a, pod 11111111-2222-3333-4444-555555555555, besteffort"
    ),
    f"/kubepods.slice/kubepods-pod11111111_2222_3333_4444_555555555555.slice/crio-{'0a' * 32}.scope"
    "": "container 0a0a0a0a0a0a (CRI-O), pod 11111111-2222-3333-4444-555555555555",
    f"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{'ab' * 16}.slice": (
        f"pod {'ab' * 16}, burstable"
    ),
    r"/machine.slice/machine-qemu\x2d1\x2ddebian.scope": "machine qemu-1-debian",
    "/lxc.payload.web/system.slice/x.service": "machine web, systemd unit x.service",
}


@pytest.mark.parametrize(("path", "owner"), OWNERS.items(), ids=OWNERS)
def test_owners(path: str, owner: str) -> None:
    assert str(CgroupOwner.of_path(path)) == owner


def test_a_stat_adds_to_another() -> None:
    both = MemoryStat(anon=1, file=2) + MemoryStat(anon=4)
    assert (both.anon, both.file, both.shmem) == (5, 2, None)


class TestCommandLine:
    @pytest.mark.parametrize(
        ("words", "status", "message"),
        [
            ([], 1, "expected either --all, --who-pays FILE or a PID or PATH"),
            (["--all", "1"], 1, "expected either --all, --who-pays FILE or a PID or PATH"),
            (["/no/such/group"], 1, "no such cgroup: /no/such/group"),
            (["2147483647"], 42, "no process 2147483647"),
            (["2147483648"], 1, "expected a pid"),
        ],
    )
    def test_errors(
        self, words: list[str], status: int, message: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        try:
            found: object = cli.main(["cgroup", *words])
        except SystemExit as end:
            found = end.code
        assert found == status
        output = capsys.readouterr()
        assert output.out == ""
        assert message in output.err

    @pytest.mark.skipif(os.name != "posix", reason="requires POSIX permissions")
    def test_a_file_that_may_not_be_read(self, tmp_path: Path) -> None:
        if os.geteuid() == 0:
            pytest.skip("root may read every file")
        write_group(tmp_path / "a", V2)
        (tmp_path / "a" / "memory.current").chmod(0)
        with pytest.raises(smapskit.AccessDenied, match=r"not permitted to read .*memory.current"):
            read_cgroup(tmp_path / "a", proc=tmp_path)

    def test_a_saved_group(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        write_group(tmp_path / "a\x1b", V2 | {"cgroup.procs": ""})
        assert cli.main(["cgroup", str(tmp_path / "a\x1b")]) == 0
        output = capsys.readouterr().out
        assert "\x1b" not in output
        assert "Kubernetes' working set" not in output  # inactive_file is not reported


@pytest.mark.parametrize("columns", [80, 120])
def test_tables_fit_the_window(columns: int, tmp_path: Path) -> None:
    groups = read_cgroups(proc=unpack(CAPTURES[0], tmp_path))
    style = TableStyle(width=columns, human=True)
    texts = [format_cgroups(groups, style), *(format_cgroup(each, style) for each in groups)]
    lines = [line for text in texts for line in text.splitlines()]
    assert max(map(display_width, lines)) <= columns
    assert any("..." in line for line in lines)
    assert any("80M" in line.split() for line in texts[0].splitlines())
