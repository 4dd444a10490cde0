from __future__ import annotations

import gzip
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.paths import FIXTURES, ROOT

import smapskit
from smapskit import cli
from smapskit.cli import show
from smapskit.cli.commands import build_parsers
from smapskit.cli.completion import arguments

SLEEP = FIXTURES / "sleep"
TEXT = (SLEEP / "smaps.txt").read_text()


def rows(table: str) -> list[str]:
    """A pmap table without the line that names the process."""
    return table.split("\n")[1:]


@pytest.mark.parametrize(
    ("options", "saved"),
    [
        ([], "pmap-x"),
        (["-x"], "pmap-x"),
        (["-d"], "pmap-d"),
        (["--short"], "pmap"),
        (["-xp"], "pmap-xp"),
        (["-xq"], "pmap-xq"),
        (["-q", "-x"], "pmap-xq"),
        (["-d", "--extended"], "pmap-x"),
    ],
)
def test_a_saved_smaps_prints_as_pmap_printed_its_process(
    options: list[str], saved: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([*options, str(SLEEP / "smaps.txt")]) == 0
    said = (SLEEP / f"{saved}.txt").read_text()
    assert capsys.readouterr().out == "\n".join(rows(said))


@pytest.mark.parametrize("options", ["-X", "-XX", "-XXp"])
def test_a_saved_table_prints_as_it_was(options: str, capsys: pytest.CaptureFixture[str]) -> None:
    saved = SLEEP / f"pmap{options}.txt"
    assert cli.main([options, str(saved)]) == 0
    assert capsys.readouterr().out == saved.read_text()


def test_standard_input(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(TEXT.encode())))
    assert cli.main(["-"]) == 0
    assert capsys.readouterr().out.endswith((SLEEP / "pmap-x.txt").read_text()[-40:])


def test_a_maps_has_no_rss(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([str(SLEEP / "maps.txt")]) == 0
    first = capsys.readouterr().out.split("\n")[1]
    assert first.split() == [first.split()[0], "8", "-", "-", "r----", "sleep"]


class TestFailures:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["no/such/file"], "smapskit: No such file or directory: no/such/file"),
            (["{tmp}/bad"], "{tmp}/bad, line 1: none of smaps, smaps_rollup, maps or pmap"),
            (["{tmp}"], "{tmp} is a folder; try smapskit {tmp}/smaps"),
            (["{tmp}/folder/"], "{tmp}/folder/ is a folder; try smapskit {tmp}/folder/*"),
            ([], "expected a PID or the name of a CAPTURE"),
            (["--colour", "1"], "unrecognized arguments: --colour; see smapskit --help"),
            (["--jsno", "1"], "unrecognized arguments: --jsno; did you mean --json?"),
            (["--limt=1", "1"], "unrecognized arguments: --limt=1; did you mean --limit?"),
            (["plot", "x", " "], "unrecognized arguments:"),
            (["record", "--force-it", "1"], "see smapskit record --help"),
            (["no-such.txt"], "smapskit: No such file or directory: no-such.txt"),
            (["firefox"], "neither a PID nor a file: firefox; try smapskit $(pidof firefox)"),
            (["python3.11"], "python3.11; try smapskit $(pidof python3.11)"),
            (["größer"], "neither a PID nor a file: größer; try"),
            (["pmap 123"], "neither a PID nor a file: pmap 123; try smapskit 123"),
            (["123 456"], "neither a PID nor a file: 123 456; try smapskit 123 456"),
            (["1,2"], "neither a PID nor a file: 1,2; try smapskit 1 2"),
            (["recrod"], "neither a PID nor a file: recrod; did you mean smapskit record?"),
            (["help"], "neither a PID nor a file: help; try smapskit --help"),
            ([""], "an empty word; pidof prints nothing for a program that is not running"),
            (["-5"], "neither a PID nor a file: -5"),
            (["diff", "firefox", "{tmp}/smaps"], "try smapskit diff ... $(pidof firefox)"),
            (["record", "-o", "x", "firefox"], "try smapskit record -o FILE $(pidof firefox)"),
            (["--lenient", "{tmp}/bad"], "none of smaps"),
            (["-A", "7,3", "1"], "expected hex addresses LOW[,HIGH], got '7,3'"),
            (["-A", "x", "1"], "expected hex addresses"),
            (["-A", "-1", "1"], "expected"),
            (["-C", "{tmp}/none", "1"], "No such file or directory: {tmp}/none; -N FILE creates"),
            (["-N", "{tmp}/none/x"], "No such file or directory: {tmp}/none/x"),
            (["-C", "{tmp}/rc", "1"], "{tmp}/rc, line 1: expected one word below a section"),
            (["-N", "{tmp}/rc"], "File exists: {tmp}/rc"),
        ],
    )
    def test_print_one_line(
        self,
        arguments: list[str],
        message: str,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        (tmp_path / "bad").write_text("hello\n")
        (tmp_path / "rc").write_text("Rss\n")
        (tmp_path / "smaps").write_text(TEXT)
        (tmp_path / "folder").mkdir()
        try:
            status = cli.main([word.format(tmp=tmp_path) for word in arguments])
        except SystemExit as end:
            assert isinstance(end.code, int)
            status = end.code
        printed = capsys.readouterr()
        assert (status, printed.out) == (1, "")
        assert printed.err.count("\n") == 1
        assert message.format(tmp=tmp_path) in printed.err

    def test_without_an_rc_file(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setattr(show, "_DEFAULT_RC", str(tmp_path / ".pmaprc"))
        assert cli.main(["-c", str(SLEEP / "smaps.txt")]) == 1
        missing = capsys.readouterr().err
        assert (
            missing == f"smapskit: No such file or directory: {tmp_path}/.pmaprc; -n creates it\n"
        )
        assert cli.main(["-n"]) == 0
        assert cli.main(["-c", str(SLEEP / "smaps.txt")]) == 0

    def test_an_empty_text_has_its_reason(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "empty").write_text("")
        assert cli.main(["-q", str(tmp_path / "empty")]) == 0
        printed = capsys.readouterr()
        assert printed.out == ""
        assert "the text is empty: a kernel thread, or a process that had ended" in printed.err

    @pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
    def test_letters_are_escaped_where_the_terminal_lacks_them(
        self, encoding: str, tmp_path: Path
    ) -> None:
        capture = tmp_path / "pmap"
        capture.write_text("1:   x\n0000000000400000 4K r---- x\nlänger 堆\n", encoding="utf-8")
        run = subprocess.run(
            [sys.executable, "-m", "smapskit", str(capture)],
            capture_output=True,
            check=False,
            env={**os.environ, "PYTHONIOENCODING": encoding},
        )
        expected = "länger 堆" if encoding == "utf-8" else r"l\xe4nger \u5806"
        assert run.stderr.decode(encoding).endswith(f"'{expected}'\n")

    def test_other_operands_are_still_printed(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert cli.main(["-q", str(tmp_path / "no"), str(SLEEP / "smaps.txt"), "999999999"]) == 43
        printed = capsys.readouterr()
        assert len(printed.out.splitlines()) == len(smapskit.parse_smaps(TEXT))
        assert len(printed.err.splitlines()) == 2

    def test_escape_sequences_in_a_file_name_are_escaped(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        hostile = tmp_path / "esc\x1b[31m\n\udcff"
        assert cli.main([str(hostile)]) == 1
        hostile.write_text("hello")
        assert cli.main([str(hostile)]) == 1
        for line in capsys.readouterr().err.splitlines():
            assert line.isprintable()
            assert "\\x1b[31m\\n\\udcff" in line


def test_hostile_names_in_a_table(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    hostile = "/\x1b]0;x\x07\x9b31m\u202egnp.exe \udcff ☃"
    capture = tmp_path / "smaps"
    text = TEXT.replace("/usr/bin/sleep", hostile)
    capture.write_bytes(text.encode("utf-8", "surrogateescape"))
    for options in ("-x", "-d", "--short", "-X", "-XX", "-xp"):
        cli.main([options, str(capture)])
        table = capsys.readouterr().out
        assert "?]0;x??31m?gnp.exe ? ☃" in table
        assert not set(table) & set("\x1b\x07\x9b\u202e\udcff")


class TestRcFiles:
    def test_the_created_one_names_every_column(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        rc = tmp_path / "rc"
        assert cli.main(["-N", str(rc)]) == 0
        rc.write_text(re.sub(r"(?m)^#(?=\w)", "", rc.read_text()))
        capsys.readouterr()
        assert cli.main(["-C", str(rc), str(SLEEP / "smaps.txt")]) == 0
        with_rc = capsys.readouterr().out
        assert cli.main(["-XXp", str(SLEEP / "smaps.txt")]) == 0
        assert with_rc == capsys.readouterr().out


class TestLenient:
    TRUNCATED = TEXT[: TEXT.rindex("Pss:")]

    def test_a_truncated_text(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        capture = tmp_path / "smaps"
        capture.write_text(self.TRUNCATED)
        assert cli.main([str(capture)]) == 1
        assert "strict=False (--lenient) omits this record" in capsys.readouterr().err
        assert cli.main(["-q", "--lenient", str(capture)]) == 0
        printed = capsys.readouterr()
        assert len(printed.out.splitlines()) == len(smapskit.parse_smaps(TEXT)) - 1
        assert "truncated within a record, which was omitted" in printed.err

    def test_a_difference(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        capture = tmp_path / "smaps"
        capture.write_text(self.TRUNCATED)
        assert cli.main(["diff", "--lenient", str(SLEEP / "smaps.txt"), str(capture)]) == 0
        assert "removed" in capsys.readouterr().out


class TestLimit:
    @pytest.mark.parametrize("limit", ["100", "10K", "10k"])
    def test_a_longer_text_is_rejected(
        self, limit: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        capture = str(SLEEP / "smaps.txt")
        for words in (["--limit", limit, capture], ["diff", "--limit", limit, capture, capture]):
            assert cli.main(words) == 1
            printed = capsys.readouterr()
            assert printed.out == ""
            assert "expected a text of at most" in printed.err
            assert "--limit" in printed.err

    @pytest.mark.parametrize("limit", ["1M", "512M", "2G", "1T", str(10**9)])
    def test_a_text_within_it_is_read(self, limit: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.main(["--limit", limit, str(SLEEP / "smaps.txt")]) == 0
        assert "total kB" in capsys.readouterr().out

    @pytest.mark.parametrize("limit", ["", "0", "-1", "M", "1X", "1MB", "nan", "9" * 5000])
    def test_other_sizes_are_usage_errors(
        self, limit: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(SystemExit) as end:
            cli.main([f"--limit={limit}", str(SLEEP / "smaps.txt")])
        assert end.value.code == 1
        assert "expected a size like 512M" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform != "linux", reason="limits the memory of a process")
def test_too_little_memory_is_one_line(tmp_path: Path) -> None:
    capture = tmp_path / "smaps.gz"
    capture.write_bytes(gzip.compress(TEXT.encode() * 8000, 1))  # 226 MB
    program = (
        "import resource, sys, smapskit.cli; "
        "resource.setrlimit(resource.RLIMIT_AS, (200_000_000, 200_000_000)); "
        "sys.exit(smapskit.cli.main(sys.argv[1:]))"
    )
    run = subprocess.run(
        [sys.executable, "-c", program, str(capture), str(SLEEP / "smaps.txt")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1
    assert run.stderr == f"smapskit: {capture}: not enough memory to read it\n"
    assert "total kB" in run.stdout  # the other one


def test_several_processes_are_several_tables(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    several = tmp_path / "several"
    several.write_text(TEXT + (FIXTURES / "awk" / "smaps.txt").read_text())
    assert cli.main(["-x", str(several)]) == 0
    printed = capsys.readouterr().out
    for name in ("sleep", "awk"):
        assert cli.main(["-x", str(FIXTURES / name / "smaps.txt")]) == 0
        assert capsys.readouterr().out in printed
    assert cli.main(["diff", str(several), str(SLEEP / "smaps.txt")]) == 1
    assert "expected one process in each capture" in capsys.readouterr().err


def test_help_names_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(["--help"])
    assert end.value.code == 0
    help_text = capsys.readouterr().out
    for option in (
        "-x",
        "-X",
        "-XX",
        "-d",
        "--short",
        "-q",
        "-p",
        "-A",
        "LOW[,HIGH]",
        "-c",
        "-C",
        "-V",
    ):
        assert option in help_text


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--version"])
    assert capsys.readouterr().out == f"smapskit {smapskit.__version__}\n"


@pytest.mark.skipif(sys.platform == "win32", reason="there are no closed pipes there")
def test_a_closed_pipe_ends_it_quietly(tmp_path: Path) -> None:
    large = tmp_path / "smaps"
    large.write_text(TEXT * 400)
    run = subprocess.run(
        f"{sys.executable} -m smapskit {large} | head -n 2",
        shell=True,
        capture_output=True,
        text=True,
        check=True,
    )
    assert len(run.stdout.splitlines()) == 2
    assert run.stderr == ""


def test_characters_that_the_terminal_lacks_are_question_marks(tmp_path: Path) -> None:
    capture = tmp_path / "smaps"
    capture.write_text(TEXT.replace("/usr/bin/sleep", "/ümlaut"), encoding="utf-8")
    run = subprocess.run(
        [sys.executable, "-m", "smapskit", str(capture)],
        capture_output=True,
        check=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )
    assert b" ?mlaut\n" in run.stdout


def test_the_man_page_has_every_option() -> None:
    page = (ROOT / "share" / "man" / "man1" / "smapskit.1").read_text()
    plain = re.sub(r"\\f[A-Z]", "", page).replace("\\-", "-")
    words = set(re.findall(r"(?<![\w-])--?[A-Za-z][\w-]*", plain))
    for parser in build_parsers().values():
        missing = {name for each in arguments(parser) for name in each.names} - words
        assert not missing, "CONTRIBUTING says how to make it again"
