"""
Text as people hand it over: bytes or str, pasted, quoted, sent through another system.

The readers work on bytes, since a path is bytes; this room brings any text to that form
and takes off what travelling put around it, telling what it took.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from smapskit.errors import ParseError

_QUOTE = re.compile(rb"[ \t]*(?:>+[ \t]*)*")
# Rows somebody cut out: "...", "[...]", "……" and runs of dots, alone on a line.
_ELLIPSIS = re.compile(rb"[ \t]*(?:\[ ?\.{2,} ?\]|\.{2,}|(?:\xe2\x80\xa6)+)[ \t]*")
# What stands before a pasted listing: a prompt with the command, or the command alone.
_COMMAND = re.compile(rb"(?:/proc/|\bp?map\b|\bsmaps|\bmaps\b)")

# What a terminal could obey or be misled by: control characters, those that turn the
# direction of writing, line separators, and bytes that are no UTF-8.
UNPRINTABLE = "\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
_UNPRINTABLE = re.compile(f"[{UNPRINTABLE}]")

NOTE_CRLF = "the text has CRLF line ends"
NOTE_QUOTED = "each line had a quote mark or an indent before it"
NOTE_CUT_OUT = "rows were cut out"
NOTE_COMMAND = "a command line stood before the listing"


def to_bytes(text: object) -> bytes:
    """
    The text as bytes; escaped undecodable bytes in a str become what they were.

    Raises:
        ParseError: for a character that can't come from any file.
        TypeError: for what is neither str nor bytes.
    """
    if isinstance(text, bytes):
        return text
    if not isinstance(text, str):
        msg = f"expected str or bytes, got {type(text).__name__}"
        raise TypeError(msg)
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        line_number = text.count("\n", 0, error.start) + 1
        msg = f"expected text, got the lone surrogate U+{ord(text[error.start]):04X}"
        raise ParseError(msg, line_number=line_number) from None


def decode(name: bytes) -> str:
    """A name as str: UTF-8, with bytes that are not kept as surrogate escapes."""
    return name.decode("utf-8", "surrogateescape")


def printable(text: str) -> str:
    """`text` with `?` for every character that a terminal could take as a command."""
    return _UNPRINTABLE.sub("?", text)


def unwrapped(
    data: bytes, first_row: re.Pattern[bytes], *, crlf_on_every_line: bool = False
) -> tuple[bytes, list[str]]:
    """
    Take off the CRLF line ends and the quote marks or indent that all lines share.

    Args:
        data: the text.
        first_row: matches, from its beginning, a line that the listing proper starts with.
        crlf_on_every_line: keep the CR of all lines unless every line ends in one.

    Returns:
        The text without them, with as many lines, and a note for each thing taken off.
    """
    notes = []
    first_end = data.find(b"\n")
    is_crlf = first_end > 0 and data[first_end - 1 : first_end] == b"\r"
    if is_crlf and crlf_on_every_line:
        is_crlf = data.count(b"\r\n") == data.count(b"\n")
    if is_crlf:
        data = data.replace(b"\r\n", b"\n").removesuffix(b"\r")
        notes.append(NOTE_CRLF)
    prefix = _shared_prefix(data, first_row)
    if prefix:
        bare = prefix.rstrip()
        lines = data.split(b"\n")
        data = b"\n".join(
            line[len(prefix) :] if line.startswith(prefix) else b"" if line == bare else line
            for line in lines
        )
        notes.append(NOTE_QUOTED)
    return data, notes


def _shared_prefix(data: bytes, first_row: re.Pattern[bytes]) -> bytes:
    if first_row.match(data):  # as good as always: nothing to take off, nothing to look for
        return b""
    for line in data[:8192].split(b"\n"):
        quote = _QUOTE.match(line)
        if quote and first_row.match(line, quote.end()):
            return quote.group()
    return b""


def is_ellipsis(line: bytes) -> bool:
    """Whether a line is the dots that somebody put where rows were cut out."""
    return _ELLIPSIS.fullmatch(line) is not None


def is_command(line: bytes) -> bool:
    """Whether a line before the listing is the command that printed it."""
    return _COMMAND.search(line) is not None


def as_lines(lines: Iterable[str | bytes]) -> Iterator[bytes]:
    """The lines of an open file or a list as bytes, without their line ends."""
    if isinstance(lines, (str, bytes)):
        msg = "expected lines (an open file, a list), got one text; parse_smaps reads that"
        raise TypeError(msg)
    for line in lines:
        raw = to_bytes(line)
        yield raw[:-1] if raw.endswith(b"\n") else raw
