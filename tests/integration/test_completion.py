"""Completion in bash, zsh and fish, by the shells themselves."""

from __future__ import annotations

import io
import os
import re
import select
import shutil
import struct
import subprocess
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from functools import cache
from pathlib import Path

import pytest

from smapskit import cli
from smapskit.cli.commands import ALL, COMMANDS, DEFAULT, build_parsers
from smapskit.cli.completion import SHELLS, arguments

fcntl = pytest.importorskip("fcntl")
termios = pytest.importorskip("termios")

PARSERS = build_parsers()
OPTIONS = {
    name: {option for each in arguments(parser) for option in each.names}
    for name, parser in PARSERS.items()
}
Complete = Callable[..., set[str]]


@cache
def script(shell: str) -> str:
    printed = io.StringIO()
    with redirect_stdout(printed):
        assert cli.main(["--completion", shell]) == 0
    return printed.getvalue()


def needs(shell: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(shell) is None, reason=f"requires {shell}")


def in_bash(*words: str, function: str = "_smapskit", before: str = "") -> set[str]:
    """Return what bash completes the last word to."""
    program = (
        f'{before}\nsource /dev/stdin; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); {function}; '
        "printf '%s\\n' \"${COMPREPLY[@]}\""
    )
    run = subprocess.run(
        ["bash", "--norc", "-c", program, "bash", *words],
        input=script("bash"),
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stderr == ""
    return set(run.stdout.splitlines()) - {""}


def in_fish(*words: str) -> set[str]:
    """Return what fish completes the last word to."""
    line = " ".join(words)
    run = subprocess.run(
        ["fish", "--no-config", "-c", f"source; complete -C '{line}'"],
        input=script("fish"),
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stderr == ""
    return {row.partition("\t")[0] for row in run.stdout.splitlines()}


@pytest.fixture(
    params=[
        pytest.param(in_bash, marks=needs("bash"), id="bash"),
        pytest.param(in_fish, marks=needs("fish"), id="fish"),
    ]
)
def complete(request: pytest.FixtureRequest) -> Complete:
    found: Complete = request.param
    return found


class TestBashAndFish:
    @pytest.mark.parametrize("name", PARSERS)
    def test_the_options_are_those_of_the_parser(self, name: str, complete: Complete) -> None:
        words = [name] if name else []
        long = {option for option in OPTIONS[name] if option.startswith("--")}
        assert complete("smapskit", *words, "--") == long

    def test_commands(self, complete: Complete) -> None:
        assert complete("smapskit", "re") & {*COMMANDS} == {"record"} | {
            name for name in COMMANDS if name.startswith("re")
        }
        assert not complete("smapskit", "1234", "re") & {*COMMANDS}

    def test_choices(self, complete: Complete) -> None:
        assert complete("smapskit", "--by", "p") == {"perms", "pathname"}
        assert complete("smapskit", "record", "--by", "m") == {"mapping"}
        assert complete("smapskit", "--all", "--by-process", "un") == {"unit"}
        assert complete("smapskit", "--all", "--sort", "u") == {"uss"}

    def test_processes(self, complete: Complete) -> None:
        pid = str(os.getpid())
        for words in ([], ["explain"], ["diff"], ["pages"], ["cgroup"], ["record"]):
            assert pid in complete("smapskit", *words, pid[:-1])
        assert pid not in complete("smapskit", "plot", pid[:-1])

    def test_files(
        self, complete: Complete, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "capture.txt").touch()
        for words in ([], ["plot"], ["diff", "1"], ["pages", "-o"], ["record", "--snapshot"]):
            assert "capture.txt" in complete("smapskit", *words, "cap"), words
        assert not complete("smapskit", "pages", "--mapping", "cap")


@needs("bash")
class TestBash:
    def test_a_value_after_an_equals_sign(self) -> None:
        assert in_bash("smapskit", "--by", "=", "p") == {"perms", "pathname"}
        assert "backing" in in_bash("smapskit", "--by", "=")

    def test_a_file_name_with_blanks(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "two words.txt").touch()
        assert in_bash("smapskit", "two") == {"two words.txt"}

    def test_a_command_that_is_recorded(self) -> None:
        assert "bash" in in_bash("smapskit", "record", "-o", "x", "--", "bas")

    def test_python_runs_the_module(self) -> None:
        def python(*words: str, before: str = "") -> set[str]:
            return in_bash(*words, function="_smapskit_python", before=before)

        assert python("python", "-m", "smapskit", "record", "--bu") == {"--budget"}
        assert "record" in python("python", "-m", "smapskit", "re")
        assert python("python", "-m", "pip", "--") == set()
        before = "_python() { COMPREPLY=(as-before); }; complete -F _python python"
        assert python("python", "-m", "pip", "--", before=before) == {"as-before"}
        assert python("python3", "-m", "smapskit", "--ver", before=before) == {"--version"}

    def test_the_completion_of_a_distribution_stays(self) -> None:
        library = Path("/usr/share/bash-completion/bash_completion")
        if not library.exists():
            pytest.skip("requires bash-completion")
        # It completes the command line that it is asked for, not COMP_WORDS alone.
        before = f"source {library}; COMP_LINE='python --v'; COMP_POINT=10"
        found = in_bash(
            "python", "--v", function="_smapskit_python python --v python", before=before
        )
        assert {option for option in found if option.startswith("--ver")} <= {"--version"}
        assert in_bash(
            "python", "-m", "smapskit", "--ver", function="_smapskit_python", before=before
        ) == {"--version"}


class Zsh:
    """An interactive zsh without configuration, on a pseudo terminal."""

    def __init__(self, folder: Path) -> None:
        self._terminal, program = os.openpty()
        fcntl.ioctl(program, termios.TIOCSWINSZ, struct.pack("HHHH", 200, 240, 0, 0))
        self._process = subprocess.Popen(
            ["zsh", "-f", "-i"],
            stdin=program,
            stdout=program,
            stderr=program,
            cwd=folder,
            start_new_session=True,
            env={**os.environ, "TERM": "dumb", "PS1": "", "LC_ALL": "C.UTF-8"},
        )
        os.close(program)
        self._text = ""
        self.run("unsetopt zle_bracketed_paste; PS1= RPS1=; LISTMAX=1000; stty -echo 2>/dev/null")

    def send(self, text: str) -> None:
        os.write(self._terminal, text.encode())

    def wait_for(self, pattern: str) -> str:
        """Return what was printed until it matches."""
        end = time.monotonic() + 120  # not reached unless it is never printed
        while not re.search(pattern, self._text):
            ready, _, _ = select.select([self._terminal], [], [], max(0, end - time.monotonic()))
            assert ready, f"expected {pattern}, got {self._text!r}"
            self._text += os.read(self._terminal, 65536).decode(errors="replace")
        text, self._text = self._text, ""
        return text

    def run(self, line: str) -> str:
        self.send(f"{line}; print do''ne-$?\n")
        return self.wait_for(r"done-\d")

    def completions(self, line: str) -> set[str]:
        """Return the words that the completions of a line are made of."""
        # The widget runs the completion and prints what it would insert or list.
        self.send(f"{line}\x18")
        return set(self.wait_for(r"<end>").partition("<begin>")[2].partition("<end>")[0].split())

    def close(self) -> None:
        os.close(self._terminal)
        self._process.kill()
        self._process.wait()


CAPTURE = r"""
compadd() {
    local -a matches given=("$@")
    if [[ ${given[(I)-[OAD]*]} -eq 0 ]]; then
        builtin compadd -O matches "$@"
        found+=("${matches[@]}")
    fi
    builtin compadd "$@"
}
typeset -ga found
capture() {
    found=()
    zle capture-complete
    print -r -- "<begin>" ${found} "<end>"
    zle kill-buffer
}
zle -C capture-complete complete-word _main_complete
zle -N capture
bindkey '^X' capture
"""


@pytest.fixture
def zsh(tmp_path: Path) -> Zsh:
    if shutil.which("zsh") is None:
        pytest.skip("requires zsh")
    (tmp_path / "capture.zsh").write_text(CAPTURE)
    (tmp_path / "smapskit.zsh").write_text(script("zsh"))
    (tmp_path / "functions").mkdir()
    (tmp_path / "functions" / "_smapskit").write_text(script("zsh"))
    return Zsh(tmp_path)


@pytest.mark.slow
class TestZsh:
    @pytest.mark.parametrize("way", ["sourced", "in fpath"])
    def test_options_commands_and_choices(self, zsh: Zsh, way: str) -> None:
        try:
            if way == "in fpath":
                zsh.run("fpath=($PWD/functions $fpath)")
            zsh.run("autoload -Uz compinit; compinit -u -D; source ./capture.zsh")
            if way == "sourced":
                zsh.run("source ./smapskit.zsh")
            for name in PARSERS:
                long = {option for option in OPTIONS[name] if option.startswith("--")} - {ALL}
                start = f"smapskit {name}" if name else "smapskit"
                found = {word.rstrip("=") for word in zsh.completions(f"{start} --")}
                assert found - {ALL} == long, name
            assert "record" in zsh.completions("smapskit re")
            assert zsh.completions("smapskit --by p") == {"perms", "pathname"}
            assert zsh.completions("smapskit record --by=m") == {"mapping"}
            assert zsh.completions("smapskit --all --by-process un") == {"unit"}
            pid = str(os.getpid())
            assert pid in zsh.completions(f"smapskit explain {pid[:-1]}")
            assert "capture.zsh" in zsh.completions("smapskit diff 1 cap")
            assert "zstyle" in zsh.completions("smapskit record -o x -- zst")
        finally:
            zsh.close()

    def test_without_compinit_it_says_what_to_do(self) -> None:
        if shutil.which("zsh") is None:
            pytest.skip("requires zsh")
        run = subprocess.run(
            ["zsh", "-f", "-c", "source /dev/stdin"],
            input=script("zsh"),
            capture_output=True,
            text=True,
            check=False,
        )
        assert "run compinit before this script" in run.stderr


def test_other_words_are_no_shells(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--completion", "csh"]) == 1
    assert ", ".join(SHELLS) in capsys.readouterr().err


def test_the_scripts_have_every_option() -> None:
    for shell in SHELLS:
        words = set(re.findall(r"[-\w]+", script(shell)))
        for name in (DEFAULT, ALL, *COMMANDS):
            expected = OPTIONS[name]
            if shell == "fish":
                expected = {option.lstrip("-") for option in expected}
            assert expected <= words
