"""Strip what copying and pasting added to a listing, and recognize lines around it."""

from __future__ import annotations

import re

from smapskit.model.notes import Note

_QUOTE = re.compile(rb"[ \t]*(?:>+[ \t]*)*")
# Omitted rows: "...", "[...]", "……" and runs of dots, alone on a line.
_ELLIPSIS = re.compile(rb"[ \t]*(?:\[ ?\.{2,} ?\]|\.{2,}|(?:\xe2\x80\xa6)+)[ \t]*")
# A line before a pasted listing: a prompt with the command, or the command alone.
_COMMAND = re.compile(rb"(?:/proc/|\bp?map\b|\bsmaps|\bmaps\b)")


def strip_paste_artifacts(
    data: bytes, first_row: re.Pattern[bytes], *, crlf_on_every_line: bool = False
) -> tuple[bytes, list[str]]:
    """
    Strip CRLF line ends, and the quote marks or the indent that all lines share.

    Args:
        data: the text.
        first_row: matches the beginning of the listing's first line.
        crlf_on_every_line: strip CR only if every line ends in it.

    Returns:
        The text with as many lines, and a note for each thing stripped.
    """
    notes: list[str] = []
    first_end = data.find(b"\n")
    is_crlf = first_end > 0 and data[first_end - 1 : first_end] == b"\r"
    if is_crlf and crlf_on_every_line:
        is_crlf = data.count(b"\r\n") == data.count(b"\n")
    if is_crlf:
        data = data.replace(b"\r\n", b"\n").removesuffix(b"\r")
        notes.append(Note.CRLF)
    prefix = _shared_prefix(data, first_row)
    if prefix:
        bare = prefix.rstrip()
        lines = data.split(b"\n")
        data = b"\n".join(
            line[len(prefix) :] if line.startswith(prefix) else b"" if line == bare else line
            for line in lines
        )
        notes.append(Note.QUOTED)
    return data, notes


def _shared_prefix(data: bytes, first_row: re.Pattern[bytes]) -> bytes:
    if first_row.match(data):  # almost always: nothing to strip
        return b""
    for line in data[:8192].split(b"\n"):
        quote = _QUOTE.match(line)
        if quote and first_row.match(line, quote.end()):
            return quote.group()
    return b""


def is_ellipsis(line: bytes) -> bool:
    """Return whether a line consists of dots in place of omitted rows."""
    return _ELLIPSIS.fullmatch(line) is not None


def is_command(line: bytes) -> bool:
    """Return whether a line before the listing is the command that printed it."""
    return _COMMAND.search(line) is not None
