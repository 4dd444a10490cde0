"""Whatever the process does, whatever it is called: a right answer or a clear no."""

from __future__ import annotations

import base64
import csv
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import oracles
import pytest

import smapskit
from conftest import unmeasured
from smapskit import Inconsistency, InconsistencyKind, cli
from smapskit.errors import AccessDenied, ProcessNotFound
from smapskit.text import UNPRINTABLE
from smapskit.views import plots

if sys.platform != "linux":
    pytest.skip("looks at live processes", allow_module_level=True)

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="takes root")
HERE = Path(__file__).parent


@pytest.fixture
def zoo(start: Callable[..., subprocess.Popen[str]]) -> int:
    return start(sys.executable, str(HERE / "fixtures" / "zoo.py")).pid


# ---- what others say -------------------------------------------------------------------------


@pytest.mark.parametrize("name", oracles.ORACLES)
def test_others_say_the_same(name: str, zoo: int) -> None:
    try:
        found = oracles.compare(zoo, name)
    except oracles.Absent:
        pytest.skip(f"{name} is not to be had here")
    if found is None:
        pytest.skip("other processes changed its figures each time")
    assert found == []


def test_a_snapshot_that_is_not_that_of_its_rollup_is_told(process_folder: Path) -> None:
    snapshot = smapskit.load(process_folder / "smaps.txt")
    rollup = smapskit.load_rollup(process_folder / "smaps_rollup.txt")
    assert snapshot.check(rollup) == []
    resident = next(n for n, mapping in enumerate(snapshot) if mapping.rss)
    torn = smapskit.Snapshot((*snapshot[:resident], *snapshot[resident + 1 :]))
    (fault, *_) = torn.check(rollup)
    assert fault.kind is InconsistencyKind.ROLLUP
    assert fault.mapping is None
    assert str(fault).startswith("the sum of rss is ")
    assert f"smaps_rollup reports {rollup.rss} kB" in str(fault)


# ---- torn and moving -------------------------------------------------------------------------

CHURN = """
import mmap, os, random, sys
random.seed(1)
kept = []
print("ready", flush=True)
parent = os.getppid()
while os.getppid() == parent:
    for _ in range(50):
        prot = random.choice((1, 3))
        kept.append(mmap.mmap(-1, 4096 * random.randint(1, 40), flags=0x22, prot=prot))
    for _ in range(30):
        kept.pop(random.randrange(len(kept))).close()
    if len(kept) > 800:
        kept = []
    pid = os.fork()
    if not pid:
        os._exit(0)
    os.waitpid(pid, 0)
"""


@pytest.mark.slow
def test_a_process_that_never_holds_still(start: Callable[..., subprocess.Popen[str]]) -> None:
    pid = start(sys.executable, "-c", CHURN).pid
    sizes = set()
    for _ in range(300):
        snapshot = smapskit.read(pid)
        sizes.add(len(snapshot))
        assert all(isinstance(fault, Inconsistency) for fault in snapshot.check())
        smapskit.read_maps(pid)
        smapskit.read_rollup(pid)
        # Whatever was torn, what is there can be added up, written and read again.
        assert smapskit.parse_smaps(smapskit.format_smaps(snapshot)).mappings == tuple(snapshot)
    assert len(sizes) > 20


def test_processes_that_are_gone_before_they_are_read() -> None:
    answers: set[type] = set()
    for number in range(200):
        child = subprocess.Popen(["true"])
        if number % 2:
            child.wait()
        try:
            answers.add(type(smapskit.read(child.pid)))
        except ProcessNotFound as error:
            answers.add(type(error))
            assert str(child.pid) in str(error)
        finally:
            child.wait()
    assert answers == {smapskit.Snapshot, ProcessNotFound}


# ---- namespaces and other users --------------------------------------------------------------


def unshared(script: str, *options: str) -> subprocess.CompletedProcess[str]:
    if shutil.which("unshare") is None:
        pytest.skip("needs unshare of util-linux")
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
        pytest.skip("needs setpriv of util-linux")
    program = (
        "import os, sys, smapskit.cli; "
        # All that it loads is loaded while it may be read.
        "smapskit.cli.main(['--by', 'perms', str(os.getpid())]); "
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


def test_access_denied_is_a_permission_error() -> None:
    assert issubclass(AccessDenied, PermissionError)


# ---- hostile names ---------------------------------------------------------------------------

NAMES = {
    "escape sequences": b"\x1b]0;gone\x07\x1b[31mred\x9b32m",
    "a newline": b"two\nlines",
    "no UTF-8": b"\xff\xfe\x80",
    "right to left": "\u202egnp.exe \u2066x".encode(),
    "called deleted": b"x (deleted)",
    "called stack": b" [stack]",
    "a formula": b"=1+cmd|' calc'!A0",
    "another formula": b"@SUM(1)",
    "markup": b"<img src=x onerror=alert(1)>&amp;",
    "mathematics": b"$x^2$ \\frac{1}{2}",
    "quotes": b"\"',;\t",
    "a long one": b"n" * 255,
}
MAPPER = """
import mmap, os, sys
areas = []
for path in map(os.fsencode, sys.argv[1:]):
    with open(path, "w+b") as file:
        file.truncate(8192)
        areas.append(mmap.mmap(file.fileno(), 8192))
    areas[-1][0] = 1
print("ready", flush=True)
sys.stdin.read()
"""


def test_hostile_names_are_shown_without_harm_and_without_loss(
    start: Callable[..., subprocess.Popen[str]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    paths = [str(tmp_path / os.fsdecode(name)) for name in NAMES.values()]
    pid = start(sys.executable, "-c", MAPPER, *paths).pid
    snapshot = smapskit.read(pid)
    mapped = [m for m in snapshot if m.is_shared and m.size == 8]
    # The kernel writes a newline as \\012 and nothing else otherwise.
    expected = {path.replace("\n", "\\012") for path in paths}
    assert {mapping.pathname for mapping in mapped} == expected
    assert all(mapping.backing is not None for mapping in mapped)

    assert cli.main(["-p", str(pid)]) == 0
    table = capsys.readouterr().out
    assert not re.search(f"[{UNPRINTABLE}]", table.replace("\n", ""))
    assert table.count("\n") == len(snapshot) + 4

    assert cli.main(["--json", str(pid)]) == 0
    told = json.loads(capsys.readouterr().out)["snapshots"][0]["mappings"]
    assert set(map(os.fsencode, expected)) <= {
        base64.b64decode(each["pathname_base64"])
        if "pathname_base64" in each
        else each["pathname"].encode()
        for each in told
    }

    assert cli.main(["--csv", str(pid)]) == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert len(rows) == len(snapshot)
    assert not [cell for row in rows for cell in row.values() if cell[:1] in ("=", "@", "+")]

    html = snapshot._repr_html_()
    assert not re.search(f"[{UNPRINTABLE}]", html.replace("\n", ""))
    assert "<img" not in html

    picture = tmp_path / "picture.svg"
    plots.plot_snapshot(snapshot, "pathname").savefig(picture)
    assert "<img" not in picture.read_text(encoding="utf-8")

    frame = snapshot.to_frame()
    assert expected <= set(frame["pathname"])
    assert smapskit.Snapshot.from_frame(frame).mappings == snapshot.mappings
