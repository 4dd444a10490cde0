"""Shared by all commands: read operands, print errors, determine the exit status."""

from __future__ import annotations

import argparse
import errno
import math
import os
import re
import shutil
import sys
import textwrap
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from collections.abc import Mapping as MappingOf
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING, Any, Final, NoReturn, TextIO, TypeVar

from smapskit.cli.commands import COMMANDS
from smapskit.errors import AccessDenied, ProcessNotFound, SmapskitError, escape_unprintable
from smapskit.formats.pmap.dialects import LayoutName
from smapskit.formats.pmap.table import process_line
from smapskit.sources import procfs
from smapskit.text import parse_size

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

    from smapskit.model.oom import OomReport
    from smapskit.model.snapshot import Snapshot
    from smapskit.sources.processes import Progress

FAILURE = 1
NOT_FOUND = 42
STATUSES: Final = {0: "success", FAILURE: "wrong usage, or something could not be read"}
STATUSES_OF_PIDS: Final = {
    **STATUSES,
    NOT_FOUND: "a process was not found",
    NOT_FOUND | FAILURE: "a process was not found, and something else could not be read",
}
"""The exit statuses of a command that reads processes."""
Subject = TypeVar("Subject", bound="Snapshot | OomReport")
_MAX_PID = 2**31 - 1
_OPTIONS = ("--help", "--version", "--all")
_PIDS = re.compile(r"(?:[A-Za-z]\w* )?([0-9]{1,10}(?:[ ,\n]+[0-9]{1,10})*)[ \n]*")
"""A command with its PID, or several PIDs, as one word."""
_PROGRAM = re.compile(r"[^\W\d][\w.+@:-]*")
_IS_PATH = re.compile(r"/|\.[A-Za-z]+[0-9]?\Z")
"""What only the name of a file has: a folder, a suffix such as .txt or .bz2."""
_HELP_WIDTH = 80
_MIN_HELP_WIDTH = 20
_MAX_SECONDS = 10**9  # 31 years; the clock's functions end at 292


def _section(title: str, rows: Sequence[tuple[str, str]]) -> str:
    """Return a section of the help text with two columns."""
    indent = max(len(first) for first, _ in rows) + 4
    width = min(shutil.get_terminal_size().columns, _HELP_WIDTH) - 2
    lines = [f"{title}:"]
    for first, second in rows:
        first_line, *others = textwrap.wrap(second, max(width - indent, _MIN_HELP_WIDTH))
        lines.append(f"  {first:{indent - 2}}{first_line}")
        lines += [" " * indent + line for line in others]
    return "\n".join([*lines, ""])


class HelpFormatter(argparse.HelpFormatter):
    """Formats help to at most 80 columns: longer lines are hard to read."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=min(shutil.get_terminal_size().columns, _HELP_WIDTH) - 2)


class Parser(argparse.ArgumentParser):
    """
    An argument parser with the exit status of pmap for a usage error.

    Attributes:
        commands: what each command does, by its name.
        examples: a command line and what it does.
        statuses: what each exit status means.
    """

    def __init__(
        self,
        *,
        examples: Sequence[tuple[str, str]] = (),
        statuses: MappingOf[int, str] = STATUSES,
        commands: MappingOf[str, str] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(formatter_class=HelpFormatter, **options)
        self.commands = commands or {}
        self.examples = examples
        self.statuses = statuses

    def format_help(self) -> str:
        """Return the help text: that of argparse, commands, examples and exit status."""
        statuses = [(str(status), meaning) for status, meaning in self.statuses.items()]
        sections = {
            "commands": list(self.commands.items()),
            "examples": self.examples,
            "exit status": statuses,
        }
        texts = [_section(title, rows) for title, rows in sections.items() if rows]
        return "\n".join([super().format_help(), *texts])

    def error(self, message: str) -> NoReturn:
        """Print the error, as one line, and exit."""
        unknown = re.match(r"unrecognized arguments: ([^\s=]+)", message)
        option = unknown[1] if unknown else ""
        similar = _similar(option, self._option_string_actions)
        advice = f"did you mean {similar}?" if similar else f"see {self.prog} --help"
        self.exit(FAILURE, f"{self.prog}: {escape_unprintable(message)}; {advice}\n")

    def _print_message(self, message: str, file: SupportsWrite[str] | None = None) -> None:
        # The method of argparse ignores errors: help that was not printed would exit with status 0.
        if file is not None and file is sys.stdout:
            file.write(message)
        else:
            _write_error(message)


def operand(text: str) -> str:
    """Accept a PID or a CAPTURE; a number that cannot be a pid is a usage error."""
    if _number(text) is not None and pid_of(text) is None:
        raise argparse.ArgumentTypeError(
            f"expected a pid of at most {_MAX_PID}, got {_start(text)} (a file: ./NAME)"
        )
    return text


def seconds(text: str) -> float:
    """Accept a finite number of seconds above 0."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value <= _MAX_SECONDS:
        raise argparse.ArgumentTypeError(
            f"expected a number of seconds above 0, got {_start(text)}"
        )
    return value


def share(text: str) -> float:
    """Accept a part of the time: 1% or 0.01."""
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = 0.0
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"expected a part such as 1% or 0.01, got {text[:20]!a}")
    return value


def size_in_kb(text: str) -> int:
    """Accept a size such as 512M; return it in kB."""
    try:
        return parse_size(text) // 1024
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def context_fact(text: str) -> tuple[str, str]:
    """Accept NAME=VALUE."""
    name, equals, value = text.partition("=")
    if not equals:
        msg = f"expected NAME=VALUE, got {text[:40]!a}"
        raise argparse.ArgumentTypeError(msg)
    return name, value


def _start(text: str) -> str:
    """Return the beginning of an argument, quoted."""
    return repr(text if len(text) <= 20 else f"{text[:20]}...")  # noqa: PLR2004


def advice_for(word: str, command: str) -> str:
    """
    Return what may have been meant by a word that is neither a PID nor a file; "" if unknown.

    Args:
        word: given as an operand.
        command: what comes before an operand.
    """
    if pids := _PIDS.fullmatch(word):
        return f"; try {command} {' '.join(pids[1].replace(',', ' ').split())}"
    if f"--{word}" in _OPTIONS:
        return f"; try smapskit --{word}"
    if similar := _similar(word, COMMANDS):
        return f"; did you mean smapskit {similar}?"
    if not word.strip():
        return "; pidof prints nothing for a program that is not running"
    return f"; try {command} $(pidof {word})" if _PROGRAM.fullmatch(word) else ""


def _similar(word: str, words: Iterable[str]) -> str | None:
    """Return the most similar of some words, if one is similar."""
    from difflib import get_close_matches  # noqa: PLC0415  slow to import

    return next(iter(get_close_matches(word, words, 1, 0.75)), None)


class OperandReader:
    """
    Reads the operands of a command, prints errors and combines their exit statuses.

    Args:
        operands: processes and captures.
        names_denied: print the line with pid and command also of a process that may not be
            read, before the error, as pmap does.
        limit: as in `smapskit.load`.
        strict: as in `smapskit.load`.
        command: what comes before an operand, for messages.
    """

    def __init__(
        self,
        operands: Sequence[str],
        *,
        names_denied: bool = False,
        limit: int | None = None,
        strict: bool = True,
        command: str = "smapskit",
    ) -> None:
        self.operands = operands
        self.names_denied = names_denied
        self.limit = limit
        self.strict = strict
        self.command = command
        self.status = 0

    def snapshots(self, layout: LayoutName | Collection[str]) -> Iterator[Snapshot]:
        """Yield the snapshots of each operand that can be read."""
        return self.read(lambda word: read_operand(word, layout, self.limit, strict=self.strict))

    def read(self, read: Callable[[str], Sequence[Subject]]) -> Iterator[Subject]:
        """Yield what `read` returns for each operand that can be read."""
        for number, word in enumerate(self.operands):
            if word == "-" and word in self.operands[:number]:
                self.status |= FAILURE
                print_error(SmapskitError("expected - once: standard input can be read once only"))
                continue
            try:
                subjects = read(word)
            except (SmapskitError, OSError) as error:
                self.status |= exit_status(error)
                if self.names_denied and isinstance(error, AccessDenied):
                    _name_process(word)
                print_error(_operand_error(word, error, self.command))
                continue
            except MemoryError:
                self.status |= FAILURE
                print_error(SmapskitError(f"{word}: not enough memory to read it"))
                continue
            for subject in subjects:
                for note in subject.notes:
                    print_message(f"{subject.source or word}: {note}")
                yield subject


def _operand_error(word: str, error: Exception, command: str) -> Exception:
    """Return the error to print for an operand that could not be read."""
    if isinstance(error, FileNotFoundError) and not _IS_PATH.search(word):
        name = word if word.strip() else "an empty word"
        return SmapskitError(f"neither a PID nor a file: {name}{advice_for(word, command)}")
    if isinstance(error, IsADirectoryError):
        has_smaps = os.path.exists(os.path.join(word, "smaps"))  # noqa: PTH110, PTH118
        files = os.path.join(word, "smaps" if has_smaps else "*")  # noqa: PTH118  a pattern
        return SmapskitError(f"{word} is a folder; try {command} {files}")
    return error


def _name_process(word: str) -> None:
    pid = pid_of(word)
    if pid is not None:
        with suppress(SmapskitError):
            sys.stdout.write(process_line(pid, procfs.read_command(pid)) + "\n")


def read_operand(
    operand: str,
    layout: LayoutName | Collection[str],
    limit: int | None = None,
    *,
    strict: bool = True,
) -> list[Snapshot]:
    """Return the snapshots of one operand: a process, or the processes of a capture."""
    from smapskit.sources import captures, process  # noqa: PLC0415  not for tables of live ones

    pid = pid_of(operand)
    if pid is None:
        if not operand.strip():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), operand)
        source: str | IO[bytes] = sys.stdin.buffer if operand == "-" else operand
        return captures.load_all(source, limit=limit, strict=strict)
    # The short and the device table need no counters, for which the kernel walks page tables.
    read = process.read_maps if layout in ("short", "device") else process.read
    return [read(pid)]


def add_limit(parser: argparse.ArgumentParser) -> None:
    """Add the option `--limit`."""
    parser.add_argument(
        "--limit",
        type=_bytes,
        metavar="SIZE",
        help="maximum size of the text of a capture, such as 512M or 2G (default: 256M if it is "
        "compressed, 4G if it is not)",
    )


def add_help(parser: argparse.ArgumentParser, also: str = "") -> None:
    """Add the option `--help`, where `-h` is not help or not always."""
    parser.add_argument("--help", action="help", help=f"show this help message and exit{also}")


def add_lenient(parser: argparse.ArgumentParser) -> None:
    """Add the option `--lenient`."""
    parser.add_argument(
        "--lenient",
        action="store_true",
        help="read captures with a truncated record or with totals that are not the sums of their "
        "rows: print a note instead of an error",
    )


def _bytes(text: str) -> int:
    try:
        size = parse_size(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if size == 0:
        raise argparse.ArgumentTypeError("expected a size like 512M, got 0")
    return size


def pid_of(operand: str) -> int | None:
    """
    Return the process that an operand names; None for a capture.

    Args:
        operand: a number, /proc/NUMBER or /proc/self, or the file smaps in one of these folders.
    """
    if operand.rstrip("/").removesuffix("/smaps") == "/proc/self":
        return os.getpid()
    digits = _number(operand)
    # The length first: int() rejects thousands of digits.
    if digits is None or len(digits) > len(str(_MAX_PID)) or int(digits) > _MAX_PID:
        return None
    return int(digits)


def _number(operand: str) -> str | None:
    """Return the digits of the number in an operand, without leading zeros; None for others."""
    word = operand.rstrip("/")
    if word.startswith("/proc/"):
        word = word.removeprefix("/proc/").removesuffix("/smaps")
    return word.lstrip("0") or "0" if word.isascii() and word.isdigit() else None


def print_error(error: BaseException) -> None:
    """Print one line on standard error, without control characters."""
    if isinstance(error, OSError) and error.strerror is not None:
        name = f": {error.filename}" if error.filename else ""
        message = f"{error.strerror}{name}"
    else:
        message = str(error)
    print_message("; ".join([message, *getattr(error, "__notes__", ())]))


def print_message(message: str) -> None:
    """Print one line on standard error, if it can be written."""
    _write_error(f"smapskit: {escape_unprintable(message)}\n")


def _write_error(text: str) -> None:
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except OSError:
        discard(sys.stderr)


def discard(stream: TextIO) -> None:
    """Discard further output to a stream that failed, also when the interpreter exits."""
    with suppress(OSError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


def exit_status(error: Exception) -> int:
    """Return the exit status for an error."""
    return NOT_FOUND if isinstance(error, ProcessNotFound) else FAILURE


def unreadable_reasons(unreadable: MappingOf[int, str]) -> Counter[str]:
    """Return the number of processes by the reason, without its pid, why they were not read."""
    return Counter(re.sub(rf"\b{pid}\b", "PID", reason) for pid, reason in unreadable.items())


def print_unreadable(unreadable: MappingOf[int, str]) -> None:
    """Print how many processes could not be read, by reason."""
    for reason, count in unreadable_reasons(unreadable).items():
        print_message(f"{count} more could not be read ({reason})")


@contextmanager
def show_progress() -> Iterator[Progress | None]:
    """Show progress on a terminal after a second."""
    try:
        from tqdm import tqdm  # noqa: PLC0415  an extra
    except ImportError:
        yield None
        return
    with tqdm(unit=" processes", delay=1, leave=False, disable=not sys.stderr.isatty()) as bar:

        def show(number: int, count: int) -> None:
            bar.total = count
            bar.update(number - bar.n)

        yield show
