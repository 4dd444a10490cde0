"""Processes in other namespaces, of other users, and a kernel without smaps_rollup."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.subjects import unmeasured

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="requires root")


def unshared(script: str, *options: str) -> subprocess.CompletedProcess[str]:
    if shutil.which("unshare") is None:
        pytest.skip("requires unshare of util-linux")
    command = ["unshare", *options, "sh", "-c", script, "sh", sys.executable]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, env=unmeasured())
    if "unshare:" in ran.stderr or "mount:" in ran.stderr:
        pytest.skip(f"not allowed here: {ran.stderr.strip()}")
    return ran


@needs_root
def test_in_a_pid_namespace_of_its_own() -> None:
    ran = unshared('"$1" -m smapskit -q $$', "--pid", "--fork", "--mount-proc")
    assert ran.returncode == 0, ran.stderr
    assert re.match(r"1:   sh ", ran.stdout)
    pid = max(os.getpid(), 1000)  # in a container, pytest may have a pid that is used inside
    outer = unshared(f'"$1" -m smapskit {pid}', "--pid", "--fork", "--mount-proc")
    assert outer.returncode == 42
    assert outer.stderr == f"smapskit: no process {pid}\n"


@needs_root
@pytest.mark.parametrize(
    ("hidepid", "status", "said"),
    [(1, 1, "not permitted to read the smaps"), (2, 42, "/proc is mounted with hidepid")],
)
def test_where_proc_hides_others_processes(hidepid: int, status: int, said: str) -> None:
    if shutil.which("setpriv") is None:
        pytest.skip("requires setpriv of util-linux")
    program = (
        "import os, sys, smapskit.cli; "
        # Modules are loaded before the user changes.
        "smapskit.cli.main(['--by', 'perms', '--top', '1', str(os.getpid())]); "
        "os.setgroups([]); os.setgid(65534); os.setuid(65534); "
        f"sys.exit(smapskit.cli.main(['{os.getpid()}']))"
    )
    ran = unshared(
        f'mount -t proc -o hidepid={hidepid} proc /proc && exec "$1" -c "{program}"', "--mount"
    )
    assert ran.returncode == status, ran.stderr
    assert said in ran.stderr
    assert ran.stderr.count("\n") == 1


@needs_root
def test_a_kernel_without_rollup(tmp_path: Path) -> None:
    ran = unshared(
        f"mount -t tmpfs none {tmp_path} && mkdir {tmp_path}/self {tmp_path}/7 && "
        f'echo "7 (x) S 0" | tee {tmp_path}/self/stat > {tmp_path}/7/stat && '
        f"cp /proc/self/smaps {tmp_path}/7/smaps && printf x > {tmp_path}/7/cmdline && "
        '"$1" -c "import smapskit\n'
        f"print(len(smapskit.read(7, proc='{tmp_path}')) > 3)\n"
        f"try: smapskit.read_rollup(7, proc='{tmp_path}')\n"
        'except smapskit.Unsupported as error: print(error)"',
        "--mount",
    )
    assert ran.stdout.splitlines() == [
        "True",
        "[Errno 38] this kernel has no /proc/PID/smaps_rollup",
    ], ran.stderr
