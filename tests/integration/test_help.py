"""The help text of each command: its width, and its examples, which are run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.paths import FIXTURES

from smapskit.cli.commands import ALL, COMMANDS, DEFAULT, build_parsers
from smapskit.cli.common import NOT_FOUND, Parser
from smapskit.views.cells import display_width

PARSERS = build_parsers()
EXAMPLES = [
    pytest.param(name, line, id=line)
    for name, parser in PARSERS.items()
    for line, _ in parser.examples
]


@pytest.fixture(params=PARSERS.items(), ids=[name or "default" for name in PARSERS])
def command(request: pytest.FixtureRequest) -> tuple[str, Parser]:
    found: tuple[str, Parser] = request.param
    return found


@pytest.mark.parametrize("columns", ["80", "200"])
def test_help_fits_80_columns(
    command: tuple[str, Parser], columns: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    lines = command[1].format_help().splitlines()
    assert max(map(display_width, lines)) <= 80
    assert lines[0].startswith("usage: smapskit ")


def test_help_has_examples_and_exit_statuses(command: tuple[str, Parser]) -> None:
    name, parser = command
    text = parser.format_help()
    assert 3 <= len(parser.examples) <= 5
    assert all(line in text for line, _ in parser.examples)
    assert any(line.startswith(f"smapskit {name}") for line, _ in parser.examples)
    assert {0, 1} <= set(parser.statuses)
    assert text.index("\nexamples:\n") < text.index("\nexit status:\n")


def test_an_option_has_one_metavar_in_all_commands() -> None:
    names: dict[str, set[object]] = {}
    for parser in PARSERS.values():
        for action in parser._actions:
            for option in action.option_strings:
                if option.startswith("--"):
                    names.setdefault(option, set()).add(action.metavar)
    several = {option for option, found in names.items() if len(found) > 1}
    assert several == {"--output"}  # FILE of record, PICTURE elsewhere


def test_the_help_lists_all_commands() -> None:
    text = PARSERS[DEFAULT].format_help()
    for name, summary in COMMANDS.items():
        assert " " in summary
        assert f"\n  {name} " in text
        assert summary in text
    assert f"smapskit {ALL}" in text


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the files of the examples, and programs in bin."""
    folder = tmp_path_factory.mktemp("examples")
    programs = folder / "bin"
    programs.mkdir()
    (programs / "smapskit").write_text(f'#!/bin/sh\nexec {sys.executable} -m smapskit "$@"\n')
    log = FIXTURES / "oom" / "v2-6.12.txt"
    (programs / "dmesg").write_text(f"#!/bin/sh\nexec cat {log}\n")
    for program in programs.iterdir():
        program.chmod(0o755)
    capture = (FIXTURES / "sleep" / "smaps.txt").read_text()
    for name in ("before.txt", "after.txt", "smaps.txt"):
        (folder / name).write_text(capture)
    (folder / "record").mkdir()  # where the recordings do not exist yet
    (folder / "record" / "program.py").write_text("print('done')\n")
    run = [sys.executable, "-m", "smapskit", "record", "-i", "0.1", "-o", "run.csv", "--"]
    subprocess.run([*run, sys.executable, "-c", "input()"], check=False, cwd=folder, input=b"")
    return folder


def run_example(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run an example. PID is a process that ends if it is sampled, otherwise the shell itself."""
    is_sampled = "record" in line or "watch" in line
    variables = os.environ | {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}
    # Longer on a machine that is so busy that the process ends before it is read.
    run = None
    for seconds in (1, 8, 64):
        with subprocess.Popen(["sleep", str(seconds)]) as process:
            run = subprocess.run(
                ["sh", "-c", line.replace("PID", str(process.pid) if is_sampled else "$$")],
                cwd=folder / "record" if "record" in line else folder,
                env=variables,
                capture_output=True,
                text=True,
                check=False,
                timeout=100,
            )
            process.kill()
        if run.returncode != NOT_FOUND:
            break
    assert run is not None
    return run


@pytest.mark.slow
@pytest.mark.live
@pytest.mark.parametrize(("name", "line"), EXAMPLES)
def test_the_examples_work(name: str, line: str, folder: Path) -> None:
    run = run_example(line, folder)
    if name == "cgroup" and run.returncode == 1:
        pytest.skip(f"no cgroups here: {run.stderr}")
    if "matplotlib" in run.stderr:
        pytest.skip(run.stderr)
    assert run.returncode in ([0, 3] if name == "explain" else [0]), run.stderr
    if name == "report":
        (made,) = folder.glob("*.html")
        made.unlink()  # the next example does not replace it
    elif "-o" not in line and ">" not in line and "plot" not in line:
        assert run.stdout
