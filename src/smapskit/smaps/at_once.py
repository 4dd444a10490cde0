"""
All at once: one regular expression, built from the first record, matched over a whole text.

It answers None as soon as any line does not fit what the first record looks like; what
reads a line at a time then has to do.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from operator import itemgetter
from typing import Any, cast

from smapskit import texts
from smapskit.errors import ParseError
from smapskit.records import MAPPING_FIELDS, Device, Mapping, Permissions
from smapskit.smaps.grammar import (
    DIGITS_THAT_FIT,
    HEADER,
    HEADER_PATTERN,
    HEADERS,
    LARGEST_INODE,
    SMAPS,
    Kind,
    codes,
)
from smapskit.smaps.layout import HEADERS_TO_LEARN_FROM, learnt_layout
from smapskit.smaps.lines import Reader
from smapskit.snapshot import FLAGS, FieldStyle, Layout

_LONGEST_FAST_RECORD = 200  # lines; kernels write 25


class _Memo(dict[bytes, Any]):
    """A function of bytes that is asked the same thing again and again."""

    def __init__(self, function: Callable[[bytes], Any]) -> None:
        super().__init__()
        self.function = function

    def __missing__(self, key: bytes) -> Any:
        value = self[key] = self.function(key)
        return value


# What stands between a Mapping's size and its flags: plain figures, all of them.
_FIGURES = MAPPING_FIELDS[MAPPING_FIELDS.index("size") + 1 : MAPPING_FIELDS.index("vm_flags")]
_HEADER_GROUPS = HEADER.groups


def read_at_once(data: bytes, kind: Kind) -> tuple[list[Mapping], Layout] | None:
    """All mappings of a text whose records all look like its first; None if they do not."""
    styles = styles_of_first_record(data, kind)
    if styles is None:
        return None
    patterns = [HEADER_PATTERN + rb"\n", *map(_field_pattern, styles)]
    rows = re.compile(rb"^" + b"".join(patterns), re.MULTILINE).findall(data)
    # Each row is as many whole lines: if their number is right, no line was passed over.
    if len(rows) * len(patterns) != data.count(b"\n") or not data.endswith(b"\n"):
        return None
    mappings = _make_mappings(rows, styles)
    if mappings is None:
        return None
    headers = islice(HEADERS.finditer(data), HEADERS_TO_LEARN_FROM)
    return mappings, learnt_layout(styles, headers)


def styles_of_first_record(data: bytes, kind: Kind = SMAPS) -> list[FieldStyle] | None:
    """How a text's first record writes its fields; None where it is not a plain one."""
    if not HEADER.match(data):
        return None
    lines: list[bytes] = []
    begin = 0
    while len(lines) < _LONGEST_FAST_RECORD and (end := data.find(b"\n", begin)) >= 0:
        line = data[begin:end]
        if lines and HEADER.match(line):
            break
        lines.append(line)
        begin = end + 1
    reader = Reader(kind, None)
    try:
        records = list(reader.read(lines))
    except ParseError:
        return None
    # None without a line end; fewer fields than lines where one stands twice.
    if len(records) != 1 or len(records[0].names) != len(lines) - 1:
        return None
    return list(reader.styles.values())


def _field_pattern(style: FieldStyle) -> bytes:
    name = re.escape(style.name.encode())
    if not style.is_figure:
        return name + rb":[ \t]*+([^\n]*+)\n"
    # What has more digits is left to the other reader, which knows what fits.
    digits = b"(0|[1-9][0-9]{0,%d})" % (DIGITS_THAT_FIT - 1)
    return name + rb":[ \t]*+" + digits + style.suffix.encode() + rb"\n"


def _make_mappings(
    rows: list[tuple[bytes, ...]], styles: Sequence[FieldStyle]
) -> list[Mapping] | None:
    """Records from rows of the header's groups and one group for each field."""
    at = {style.name: position for position, style in enumerate(styles, _HEADER_GROUPS)}
    figures = [at[style.name] for style in styles if style.is_figure]
    extra = [(name, at[name], at[name] in figures) for name in at if name not in SMAPS.table]
    size_at, flags_at = at.get("Size"), at.get(FLAGS)
    pick = _getter(figures)
    # What the text does not show is taken from behind the last figure, where None stands.
    position_of = {
        field.attribute: figures.index(at[name])
        for name, field in SMAPS.table.items()
        if name in at and name != FLAGS
    }
    arrange = itemgetter(*(position_of.get(name, len(figures)) for name in _FIGURES))
    perms = _Memo(lambda text: Permissions.parse(text.decode()))
    devices = _Memo(lambda text: Device.parse(text.decode()))
    paths = _Memo(texts.decode)
    flags = _Memo(codes)
    make = cast("Callable[..., Mapping]", Mapping)  # by position: see records
    mappings = []
    for row in rows:
        start, end, inode = int(row[0], 16), int(row[1], 16), int(row[5])
        vm_flags = None if flags_at is None else flags[row[flags_at]]
        if start >= end or inode > LARGEST_INODE or (vm_flags is None and flags_at is not None):
            return None
        mappings.append(
            make(
                start,
                end,
                perms[row[2]],
                int(row[3], 16),
                devices[row[4]],
                inode,
                paths[row[6]],
                (end - start) // 1024 if size_at is None else int(row[size_at]),
                *arrange((*map(int, pick(row)), None)),
                vm_flags,
                {
                    name: int(row[place]) if is_figure else texts.decode(row[place])
                    for name, place, is_figure in extra
                },
            )
        )
    return mappings


def _getter(positions: list[int]) -> Callable[[tuple[bytes, ...]], Iterable[bytes]]:
    """What picks these positions of a row: a slice, many times faster, where they adjoin."""
    if not positions:
        return lambda _row: ()
    first, behind = positions[0], positions[-1] + 1
    if positions == list(range(first, behind)):
        return itemgetter(slice(first, behind))
    return itemgetter(*positions)
