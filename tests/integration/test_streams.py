"""Closed and full standard streams, and which stream each message is printed on."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.marks import needs_linux, requires
from support.paths import FIXTURES, RECORDED
from support.subjects import unmeasured

import smapskit
from smapskit import Snapshot, cli
from smapskit.views import exports

CAPTURE = str(FIXTURES / "sleep" / "smaps.txt")
RECORDING = str(RECORDED / "sequential.csv")


def live(test: Any) -> Any:
    """Mark a test of this folder that reads live processes."""
    return pytest.mark.live(needs_linux(test))


def run(redirection: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run smapskit with a shell's redirection of its streams."""
    command = ["sh", "-c", f'exec "$@" {redirection}', "sh", sys.executable, "-m", "smapskit"]
    return subprocess.run(
        [*command, *words], capture_output=True, text=True, check=False, env=unmeasured()
    )


needs_full = pytest.mark.skipif(
    not Path("/dev/full").is_char_device(), reason="there is no /dev/full here"
)
PRINTING = [
    [CAPTURE],
    ["--json", CAPTURE],
    pytest.param(["--csv", CAPTURE], marks=pytest.mark.slow),
    pytest.param(["--by", "backing", CAPTURE], marks=pytest.mark.slow),
    pytest.param(["diff", CAPTURE, CAPTURE], marks=pytest.mark.slow),
    ["--help"],
    pytest.param(["--version"], marks=pytest.mark.slow),
    pytest.param(["record", "--help"], marks=pytest.mark.slow),
    ["--completion", "bash"],
    pytest.param(["{pid}"], marks=[pytest.mark.live, needs_linux]),
    pytest.param(["--all"], marks=[pytest.mark.live, needs_linux]),
    pytest.param(["--all", "--csv"], marks=[pytest.mark.live, pytest.mark.slow, needs_linux]),
]


@pytest.mark.parametrize("words", PRINTING)
class TestOutputThatCannotBeWritten:
    def filled(self, words: list[str], sleeper: int) -> list[str]:
        return [word.format(pid=sleeper) for word in words]

    @needs_full
    def test_a_full_device_is_one_line(self, words: list[str], sleeper: int) -> None:
        ran = run("> /dev/full", *self.filled(words, sleeper))
        assert ran.stderr == "smapskit: No space left on device: standard output\n"
        assert ran.returncode == 1

    def test_a_closed_output_is_one_line(self, words: list[str], sleeper: int) -> None:
        ran = run(">&-", *self.filled(words, sleeper))
        assert ran.stderr == "smapskit: Bad file descriptor: standard output\n"
        assert ran.returncode == 1

    def test_a_closed_pipe_ends_it_by_its_signal(self, words: list[str], sleeper: int) -> None:
        reading, writing = os.pipe()
        os.close(reading)
        try:
            ran = subprocess.run(
                [sys.executable, "-m", "smapskit", *self.filled(words, sleeper)],
                stdout=writing,
                stderr=subprocess.PIPE,
                text=True,
                check=False,
                env=unmeasured(),
            )
        finally:
            os.close(writing)
        assert ran.stderr == ""
        assert ran.returncode == -signal.SIGPIPE


@pytest.mark.parametrize(
    "redirection",
    [
        pytest.param("2>&-", marks=pytest.mark.slow),
        pytest.param("2> /dev/full", marks=needs_full),
        pytest.param("<&- 2>&-", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["no/such"], 1),
        (["--nonsense"], 1),
        (["--json", "no/such"], 1),
        (["plot", "no/such"], 1),
        pytest.param(
            ["record", "-o", "{tmp}/x.csv", "999999999"], 42, marks=[pytest.mark.live, needs_linux]
        ),
        pytest.param(["999999999"], 42, marks=[pytest.mark.live, needs_linux]),
    ],
)
def test_a_message_that_cannot_be_printed_is_discarded(
    words: list[str], status: int, redirection: str, tmp_path: Path
) -> None:
    ran = run(redirection, *(word.format(tmp=tmp_path) for word in words))
    assert ran.returncode == status
    assert ran.stdout in ("", '{"schema": 1, "unit": "kB", "snapshots": []}\n')


def test_a_closed_input_is_one_line() -> None:
    ran = run("<&-", "-")
    assert (ran.returncode, ran.stdout) == (1, "")
    assert len(ran.stderr.splitlines()) == 1


@live
def test_with_all_streams_closed_a_recording_is_complete(sleeper: int, tmp_path: Path) -> None:
    file = tmp_path / "run.csv"
    words = ["record", "-i", "0.02", "-t", "0.2", "-o", str(file), str(sleeper)]
    assert run("<&- >&- 2>&-", *words).returncode == 0
    assert smapskit.Recording.load(file).rows


MANY = """
import mmap, sys
kept = [mmap.mmap(-1, 4096, flags=0x22, prot=1 + 2 * (n % 2)) for n in range(20000)]
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def large(start: Callable[..., subprocess.Popen[str]]) -> int:
    """A process whose table is printed in a noticeable time."""
    return start(sys.executable, "-c", MANY).pid


@pytest.mark.slow
@live
@pytest.mark.parametrize("options", [["-x"], ["-X"], ["--json"], ["--by", "pathname"]])
@pytest.mark.parametrize("delay", [0.2, 0.4])
def test_ctrl_c_in_a_table_ends_it_by_its_signal(
    options: list[str], delay: float, large: int
) -> None:
    program = (
        "import sys, smapskit.cli\nprint('ready', file=sys.stderr, flush=True)\nsmapskit.cli.run()"
    )
    command = [sys.executable, "-c", program, *options, *[str(large)] * 20]
    ran = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=unmeasured()
    )
    assert ran.stderr is not None
    assert ran.stderr.readline() == "ready\n"
    time.sleep(delay)
    ran.send_signal(signal.SIGINT)
    _, err = ran.communicate(timeout=20)
    assert err == ""
    assert ran.returncode == -signal.SIGINT


@live
@requires("pyarrow")
def test_ctrl_c_while_parquet_is_made_names_the_samples(sleeper: int, tmp_path: Path) -> None:
    program = (
        "import signal, smapskit.cli\nfrom smapskit.sources.recording import storage\n"
        "def interrupted(*_): signal.raise_signal(signal.SIGINT)\n"
        "storage._write_parquet = interrupted\n"
        "smapskit.cli.run()\n"
    )
    words = ["record", "-i", "0.02", "-t", "0.1", "-o", str(tmp_path / "run.parquet")]
    command = [sys.executable, "-c", program, *words, str(sleeper)]
    ran = subprocess.run(
        command, capture_output=True, text=True, check=False, env=unmeasured(), timeout=20
    )
    (part,) = tmp_path.iterdir()
    assert ran.stderr == f"smapskit: interrupted; the samples are in {part}\n"
    assert ran.returncode == -signal.SIGINT
    assert smapskit.Recording.load(part).rows


# ---- nothing else on standard output ---------------------------------------------------------


@pytest.mark.slow
@live
@pytest.mark.parametrize("options", [["--json"], ["--csv"], ["--json", "--by", "perms"]])
def test_machine_formats_have_nothing_else_on_standard_output(options: list[str]) -> None:
    if os.geteuid() != 0:
        pytest.skip("requires root, to become a user who may not read a process")
    program = (
        "import contextlib, io, os, sys, smapskit.cli as cli\n"
        "with contextlib.redirect_stdout(io.StringIO()):  # imports what it will need\n"
        "    for way in (['--json'], ['--csv'], ['--by', 'perms'], ['diff', str(os.getpid())]):\n"
        "        cli.main([*way, str(os.getpid())])\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "sys.exit(cli.main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", program]

    def ran(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, *words, str(os.getpid())],
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            env=unmeasured(),
        )

    denied = ran(*options)
    assert denied.returncode == 1
    assert "not permitted" in denied.stderr
    if "--json" in options:
        assert json.loads(denied.stdout)["snapshots"] == []
    else:
        assert len(denied.stdout.splitlines()) == 1  # the names of the columns
    assert ran("diff", str(os.getpid())).stdout == ""
    assert ran("-x").stdout.startswith(f"{os.getpid()}:   ")  # as pmap does


def test_csv_of_groups(capsys: pytest.CaptureFixture[str]) -> None:
    snapshot = smapskit.load(CAPTURE)
    for by in ("backing", "perms", "pathname"):
        assert cli.main(["--csv", "--by", by, CAPTURE]) == 0
        rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
        groups = snapshot.group_by(by)
        assert [row["group"] for row in rows] == [str(key) for key in groups]
        assert [row["rss"] for row in rows] == [str(sums.rss) for sums in groups.values()]
        assert [row["count"] for row in rows] == [str(sums.count) for sums in groups.values()]


def test_csv_and_json_together_are_rejected(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["--csv", "--json", CAPTURE], ["--all", "--csv", "--json"]):
        with pytest.raises(SystemExit) as end:
            cli.main(words)
        assert end.value.code == 1
        assert capsys.readouterr().out == ""


# ---- notes -----------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [[], ["--json"], ["--csv"], ["--by", "perms"]])
def test_notes_are_printed_on_standard_error(
    options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "smaps"
    file.write_text(Path(CAPTURE).read_text().replace("\n", "\r\n"), newline="")
    snapshot = smapskit.load(file)
    assert snapshot.notes
    assert cli.main([*options, str(file)]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert lines == [f"smapskit: {file}: {note}" for note in snapshot.notes]


@live
def test_the_reason_why_a_live_process_has_no_mappings(capsys: pytest.CaptureFixture[str]) -> None:
    zombie = subprocess.Popen(["true"])
    os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
    try:
        assert cli.main([str(zombie.pid)]) == 0
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"smapskit: /proc/{zombie.pid}/smaps: a zombie")
    finally:
        zombie.wait()


# ---- numbers ---------------------------------------------------------------------------------

DIGITS = "9" * 5000


@pytest.mark.parametrize(
    "words",
    [
        [DIGITS],
        [f"/proc/{DIGITS}"],
        ["-x", "2147483648"],
        ["--json", "99999999999"],
        ["-A", DIGITS, "1"],
        ["diff", CAPTURE, DIGITS],
        ["record", "-o", "{file}", DIGITS],
        *(
            ["record", "-o", "{file}", option, value, "1"]
            for option in ("-i", "-t")
            for value in ("inf", "nan", "-1", "0", "1e10", DIGITS, "x")
        ),
    ],
)
def test_a_number_out_of_range_is_a_usage_error(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "run.csv"
    with pytest.raises(SystemExit) as end:
        cli.main([word.format(file=file) for word in words])
    assert end.value.code == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert len(printed.err.splitlines()[-1]) < 200
    assert not list(tmp_path.iterdir())


@live
@pytest.mark.parametrize("zeros", [1, 5000])
def test_leading_zeros_of_a_pid_are_ignored(
    zeros: int, sleeper: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["0" * zeros + str(sleeper)]) == 0
    assert capsys.readouterr().out.startswith(f"{sleeper}:   ")


def test_other_intervals_are_rejected() -> None:
    for interval in (float("nan"), float("inf"), -1.0):
        with pytest.raises(ValueError, match="expected an interval above 0"):
            smapskit.sample(1, interval)


# ---- control characters ----------------------------------------------------------------------

ESCAPES = "\x1b]0;x\x07\u202e\udcff"


@pytest.mark.parametrize(
    "words",
    [
        [f"--{ESCAPES}"],
        ["--by", ESCAPES, CAPTURE],
        ["-A", ESCAPES, CAPTURE],
        ["--all", "--sort", ESCAPES],
        ["diff", CAPTURE, CAPTURE, ESCAPES],
        ["record", "-o", "x", "-i", ESCAPES, "1"],
        ["record", "-o", "x", ESCAPES],
        ["plot", RECORDING, "-o", ESCAPES],
        ["--completion", ESCAPES],
        ["-C", ESCAPES, CAPTURE],
        [f"{ESCAPES}{CAPTURE}"],
    ],
)
def test_escape_sequences_in_arguments_are_escaped(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    errors = io.StringIO()
    monkeypatch.setattr(sys, "stderr", errors)
    try:
        status = cli.main(words)
    except SystemExit as end:
        status = int(str(end.code))
    assert status == 1
    assert errors.getvalue().replace("\n", "").isprintable()
    assert not list(tmp_path.iterdir())


@live
@pytest.mark.parametrize("read", [smapskit.read, smapskit.read_maps, smapskit.read_rollup])
def test_the_path_of_procfs_is_escaped_in_messages(
    read: Callable[..., object], tmp_path: Path
) -> None:
    proc = tmp_path / ESCAPES
    with pytest.raises(smapskit.Unsupported) as caught:
        read(1, proc=proc)
    assert str(caught.value).isprintable()


def test_representations_have_no_control_characters() -> None:
    snapshot = Snapshot((), pid=7, command=ESCAPES, notes=(ESCAPES,), source=ESCAPES)
    assert repr(snapshot).isprintable()
    error = smapskit.ParseError(f"expected x, got {ESCAPES}", ESCAPES, 1, ESCAPES)
    assert str(error).isprintable()


def test_markup_in_the_attributes_of_a_frame_is_escaped() -> None:
    frame = smapskit.load(CAPTURE).to_frame()
    for name in frame.attrs:
        if name not in ("unit", "time"):
            frame.attrs[name] = f"<script>{ESCAPES}"
    snapshot = Snapshot.from_frame(frame)
    html = snapshot._repr_html_()
    assert "<script" not in html
    assert "\x1b" not in html
    assert repr(snapshot).isprintable()
    assert exports.to_csv([snapshot]).replace("\n", "").isprintable()
