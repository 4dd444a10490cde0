"""
Compare the readers of pmap's tables with a reference reader of their own rules.

    python tests/fuzz/pmap_headings.py [--cases N] [--seed S]

Each case is a table with known columns in some order, then damaged in some way or not. The
reference reader shares no code with smapskit: it splits lines into words and looks them up.
A difference is a table that only one of the two reads, other values, or an exception
that is not a ParseError. Every fourth case is a damaged listing in the known layouts, for
which only the type of the exception is checked. The exit status is 1 if there is a difference.
"""

from __future__ import annotations

import argparse
import random
import re
import string
import sys
from collections.abc import Iterator
from typing import NamedTuple

import smapskit
from smapskit.formats.pmap.read import parse_pmaps
from smapskit.formats.pmap.write import format_pmaps

# ---- the reference reader ----------------------------------------------------------------

# Some words of some languages: no others are generated.
WORDS = {
    **dict.fromkeys(("address", "start", "adresse", "endereço", "адреса", "地址"), "start"),
    **dict.fromkeys(("kbytes", "size", "kbyte", "кбайтів"), "size"),
    "rss": "rss",
    "pss": "pss",
    "uss": "uss",
    **dict.fromkeys(("dirty", "modifié", "suja"), "dirty"),
    "swap": "swap",
    "anon": "anon",
    "locked": "locked",
    **dict.fromkeys(("mode", "perm", "zugr", "modus", "режим"), "mode"),
    **dict.fromkeys(("offset", "versatz"), "offset"),
    **dict.fromkeys(("device", "gerät"), "device"),
    "inode": "inode",
    **dict.fromkeys(("mapping", "zuordnung", "carte"), "name"),
}
COUNTERS = ("size", "rss", "pss", "uss", "dirty", "swap", "anon", "locked")
BUSYBOX = {"address", "kbytes", "pss", "dirty", "swap", "mode", "mapping"}
PID_LINE = re.compile(r"[0-9]{1,10}:(?:[ \t]|\Z)")
SKIPPED = re.compile(rf"^(?:{smapskit.Note.SKIPPED}|{smapskit.Note.ROWS_OMITTED}): line (\d+): ")
HEX = set("0123456789abcdef")


class RejectedError(Exception):
    """The reference reader rejects a table."""


class Row(NamedTuple):
    start: int
    mode: str
    name: str
    values: dict[str, int]


def reference(lines: list[str]) -> list[Row]:
    """Read a heading and rows; no totals. Blank lines and rules are ignored."""
    lines = [line for line in lines if line.strip("-= \t")]
    if len(lines) == 1:
        raise RejectedError
    words = lines[0].split()
    columns = _columns(words)
    rows = [_row(line, columns) for line in lines[1:]]
    if "dirty" in columns and {word.casefold() for word in words} <= BUSYBOX:
        raw = [_is_raw(row.mode) for row in rows]
        padded = [not _is_raw(row.mode) or row.mode[3] == "s" for row in rows]
        if not all(raw) and not all(padded):
            raise RejectedError
        if all(raw):
            for row in rows:
                if "dirty" in row.values:
                    row.values["private_dirty"] = row.values.pop("dirty")
    return rows


def _columns(words: list[str]) -> list[str]:
    if {"Size", "Rss"} & set(words):
        places = [WORDS.get(word.casefold()) for word in words[:5]]
        expected = ["start", "mode", "offset", "device", "inode"]
        if sum(map(str.__eq__, map(str, places), expected)) >= 3:
            raise RejectedError  # a heading of -X, which this reader does not know
    columns = [WORDS.get(word.casefold()) for word in words]
    if len(set(columns)) < len(columns) or not {"start", "size", "mode", "name"} <= set(columns):
        raise RejectedError
    if None in columns:
        raise RejectedError
    return [column for column in columns if column]


def _row(line: str, columns: list[str]) -> Row:
    """Parse the words before the name from the left, and those after it from the right."""
    at = columns.index("name")
    before, after = columns[:at], columns[at + 1 :]
    words = line.split()
    if len(words) < len(columns) - 1:
        raise RejectedError
    cells = dict(zip(before, words, strict=False))
    if after:
        cells |= dict(zip(after, words[-len(after) :], strict=True))
    name = _name(line, len(before), len(after))
    values: dict[str, int] = {}
    for column, cell in cells.items():
        values |= _values(column, cell)
    if columns[0] == "start" and line[:1] in (" ", "\t"):
        raise RejectedError
    _check_mode(cells["mode"])
    return Row(values.pop("start"), cells["mode"], name, values)


def _values(column: str, cell: str) -> dict[str, int]:
    if column in COUNTERS:
        bare = cell.removesuffix("K")
        return {} if bare == "-" and column != "size" else {column: _integer(bare, 15)}
    if column in ("start", "offset"):
        return {column: _hexadecimal(cell)}
    if column == "inode":
        return {column: _integer(cell, 20)}
    if column == "device":
        major, colon, minor = cell.partition(":")
        if not colon or not all(0 < len(x) <= 8 and set(x) <= HEX for x in (major, minor)):
            raise RejectedError
        return {"major": int(major, 16), "minor": int(minor, 16)}
    return {}


def _name(line: str, before: int, after: int) -> str:
    """Return what is between so many words on the left and so many on the right."""
    for _ in range(before):
        line = line.lstrip(" \t")
        line = line[len(line.split(None, 1)[0]) :]
    if not after:
        return line[1:]  # one blank is before a name; others are its own
    for _ in range(after):
        line = line.rstrip(" \t")
        line = line[: len(line) - len(line.split()[-1])]
    return line.strip(" \t")


def _integer(text: str, digits: int) -> int:
    if not text or len(text) > digits or not set(text) <= set(string.digits):
        raise RejectedError
    return int(text)


def _hexadecimal(text: str) -> int:
    if not 8 <= len(text) <= 16 or not set(text) <= HEX:
        raise RejectedError
    return int(text, 16)


def _is_raw(mode: str) -> bool:
    return len(mode) == 4 and mode[3] in "sp"


def _check_mode(mode: str) -> None:
    allowed = ("r-", "w-", "x-", "sp-", "R-")
    if not 3 <= len(mode) <= 5 or any(c not in a for c, a in zip(mode, allowed, strict=False)):
        raise RejectedError


# ---- tables ------------------------------------------------------------------------------

SPELLINGS = {
    column: [word for word, of in WORDS.items() if of == column] for column in WORDS.values()
}
OPTIONAL = ("rss", "pss", "uss", "dirty", "swap", "anon", "locked", "offset", "device", "inode")
NAMES = ("a.out", "libc.so.6", "a b", "-", "4", "r-x--", "fe:00", "deadbeef", "x (deleted)", "é")


def table(rng: random.Random) -> list[str]:
    """Generate a heading and rows that fit it."""
    if rng.random() < 0.3:
        words = [*("Address", "Kbytes"), *rng.sample(("PSS", "Dirty", "Swap"), rng.randint(1, 3))]
        words += ["Mode", "Mapping"]
        columns = [WORDS[word.casefold()] for word in words]
        order = rng.sample(range(len(words)), len(words)) if rng.random() < 0.5 else None
        if order:
            words, columns = [words[at] for at in order], [columns[at] for at in order]
    else:
        columns = ["start", "size", "mode", *rng.sample(OPTIONAL, rng.randint(0, 6)), "name"]
        if rng.random() < 0.6:
            rng.shuffle(columns)
        words = [_cased(rng, rng.choice(SPELLINGS[column])) for column in columns]
    modes = rng.choice(("raw", "padded", "mixed"))
    return [" ".join(words), *(_cells(rng, columns, modes) for _ in range(rng.randint(1, 4)))]


def _cased(rng: random.Random, word: str) -> str:
    return rng.choice((word, word.upper(), word.capitalize()))


def _cells(rng: random.Random, columns: list[str], modes: str) -> str:
    is_raw = modes == "raw" or (modes == "mixed" and rng.random() < 0.5)
    cells = []
    for column in columns:
        if column == "start":
            cells.append(f"{rng.randrange(1 << 47):016x}"[rng.choice((0, 0, 4)) :])
        elif column == "mode":
            mode = "".join(rng.choice((flag, "-")) for flag in "rwx")
            if is_raw:
                cells.append(mode + rng.choice("ppps"))
            else:
                cells.append(mode + rng.choice(("--", "--", "s-", "-", "", "p-")))
        elif column == "offset":
            cells.append(f"{rng.randrange(1 << 32):08x}")
        elif column == "device":
            cells.append(f"{rng.randrange(256):02x}:{rng.randrange(256):02x}")
        elif column == "name":
            name = rng.choice(NAMES)
            cells.append(name if columns[-1] == "name" or rng.random() < 0.9 else "")
        elif column == "inode" or rng.random() < 0.9:
            cells.append(f"{rng.randrange(10 ** rng.randint(1, 7))}")
        else:
            cells.append("-" if column != "size" else "8K")
    return rng.choice((" ", " ", "\t")).join(cell for cell in cells if cell)


def damaged(rng: random.Random, lines: list[str]) -> list[str]:
    """Damage a table, mostly its heading."""
    lines = list(lines)
    at = 0 if rng.random() < 0.6 else rng.randrange(len(lines))
    words = lines[at].split(" ")
    which = rng.randrange(len(words))
    kind = rng.randrange(6)
    if kind == 0:
        del words[which]
    elif kind == 1:
        words.insert(which, rng.choice(words))
    elif kind == 2:
        other = rng.randrange(len(words))
        words[which], words[other] = words[other], words[which]
    elif kind == 3:
        words[which] = rng.choice(("Mbytes", "RSS", "PSS", "Mode", "8", "-", "00400000", "Size"))
    elif words[which]:
        letter = rng.randrange(len(words[which]))
        new = rng.choice("abcdefpsrwxkmKRPU018-:\x1b")
        words[which] = words[which][:letter] + new + words[which][letter + (kind == 4) :]
    lines[at] = " ".join(words)
    return lines


# ---- comparison --------------------------------------------------------------------------

ATTRIBUTES = {
    "size": "size",
    "rss": "rss",
    "pss": "pss",
    "dirty": "pmap_dirty",
    "private_dirty": "private_dirty",
    "swap": "swap",
    "anon": "anonymous",
    "locked": "locked",
    "offset": "offset",
    "inode": "inode",
}


def compare(lines: list[str]) -> str | None:
    """Read a table with both readers; describe the difference, if there is one."""
    if any(PID_LINE.match(line) for line in lines):
        return None  # a damaged row that is the first line of another process
    try:
        snapshots = parse_pmaps("\n".join(lines) + "\n")
    except smapskit.ParseError as error:
        if _reference_or_none(lines) is not None:
            return f"rejected: {error}"
        if error.line_number is None:
            return f"rejected without a line: {error}"
        return None
    except Exception as error:  # noqa: BLE001  the finding
        return f"{type(error).__name__}: {error}"
    skipped = {int(n) for note in snapshots[0].notes for n in SKIPPED.findall(note)}
    expected = _reference_or_none([e for n, e in enumerate(lines, 1) if n not in skipped])
    if expected is None:
        return f"read, though it cannot be: {snapshots[0].mappings}"
    found = [_row_of(mapping) for snapshot in snapshots for mapping in snapshot]
    wanted = [_without_mode(row) for row in expected]
    return None if found == wanted else f"expected {wanted}, got {found}"


def _reference_or_none(lines: list[str]) -> list[Row] | None:
    try:
        return reference(lines)
    except RejectedError:
        return None


def _row_of(mapping: smapskit.Mapping) -> tuple[object, ...]:
    values = {name: getattr(mapping, attribute) for name, attribute in ATTRIBUTES.items()}
    values["uss"] = mapping.extra.get("USS")
    if mapping.device:
        values |= {"major": mapping.device.major, "minor": mapping.device.minor}
    known = {name: value for name, value in values.items() if value is not None}
    return mapping.start, str(mapping.perms), mapping.pathname, known


def _without_mode(row: Row) -> tuple[object, ...]:
    perms = row.mode[:3] + ("s" if row.mode[3:4] == "s" else "p")
    return row.start, perms, row.name, row.values


LISTING = """\
42:   ./a.out x
Address           Kbytes     RSS   Dirty Mode  Mapping
000055f3e745d000     352       4       0 r---- a.out
000055f3e7579000      36      16      16 rw---   [ anon ]
---------------- ------- ------- -------
total kB             388      20      16
43:   sh
000055f3e745d000    352K r---- a.out
 total              352K
44:   x
     Address Perm   Offset Device  Inode Size Rss  VmFlags Mapping
55f3e745d000 r--p 00000000  fe:00 260386  352   4 rd mr mw ls
                                          352   4 KB
45: y
START               SIZE     RSS     PSS   DIRTY    SWAP PERM OFFSET           DEVICE MAPPING
00007f1000000000      4K      4K      4K      4K      0K rw-s 0000000000001000 00:04  /SYSV0108cd26
Total:                4K      4K      4K      4K      0K
"""


def only_parse_errors(rng: random.Random) -> tuple[str, str | None]:
    """Damage a listing anywhere; the readers may raise only a ParseError."""
    text = bytearray(LISTING, "utf-8")
    for _ in range(rng.randint(1, 8)):
        at = rng.randrange(len(text))
        kind = rng.randrange(4)
        if kind == 0:
            text[at] = rng.choice(b"0189afkKMsp-:[] \t\n\xff\x1b")
        elif kind == 1:
            del text[at : at + rng.randint(1, 40)]
        elif kind == 2:
            text[at:at] = text[at : at + rng.randint(1, 80)]
        else:
            text[at:at] = rng.choice((b"\n", b" ", b"9" * 25, b"k", b"-", b" total 4k\n", b"5:\n"))
        if not text:
            break
    data = bytes(text)
    try:
        for snapshot in parse_pmaps(data, strict=rng.random() < 0.3):
            for layout in ("short", "extended", "device", "X", "XX"):
                "".join(format_pmaps([snapshot], layout))
    except smapskit.ParseError:
        return repr(data), None
    except Exception as error:  # noqa: BLE001  the finding
        return repr(data), f"{type(error).__name__}: {error}"
    return repr(data), None


def differences(cases: int, seed: int) -> Iterator[tuple[str, str]]:
    """Yield the text of each case that differs, and how it does."""
    rng = random.Random(seed)
    for case in range(cases):
        if case % 4 == 3:
            text, difference = only_parse_errors(rng)
        else:
            lines = table(rng)
            if rng.random() < 0.6:
                lines = damaged(rng, lines)
            text, difference = "\n".join(lines), compare(lines)
        if difference:
            yield text, difference


def main() -> int:
    parser = argparse.ArgumentParser(description="Compare pmap's readers with a reference.")
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    count = 0
    for text, difference in differences(args.cases, args.seed):
        count += 1
        if count <= 10:
            print(f"{text}\n  {difference}\n")
    print(f"{args.cases:,} cases, seed {args.seed}: {count} differences")
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())
