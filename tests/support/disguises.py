"""What copying and pasting does to a listing: each disguise changes the lines, not the records."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from typing import Final, NamedTuple

from smapskit import Note

Lines = list[str]

_WORD = re.compile(r"\[\s?(?:anon|heap|stack|vdso)\s?\]")
_MODE = re.compile(r"(?<=[0-9K] )([r-][w-][x-][sp-]-?)(?=[ \n]|$)")


class Disguise(NamedTuple):
    """One way to change a listing, and the note that reports it."""

    name: str
    apply: Callable[[Lines], Lines]
    note: str
    ending: str = "\n"
    encoding: str = "utf-8"


def _before(prefix: str) -> Callable[[Lines], Lines]:
    return lambda lines: [prefix + line for line in lines]


def _around(prefix: str, suffix: str) -> Callable[[Lines], Lines]:
    return lambda lines: [prefix + line + suffix for line in lines]


def _numbered(pattern: str) -> Callable[[Lines], Lines]:
    return lambda lines: [pattern.format(n) + line for n, line in enumerate(lines, 1)]


def _same(lines: Lines) -> Lines:
    return lines


def _in_prose(lines: Lines) -> Lines:
    return ["Hello,", "this is what I get:", "", *lines, "", "What does it mean?"]


def _after_command(lines: Lines) -> Lines:
    return ["[root@host ~]# pmap -x 42 | less", *lines, "[root@host ~]# "]


def _escaped(lines: Lines) -> Lines:
    return [html.escape(line).replace("  ", "&nbsp; ") for line in lines]


def _dashed(lines: Lines) -> Lines:
    def dashes(mode: re.Match[str]) -> str:
        return mode[0].replace("---", "\u2014").replace("--", "\u2013")

    return [_MODE.sub(dashes, line, count=1) for line in lines]


def _remarked(lines: Lines) -> Lines:
    """Add a remark to the first row that has a word of the kernel or of pmap."""
    text, count = _WORD.subn(r"\g<0>   <-- look here", "\n".join(lines), count=1)
    assert count == 1
    return text.split("\n")


DISGUISES: Final = (
    Disguise("mail", _before("> "), Note.QUOTED),
    Disguise("mail twice", _before("> > "), Note.QUOTED),
    Disguise("indent", _before("    "), Note.QUOTED),
    Disguise("tab", _before("\t"), Note.QUOTED),
    Disguise("hash", _before("# "), Note.PREFIX),
    Disguise("slashes", _before("// "), Note.PREFIX),
    Disguise("star", _before(" * "), Note.PREFIX),
    Disguise("pipe", _before("| "), Note.PREFIX),
    Disguise("table", _around("| ", " |"), Note.PREFIX),
    Disguise("backticks", _around("`", "`"), Note.PREFIX),
    Disguise("strings", _around('  "', '\\n",'), Note.PREFIX),
    Disguise("tags", _around("<code>", "</code>"), Note.PREFIX),
    Disguise("cat -n", _numbered("{:6}\t"), Note.PREFIX),
    Disguise("grep -n", _numbered("{}:"), Note.PREFIX),
    Disguise("grep -H", _before("/proc/42/smaps:"), Note.PREFIX),
    Disguise("grep -Hn", _numbered("capture.txt:{}:"), Note.PREFIX),
    Disguise("time", _numbered("2026-11-24T10:00:00.{:03}Z "), Note.PREFIX),
    Disguise("log", _numbered("Nov 24 10:00:{:02} host app[42]: "), Note.PREFIX),
    Disguise("colour", _around("\x1b[32m", "\x1b[0m"), Note.COLOURS),
    Disguise("entities", _escaped, Note.ENTITIES),
    Disguise(
        "no-break blanks", lambda lines: [e.replace(" ", "\u00a0") for e in lines], Note.BLANKS
    ),
    Disguise("zero-width blanks", _before("\u200b"), Note.BLANKS),
    Disguise("dashes", _dashed, Note.DASHES),
    Disguise("remark", _remarked, Note.REMARK),
    Disguise("prose", _in_prose, Note.SKIPPED),
    Disguise("command", _after_command, Note.SKIPPED),
    Disguise("fence", lambda lines: ["```text", *lines, "```"], Note.SKIPPED),
    Disguise("CRLF", _same, Note.CRLF, ending="\r\n"),
    Disguise("PowerShell", _same, Note.CRLF, ending="\r\r\n"),
    Disguise("BOM", _same, Note.ENCODING, encoding="utf-8-sig"),
    Disguise("UTF-16", _same, Note.ENCODING, encoding="utf-16"),
    Disguise("UTF-16 BE", _same, Note.ENCODING, encoding="utf-16-be"),
)


def disguise(text: str, disguises: tuple[Disguise, ...]) -> bytes:
    """Apply disguises to a text, the first one first."""
    lines = text.splitlines()
    for each in disguises:
        lines = each.apply(lines)
    ending = max((each.ending for each in disguises), key=len)
    encoding = next((e.encoding for e in disguises if e.encoding != "utf-8"), "utf-8")
    return "".join(line + ending for line in lines).encode(encoding)
