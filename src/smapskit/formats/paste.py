"""
Strip what copying and pasting added to a listing, and classify the lines around it.

`STEPS` is the table of artifacts. Each step finds one kind, and strips it only if the lines
themselves prove it: no line is a row with it, or all rows have it. Anything else is left to the
parsers, which reject it. No step changes the number of lines.
"""

from __future__ import annotations

import codecs
import html
import re
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from smapskit.model.notes import Note, prefix_removed
from smapskit.text import decode

Lines = list[bytes]
Step = Callable[[Lines], tuple[Lines, str] | None]
"""Returns the lines without an artifact and a note, or None if it is not there for certain."""

_MAX_LOOK: Final = 1000
"""Bytes of a line that are searched: a row has its address and mode in far fewer."""
_MAX_ROUNDS: Final = 12
"""Artifacts within artifacts that are stripped; real texts have up to four."""

# ---- the lines of a listing -------------------------------------------------------------------

_MODE = rb"[r-][w-][x-](?:[sp-][R-]?)?"
_KERNEL_ROW = (
    rb"[0-9a-f]{8,16}-[0-9a-f]{8,16} [r-][w-][x-][sp] [0-9a-f]{8,16}"
    rb" [0-9a-f]{1,8}:[0-9a-f]{1,8} [0-9]{1,20}"
)
_DETAIL_ROW = (
    rb"[0-9a-f]{8,16}[ \t]++[r-][w-][x-][sp][ \t]++[0-9a-f]{8,16}"
    rb"[ \t]++[0-9a-f]{1,8}:[0-9a-f]{1,8}[ \t]++[0-9]{1,20}"
)
_PLAIN_ROW = rb"[0-9a-f]{8,16}[ \t]++(?:(?:[0-9]{1,15}K?|-)[ \t]++){1,8}" + _MODE
_END = rb"(?=[\s`\"'|<\\*,]|\Z)"
# The part of a row before its name, wherever in a line it begins.
_ROW: Final = re.compile(
    rb"(?<![0-9A-Za-z])(?:%b|%b|%b)%b" % (_KERNEL_ROW, _DETAIL_ROW, _PLAIN_ROW, _END)
)
_DETAIL: Final = re.compile(_DETAIL_ROW)
_PID_LINE: Final = re.compile(rb"[ \t]*[0-9]{1,10}:(?:[ \t]|\Z)")
_FIELD_LINE: Final = re.compile(rb"[A-Za-z][A-Za-z0-9_]*+:[ \t]++[0-9]++(?: kB)?[ \t\r]*+\Z")
_QUOTED_FIELD: Final = re.compile(rb"^[A-Za-z]\w*+:|[A-Za-z]\w*+:[ \t]++[0-9]++(?: kB)?[ \t\r]*+\Z")
_ANY_FIELD: Final = re.compile(rb"[A-Za-z][A-Za-z0-9_]*+:")

# Lines that must be rows: skipping one would lose a mapping.
_ADDRESS = rb"[0-9A-Fa-f]{8,}"
_TIME = rb"[ \t\[(]*+[0-9]{1,4}(?:[-:./ \t,]{1,2}[0-9]{1,9}){2,8}[ \t\])]*+"
_LIKE_ROW: Final = re.compile(
    rb"|".join(
        (
            # an address, or a word of about its length with a digit, before a number
            rb"^[^0-9A-Za-z]*+(?=[A-Za-z]*+[0-9])[0-9A-Za-z]{8,}+[ \t]++-?[0-9]",
            rb"^[^0-9A-Za-z]*+" + _ADDRESS + rb"(?:-" + _ADDRESS + rb")?[ \t]*+(?:-[ \t]|\Z)",
            rb"^[^0-9A-Za-z]*+[0-9A-Fa-f]{4,}-[0-9A-Fa-f]{4,}(?:[ \t]|\Z)",
            rb"^[^0-9A-Za-z]*+[0-9A-Fa-f]{5,}-[0-9A-Fa-f]*+(?:[ \t]|\Z)",
            _ADDRESS + rb"[ \t-].*[ \t]" + _MODE + rb"(?:[ \t]|\Z)",
            rb"[0-9]K?[ \t]++(?=[rwxsp-]*[rwx]|-----)[rwx-]{3}[sp-]?[R-]?(?:[ \t]|\Z)",
            rb"[r-][w-][x-][sp][ \t]++[0-9A-Fa-f]{8}",
            # an offset, a device and an inode
            rb"[0-9A-Fa-f][ \t]++[0-9A-Fa-f]{2,8}:[0-9A-Fa-f]{2,8}(?:[ \t]++[0-9]|[ \t]*+\Z)",
            rb"^[^0-9A-Za-z]*+[0-9a-f]{5,}[^0-9A-Za-z]*+\Z",
            # numbers alone, except dates and times
            rb"^(?!" + _TIME + rb"\Z)[^A-Za-z\x80-\xff]*+(?<=[0-9])[^A-Za-z0-9\x80-\xff]*+\Z",
        )
    )
)

# Lines in place of omitted rows.
_DOTS = rb"(?:\.{2,}|(?:\xe2\x80\xa6|\xe2\x8b\xae|\xe2\x8b\xaf|\xe3\x80\x82{2,}|\xef\xbd\xa5{2,})+)"
_OMITTED = (
    rb"\b(?:truncat|snip|omit|skip|elid|cut\b|(?:more|other) (?:rows|lines|entries|mappings))"
    rb"|\xe7\x9c\x81\xe7\x95\xa5|\xe7\x95\xa5"
)
_CUT_MARK: Final = re.compile(
    rb"[ \t]*+(?:"
    rb"[\[(<{]?[ \t]*+" + _DOTS + rb"|[\[(<{]?[ \t]*+(?:\. ?){3,}"
    rb"|[\[(<{#-][^\n]{0,60}?(?:" + _OMITTED + rb"|8<|>8)"
    rb"|(?:\.|:|\*)[ \t]*+\Z"
    rb"|(?:snip|truncated|omitted)[ \t]*+\Z)",
    re.IGNORECASE,
)
_COMMAND: Final = re.compile(
    rb"==> .* <==|(?:/proc/[0-9a-z]+/\w+|[\w./-]*maps[\w.]*):[ \t]*\Z"
    rb"|(?:^|[$#%>]|\bsudo\b)[ \t]*+(?:sudo[ \t]+)?"
    rb"(?:pmap\b|(?:cat|head|tail|grep|egrep|less|more|awk|sed|sort|cp)\b.*(?:/proc/|maps))"
)


def looks_like_row(line: bytes) -> bool:
    """Return whether a line may be a row, damaged or disguised: it must not be skipped."""
    return _LIKE_ROW.search(line[:_MAX_LOOK]) is not None


def is_row(line: bytes) -> bool:
    """Return whether a line has the beginning of a row in it, after any prefix."""
    return _ROW.search(line) is not None


def is_cut_mark(line: bytes) -> bool:
    """Return whether a line stands for omitted rows: dots, `<truncated>`, `[12 lines omitted]`."""
    return _CUT_MARK.match(line[:_MAX_LOOK]) is not None and not looks_like_row(line)


def is_command(line: bytes) -> bool:
    """Return whether a line is the command that prints a listing, or names its file."""
    return _COMMAND.search(line[:_MAX_LOOK]) is not None


# ---- remarks ----------------------------------------------------------------------------------

_ARROW = (
    rb"<[-=<]|[-=]{1,2}>|#|\xe2\x86[\x90-\xbf]|\xe2\x87[\x90-\xbf]|\xe2\x97[\x80\x84]"
    rb"|\xe2\x9e[\x94-\xbf]|\xe2\xac[\x85-\x87]|\xe2\x9f[\xb5-\xbf]"
)
_REMARK: Final = re.compile(rb"(?<![ \t])[ \t]{2,}+(?:" + _ARROW + rb"|--(?!-*[ \t]*\Z)|//[ \t])")
_ARROW_FIRST: Final = re.compile(rb"(?:" + _ARROW + rb"|--[ \t])")


def find_remark(name: bytes) -> int | None:
    """Return where a remark after a name begins: two blanks or more, then an arrow or `#`."""
    remark = _REMARK.search(name)
    return remark.start() if remark else None


def is_remark(text: bytes) -> bool:
    """Return whether a text after a row without a name is a remark."""
    return _ARROW_FIRST.match(text) is not None


# ---- the steps --------------------------------------------------------------------------------


def strip_line_ends(lines: Lines) -> tuple[Lines, str] | None:
    """Strip CR if every line of the listing ends in it; a name may end in CR."""
    if not any(line.endswith(b"\r") for line in lines):
        return None
    complete = [line for line in lines[:-1] if line]
    content = [line for line in complete if _is_content(line)] or complete
    if not content or not all(line.endswith(b"\r") for line in content):
        return None
    # PowerShell writes two. A name may end in one: a single line does not prove it.
    all_lines = content if len(content) > 1 else complete
    count = min(len(line) - len(line.rstrip(b"\r")) for line in all_lines) or 1
    pattern = re.compile(rb"\r{1,%d}\Z" % (count if len(all_lines) > 1 else 1))
    return [pattern.sub(b"", line) for line in lines], Note.CRLF


def strip_colours(lines: Lines) -> tuple[Lines, str] | None:
    """Strip escape sequences of `grep --color` and similar."""
    return _replace(lines, _COLOURS, is_proof=_is_coloured)


def decode_entities(lines: Lines) -> tuple[Lines, str] | None:
    """Decode `&lt;` and similar, as a page's source has them."""
    return _replace(lines, _ENTITIES, is_proof=_is_after_word)


def replace_blanks(lines: Lines) -> tuple[Lines, str] | None:
    """Replace no-break and other blanks, and remove those without a width."""
    return _replace(lines, _BLANKS)


def replace_dashes(lines: Lines) -> tuple[Lines, str] | None:
    """Replace the dashes that a page made of hyphens in modes and ranges."""
    replaced = list(lines)
    for position, line in enumerate(lines):
        if _DASH.search(line) and not _ROW.search(line):
            plain = _DASHED_RANGE.sub(rb"\1-\2", line, count=1)
            plain = _DASHED_MODE.sub(_plain_mode, plain, count=1)
            if _ROW.search(plain):
                replaced[position] = plain
    return None if replaced == lines else (replaced, Note.DASHES)


def strip_fences(lines: Lines) -> tuple[Lines, str] | None:
    """Strip fences on the first and the last line of a listing; a whole line is only skipped."""
    opened = [n for n, line in enumerate(lines) if _FENCE_BEFORE.match(line)]
    closed = [n for n, line in enumerate(lines) if _FENCE_AFTER.search(line)]
    if not opened or len(opened) != len(closed):
        return None
    stripped = list(lines)
    for begin, end in zip(opened, closed, strict=True):
        if begin >= end:
            return None
        stripped[begin] = _FENCE_BEFORE.sub(b"", stripped[begin])
        stripped[end] = _FENCE_AFTER.sub(b"", stripped[end])
    changed = [n for n in (*opened, *closed) if stripped[n].strip()]
    if not changed:
        return None
    return [
        s if n in changed else line for n, (s, line) in enumerate(zip(stripped, lines, strict=True))
    ], (Note.FENCE)


def strip_prefix(lines: Lines) -> tuple[Lines, str] | None:
    """
    Strip what comes before every row: quote marks, numbers, file names, timestamps, an indent.

    Digits in it may differ from line to line; all else must be the same. The characters that
    close it (backticks, quotation marks, `|`, tags) are stripped from the ends.
    """
    rows = [(line, row.start()) for line in lines if (row := _ROW.search(line))]
    if not rows:
        return None
    first = rows[0][0][: rows[0][1]]
    core = first.rstrip()
    if not core:
        return _strip_indent(lines, rows)
    if len(rows) == 1 and _MAY_BE_ADDRESS.search(core) and not first.endswith(b"\t"):
        return None  # a digit of the address may have been lost
    blanks = min(begin - len(line[:begin].rstrip()) for line, begin in rows)
    pattern = re.compile(_shape(core) + rb"(?:[ \t]{%d}|[ \t]*\Z)" % blanks)
    for line, begin in rows:
        prefix = pattern.match(line)
        # What is left before the row may only be its indent.
        if prefix is None or prefix.end() > begin or line[prefix.end() : begin].strip():
            return None
    stripped = _strip_suffix([pattern.sub(b"", line, count=1) for line in lines], core)
    if stripped is None:
        return None
    is_quote = not core.strip(b"> \t")
    return stripped, Note.QUOTED if is_quote else prefix_removed(decode(first))


def join_wrapped(lines: Lines) -> tuple[Lines, str] | None:
    """
    Join lines that a terminal wrapped.

    All lines that continue in the next one have the width of the terminal, none is longer, and
    there are two of them at least. One of the rests must be numbers or a rule, or make a row:
    text between rows is never joined to a name.
    """
    widths = [len(decode(line)) for line in lines]
    width = max(widths, default=0)
    if widths.count(width) < _MIN_WRAPPED or not any(map(_ROW.match, lines)):
        return None
    joined: Lines = []
    count = 0
    is_certain = False
    position = 0
    while position < len(lines):
        line, begin = lines[position], position
        while (
            widths[position] == width
            and position + 1 < len(lines)
            and _continues(lines[position + 1], lines[begin])
        ):
            position += 1
            is_row = _ROW.match(line) is not None
            line += lines[position]
            is_certain |= _CELLS.match(lines[position]) is not None
            is_certain |= not is_row and _ROW.match(line) is not None
            count += 1
        position += 1
        joined += [line] + [b""] * (position - begin - 1)
    if (
        not is_certain
        or count < _MIN_WRAPPED
        or any(looks_like_row(e) and not _ROW.search(e) for e in joined)
    ):
        return None
    return joined, Note.WRAPPED


STEPS: Final[tuple[Step, ...]] = (
    strip_colours,
    decode_entities,
    replace_blanks,
    replace_dashes,
    strip_fences,
    strip_prefix,
    join_wrapped,
)
"""Every artifact that is stripped from lines, in the order in which they are looked for."""


def strip(data: bytes) -> tuple[bytes, list[str]]:
    """
    Strip every artifact that `STEPS` knows, in any order and combination.

    Returns:
        The text with as many lines, and a note for each kind of artifact.
    """
    text = decode_utf_16(data)
    notes: list[str] = [] if text is data else [Note.ENCODING]
    lines = text.split(b"\n")
    if found := strip_line_ends(lines):
        lines = found[0]
        notes.append(found[1])
    for _ in range(_MAX_ROUNDS):
        found = next((found for step in STEPS if (found := step(lines))), None)
        if found is None:
            break
        lines, note = found
        if note not in notes:
            notes.append(note)
    return (b"\n".join(lines) if notes else data), notes


def may_be_pasted(data: bytes) -> bool:
    """
    Return whether a text that its parser accepts may still have artifacts.

    Almost always False, and fast: each test but the last is a search for one byte.
    """
    end = data.find(b"\n")
    if data[end - 1 : end] == b"\r" or data.startswith(_BYTE_ORDER_MARKS):
        return True
    return any(mark in data for mark in _MARKS) and _SUSPICIOUS.search(data) is not None


# ---- how the steps find them ------------------------------------------------------------------

_BYTE_ORDER_MARKS: Final = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_MARKS: Final = (b"\x1b", b"<", b"#", b"&", b"\xe2")
"""Bytes of colours, remarks, entities and arrows."""
_SUSPICIOUS: Final = re.compile(
    rb"\x1b\[|&(?:lt|gt|amp|nbsp|quot|#)|(?:\]|[ \t]0)[ \t]++(?:" + _ARROW + rb")"
)
_MIN_WRAPPED: Final = 2
_CELLS: Final = re.compile(rb"[ \t]*+(?:[0-9]++[ \t]++[0-9]|=[= \t]*+\Z)")
_MAY_BE_ADDRESS: Final = re.compile(rb"(?<![0-9A-Za-z])[0-9a-f]+[^0-9A-Za-z]?\Z")
_ESCAPES: Final = re.compile(
    rb"\x1b\[\?2004[hl]\r?|\x1b\[[0-9;?]*+[A-Za-z]|\x1b\][^\x07\x1b]*+(?:\x07|\x1b\\)|\x1b[()][A-Z0-9]"
)
_GREP: Final = re.compile(rb"\x1b\[[0-9;]++m\x1b\[K[^\x1b]*+\x1b\[m\x1b\[K")
_ENTITY: Final = re.compile(
    rb"&(?:nbsp|lt|gt|amp|quot|apos|ndash|mdash|#[0-9]{1,5}|#x[0-9a-fA-F]{1,4});"
)
# U+00A0, U+2000 to U+200A, U+202F, U+205F and U+3000 have a width; U+00AD, U+200B to U+200F, U+2060
# and U+FEFF have none.
_BLANK: Final = re.compile(
    rb"(\xc2\xa0|\xe2\x80[\x80-\x8a\xaf]|\xe2\x81\x9f|\xe3\x80\x80)"
    rb"|\xc2\xad|\xe2\x80[\x8b-\x8f]|\xe2\x81\xa0|\xef\xbb\xbf"
)
# U+2010 to U+2015, and the minus U+2212.
_ANY_DASH = rb"(?:\xe2\x80[\x90-\x95]|\xe2\x88\x92)"
_EN_DASH, _EM_DASH = b"\xe2\x80\x93", b"\xe2\x80\x94"
_DASH: Final = re.compile(_ANY_DASH)
_DASHED_RANGE: Final = re.compile(
    rb"(?<![0-9A-Za-z])([0-9a-f]{1,16})" + _ANY_DASH + rb"([0-9a-f]{1,16} )"
)
_DASHED_MODE: Final = re.compile(
    rb"((?:[0-9a-fK]|-)[ \t]++)((?:[rwxspR-]|" + _ANY_DASH + rb"){1,5})(?=[ \t]|\Z)"
)
_FULL_MODE: Final = re.compile(_MODE)
_TAG = (
    rb"(?:```[a-z]*+|~~~|<(?:pre|code|samp)[^<>]{0,80}>|\{(?:code|noformat)[^{}]{0,40}\}|\[code\])"
)
_CLOSING_TAG = rb"(?:```|~~~|</(?:pre|code|samp)>|\{(?:code|noformat)\}|\[/code\])"
_FENCE_BEFORE: Final = re.compile(
    rb"^[ \t]*+" + _TAG + rb"{1,3}(?!`)(?![^<]{1,400}</(?:code|samp)>)"
)
_FENCE_AFTER: Final = re.compile(rb"(?<!`)" + _CLOSING_TAG + rb"{1,3}[ \t]*+\Z")
# What closes a prefix that has the first characters; whether every row must end in it.
_CLOSERS: Final = (
    (b"`", re.compile(rb"`[ \t]*+\Z"), True),
    (b'"', re.compile(rb'(?:\\n)?"[ \t]*+,?[ \t]*+\Z'), True),
    (b"'", re.compile(rb"(?:\\n)?'[ \t]*+,?[ \t]*+\Z"), True),
    (b"**", re.compile(rb"\*\*[ \t]*+\Z"), True),
    (b"|", re.compile(rb"[ \t]*\|[ \t]*+\Z"), False),
    (b">", re.compile(rb"(?:</[a-z]{1,10}>|<br ?/?>)[ \t]*+\Z"), False),
)


def decode_utf_16(data: bytes) -> bytes:
    """Return a text as UTF-8 without a byte order mark; the same object if it is."""
    if data.startswith(codecs.BOM_UTF8):
        return data[len(codecs.BOM_UTF8) :]
    head = data[:64]
    is_zero = [not byte for byte in head]
    if data.startswith(codecs.BOM_UTF16_LE) or (any(is_zero[1::2]) and not any(is_zero[::2])):
        encoding = "utf-16-le"
    elif data.startswith(codecs.BOM_UTF16_BE) or (any(is_zero[::2]) and not any(is_zero[1::2])):
        encoding = "utf-16-be"
    else:
        return data
    try:
        # A beginning of a text may end within a character.
        text = codecs.getincrementaldecoder(encoding)().decode(data)
    except UnicodeDecodeError:
        return data
    return text.removeprefix("\ufeff").encode("utf-8", "surrogatepass")


def _is_content(line: bytes) -> bool:
    return bool(_ROW.search(line) or _QUOTED_FIELD.search(line) or _PID_LINE.match(line))


def _head(line: bytes) -> bytes | None:
    """Return a line up to the end of its part that is not a name; None if it has no such part."""
    found = _ROW.search(line) or _FIELD_LINE.match(line)
    return line[: found.end()] if found else None


def _replace(
    lines: Lines,
    replacement: _Replacement,
    is_proof: Callable[[Lines, Lines], bool] = lambda _lines, _replaced: False,
) -> tuple[Lines, str] | None:
    """Replace a pattern in all lines, if one of them is a row or a field only without it."""
    found = [line for line in lines if replacement.pattern.search(line)]
    if not found:
        return None
    others = [each for each in _REPLACEMENTS if each is not replacement]
    for line in found:
        # Other artifacts may be between those of this kind.
        without_others = _apply(others, line)
        head = _head(_apply([replacement], without_others))
        if head is not None and head != _head(without_others):
            break
    else:
        if not is_proof(lines, [_apply([replacement], line) for line in lines]):
            return None
    return [_apply([replacement], line) for line in lines], replacement.note


def _apply(replacements: Sequence[_Replacement], line: bytes) -> bytes:
    for each in replacements:
        line = each.pattern.sub(each.replacement, line)
    return line


def _is_coloured(lines: Lines, replaced: Lines) -> bool:
    """Return whether `grep` coloured all rows, or a line begins with an escape sequence."""
    rows = [old for old, new in zip(lines, replaced, strict=True) if _ROW.search(new)]
    return (bool(rows) and all(map(_GREP.search, rows))) or any(map(_ESCAPES.match, lines))


def _is_after_word(lines: Lines, replaced: Lines) -> bool:
    """Return whether decoding shows a remark where there can be no name."""
    for old, new in zip(lines, replaced, strict=True):
        row = _ROW.search(new) if old != new else None
        if row is not None:
            name = new[row.end() :]
            word = _WORD.match(name)
            if is_remark(name[word.end() :] if word else name.lstrip()):
                return True
    return False


_WORD: Final = re.compile(rb"[ \t]*+\[[^\]\n]*+\][ \t]++")


def _unescape(entity: re.Match[bytes]) -> bytes:
    text = html.unescape(entity[0].decode())
    return text.replace("\u00a0", " ").encode("utf-8", "surrogateescape")


def _blank(found: re.Match[bytes]) -> bytes:
    return b" " if found[1] else b""


class _Replacement(NamedTuple):
    """An artifact within lines that one pattern matches."""

    pattern: re.Pattern[bytes]
    replacement: bytes | Callable[[re.Match[bytes]], bytes]
    note: Note


_COLOURS: Final = _Replacement(_ESCAPES, b"", Note.COLOURS)
_ENTITIES: Final = _Replacement(_ENTITY, _unescape, Note.ENTITIES)
_BLANKS: Final = _Replacement(_BLANK, _blank, Note.BLANKS)
_REPLACEMENTS: Final = (_COLOURS, _ENTITIES, _BLANKS)


def _plain_mode(mode: re.Match[bytes]) -> bytes:
    """Return a mode with hyphens: an en dash is two of them and an em dash three, or one each."""
    text = mode[2]
    for en_dash, em_dash in ((b"--", b"---"), (b"-", b"-")):
        plain = _DASH.sub(b"-", text.replace(_EN_DASH, en_dash).replace(_EM_DASH, em_dash))
        if _FULL_MODE.fullmatch(plain):
            return mode[1] + plain
    return mode[0]


def _strip_indent(lines: Lines, rows: Sequence[tuple[bytes, int]]) -> tuple[Lines, str] | None:
    """Strip blanks before rows; those of -X have some of their own."""
    if any(line[:begin].strip() for line, begin in rows):
        return None
    indents = [begin for line, begin in rows if not _DETAIL.match(line, begin)]
    indents += [len(line) - len(line.lstrip()) for line in lines if _PID_LINE.match(line)]
    width = max(indents, default=0)
    pattern = re.compile(rb"[ \t]{1,%d}" % max(width, 1))
    return (
        ([pattern.sub(b"", e, count=1) if pattern.match(e) else e for e in lines], Note.QUOTED)
        if width
        else None
    )


def _shape(prefix: bytes) -> bytes:
    """Return a pattern of a prefix with any numbers; `grep` also writes `-` for the last `:`."""
    pattern = b""
    for token in re.findall(rb"[ \t]*[0-9]+|[ \t]+|[^0-9 \t]+", prefix):
        pattern += rb"[ \t]*+[0-9]++" if token[-1:].isdigit() else re.escape(token)
    return pattern.removesuffix(b":") + b"[:-]" if prefix.endswith(b":") else pattern


def _strip_suffix(lines: Lines, core: bytes) -> Lines | None:
    """Strip what closes a prefix; None if a row should end in it but does not."""
    openers = [closer for closer in _CLOSERS if closer[0] in core]
    # The first character of a prefix is closed by the last one of a line.
    for _, closer, is_required in sorted(openers, key=lambda closer: core.find(closer[0])):
        if all(closer.search(line) for line in lines if _ROW.search(line)):
            lines = [closer.sub(b"", line) for line in lines]
        elif is_required:
            return None
    return lines


def _continues(line: bytes, previous: bytes) -> bool:
    """Return whether a line is the rest of the wrapped line before it."""
    if not line.strip() or _ROW.match(line.lstrip()) or _PID_LINE.match(line):
        return False
    return not (_ANY_FIELD.match(line) or (_ROW.match(previous) and not line.strip(b"-= \t")))
