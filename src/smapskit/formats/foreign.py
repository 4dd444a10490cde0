"""
Recognize texts and files of other programs, so that they are rejected by name.

`FOREIGN_FORMATS` is consulted after a text could not be read as smaps, maps or pmap: any of these
may also occur in the text around a listing.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from smapskit.errors import ParseError
from smapskit.text import decode

SNIFF_BYTES: Final = 64 * 1024
"""The beginning of a text from which its format is detected."""
_TEXT: Final = re.compile(rb"\S")
_BYTE_ORDER_MARKS: Final = (b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf")
_HEX: Final = rb"0x[0-9a-fA-F]+"


class ForeignFormat(NamedTuple):
    """A format that is easily mistaken for one of ours, or given instead of it."""

    name: str
    pattern: bytes
    """Regular expression of text that only this format has; `^` and `$` match at line ends."""
    advice: str = ""
    """What to do instead, if there is something to do."""

    @property
    def message(self) -> str:
        """The message of its error."""
        return f"{_EXPECTED} {self.name}{self.advice and f'; {self.advice}'}"


_EXPECTED: Final = "expected smaps, maps or the output of pmap, got"
_SMAPS_ADVICE = "read smaps or maps in the same folder"
_LIVE_ADVICE = "read the process itself, or /proc/PID/smaps"
_EXPORT_ADVICE = "exports are not read back: keep the smaps text"

FOREIGN_FORMATS: Final = (
    # Files of /proc
    ForeignFormat(
        "numa_maps",
        rb"^[0-9a-f]{6,16} (?:default|local|bind|prefer|interleave|weighted)\b",
        _SMAPS_ADVICE,
    ),
    ForeignFormat("/proc/PID/status", rb"^Name:\t.*\n(?:Umask|State):", _SMAPS_ADVICE),
    ForeignFormat("/proc/PID/stat", rb"\A[0-9]+ \(.*\) [A-Za-z](?: -?[0-9]+){20}", _SMAPS_ADVICE),
    ForeignFormat("/proc/PID/statm", rb"\A[0-9]+(?: [0-9]+){6}\s*\Z", _SMAPS_ADVICE),
    ForeignFormat("/proc/PID/limits", rb"^Limit +Soft Limit +Hard Limit", _SMAPS_ADVICE),
    ForeignFormat("/proc/PID/io", rb"^rchar: [0-9]+\nwchar:", _SMAPS_ADVICE),
    ForeignFormat("/proc/meminfo", rb"^MemTotal:"),
    ForeignFormat("/proc/iomem", rb"^[0-9a-f]{8,16}-[0-9a-f]{8,16} : "),
    ForeignFormat("a list of map_files", rb"^lr.* [0-9a-f]+-[0-9a-f]+ -> ", _SMAPS_ADVICE),
    # Maps of other programs
    ForeignFormat("a map of gdb (info proc mappings)", rb"^[ \t]*Start Addr[ \t]+End Addr[ \t]"),
    ForeignFormat("a map of gdb (info proc mappings)", rb"^[ \t]*" + rb"[ \t]+".join([_HEX] * 4)),
    ForeignFormat("procstat -v of FreeBSD", rb"^[ \t]*PID[ \t]+START[ \t]+END[ \t]+PRT\b"),
    ForeignFormat(
        "procstat -v of FreeBSD",
        rb"^[ \t]*[0-9]+[ \t]+" + _HEX + rb"[ \t]+" + _HEX + rb"[ \t]+[r-][w-][x-]",
    ),
    ForeignFormat("a map of AddressSanitizer", rb"^(?:==[0-9]+==)?Process memory map follows"),
    ForeignFormat("a map of AddressSanitizer", rb"^[ \t]*0x[0-9a-f]{8,16}-0x[0-9a-f]{8,16}\s"),
    ForeignFormat("a map of AddressSanitizer", rb"^\|\| `\[0x[0-9a-f]+, 0x"),
    ForeignFormat("a map of Valgrind", rb"^--[0-9]+:[0-9]+: *aspacem "),
    ForeignFormat("vmmap of pwndbg", rb"^LEGEND: *STACK"),
    ForeignFormat("vmmap of macOS", rb"^Virtual Memory Map of process "),
    ForeignFormat("vmmap of macOS", rb"^==== (?:Non-w|W)ritable regions for "),
    ForeignFormat("vmmap of macOS", rb"^REGION TYPE[ \t]+(?:START|VIRTUAL|SIZE)\b"),
    ForeignFormat("vmmap of macOS", rb"[r-][w-][x-]/[r-][w-][x-] SM=[A-Z]{3}\b"),
    ForeignFormat("VMMap of Windows", rb'"?Type"?[,\t] *"?Size"?[,\t] *"?Committed"?[,\t]'),
    ForeignFormat("procmap of OpenBSD", rb"^Start +End +Size +Offset +rwx"),
    ForeignFormat(
        "pmap of NetBSD or procmap of AIX",
        rb"^[0-9A-Fa-f]{8,16}[ \t]+[0-9]+K[ \t]+(?:read|write|exec|none)\b",
    ),
    # Android
    ForeignFormat("dumpsys meminfo of Android", rb"^Applications Memory Usage "),
    ForeignFormat("dumpsys meminfo of Android", rb"^[ \t]*\*\* MEMINFO in pid "),
    ForeignFormat("dumpsys meminfo of Android", rb"^Total (?:PSS|RSS) by (?:process|OOM|category)"),
    ForeignFormat("showmap of Android", rb"^[ \t]*virtual[ \t]+shared[ \t]+shared[ \t]+private"),
    ForeignFormat("showmap of Android", rb"^[ \t]*(?:start.*)?size[ \t]+RSS[ \t]+PSS[ \t]+clean"),
    ForeignFormat("a memory map in a tombstone of Android", rb"^[ \t]*memory map(?: \(|:)"),
    ForeignFormat("a memory map in a tombstone of Android", rb"^.{0,8}[0-9a-f]{8}'[0-9a-f]{8}-"),
    # Tables about processes, documents
    ForeignFormat(
        "a table of ps or top",
        rb"^[ \t]*(?:USER[ \t]+)?PID[ \t]+(?:USER|%CPU|TTY)\b",
        _LIVE_ADVICE,
    ),
    ForeignFormat(
        "the error message of a command",
        rb"\A\s*(?:-?(?:ba|z|da)?sh|sudo|cat|head|pmap)(?:: line \d+)?: .+: .+\s*\Z",
    ),
    ForeignFormat("a table of smem", rb"^[ \t]*PID +User +Command +Swap +USS", _LIVE_ADVICE),
    ForeignFormat("an OOM report of the kernel", rb"\b(?:invoked oom-killer|Out of memory: Kill)"),
    ForeignFormat("JSON written by --json", rb'\A\s*\{"schema": [0-9]+, "unit"', _EXPORT_ADVICE),
    ForeignFormat("CSV written by --csv", rb"\A(?:pid|group),[a-z_]+,", _EXPORT_ADVICE),
    ForeignFormat("a recording", rb"\A# smapskit recording ", "smapskit plot FILE draws it"),
    ForeignFormat("a JSON document", rb'\A\s*(?:\{\s*["}]|\[\s*[\[\]{"0-9])'),
    ForeignFormat(
        "an HTML page", rb"\A\s*<(?i:!doctype html|html|head|\?xml)\b", "save the listing as text"
    ),
)
"""The first row that matches the beginning of a text names it."""

_SOLARIS: Final = re.compile(
    # An address in capitals, a word of its own, its heading.
    rb"^[0-9]*[A-F][0-9A-F]{0,15}[ \t]+[0-9]+K?[ \t].*[r-][w-][x-][s-]"
    rb"|^[0-9A-Fa-f]{8,16}[ \t].*\[ (?:heap|altstack|stack tid=\w+|d?ism shmid=\w+) \]"
    rb"|^[ \t]*Address[ \t].*\bMapped File\b",
    re.MULTILINE,
)
_BINARIES: Final = (
    (b"\x7fELF", "a program, a library or a core file (ELF)"),
    (b"PAR1", "a Parquet file; smapskit plot draws a recording"),
    (b"PK\x03\x04", "a zip archive: extract it first"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"GIF8", "a picture"),
    (b"%PDF", "a PDF document: save the listing as text"),
)
_TAR_MAGIC: Final = slice(257, 262)
_ELF_CORE: Final = (b"\x04\x00", b"\x00\x04")  # e_type, in both byte orders
_PATTERNS: Final = tuple(
    (re.compile(foreign.pattern, re.MULTILINE), foreign) for foreign in FOREIGN_FORMATS
)


def reject_binary(data: bytes, source: str | None = None) -> None:
    """
    Reject a file that is not text.

    Raises:
        ParseError: without a line; it names the kind of file if it is known.
    """
    kind = _binary_kind(data[:SNIFF_BYTES])
    if kind is not None:
        raise ParseError(f"expected text, got a binary file{kind and f': {kind}'}", source)


def _binary_kind(head: bytes) -> str | None:
    """Return the kind of a binary file, "" if it is unknown; None for text."""
    if head.startswith(b"\x7fELF") and head[16:18] in _ELF_CORE:
        return "a core file (ELF)"
    for magic, kind in _BINARIES:
        if head.startswith(magic):
            return kind
    if head[_TAR_MAGIC] == b"ustar":
        return "a tar archive: extract it first"
    return "" if b"\0" in head and not head.startswith(_BYTE_ORDER_MARKS) else None


def reject_solaris(data: bytes, source: str | None = None) -> None:
    """
    Reject the table of Solaris's pmap, some of whose rows have the form of other pmaps' rows.

    Raises:
        ParseError: with the line by which it was recognized.
    """
    if found := _SOLARIS.search(data):
        raise error_at_text(f"{_EXPECTED} pmap of Solaris", data, found.start(), source)


def foreign_error(data: bytes, source: str | None = None) -> ParseError | None:
    """Return the error that names the format of a text, with its line; None if unknown."""
    head = data[:SNIFF_BYTES]
    for pattern, foreign in _PATTERNS:
        if found := pattern.search(head):
            return error_at_text(foreign.message, data, found.start(), source)
    return None


def error_at_text(message: str, data: bytes, position: int, source: str | None) -> ParseError:
    """Return an error with the line at a position, or with the first one after it that has text."""
    text = _TEXT.search(data, position)
    begin = data.rfind(b"\n", 0, text.start() if text else position) + 1
    line = data[begin : begin + SNIFF_BYTES].partition(b"\n")[0].rstrip(b"\r")
    return ParseError(message, source, data.count(b"\n", 0, begin) + 1, decode(line))
