"""
Parse uniform smaps text into columns with NumPy.

The kernel writes the same fields for every mapping, each number right-justified in its column:
after the header line a record has the same bytes as any other except for the digits. A record
that is different (a number wider than its column) is parsed line by line and put in its row; if
too many are, or one has other fields, the chunk is not uniform.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import repeat
from typing import TYPE_CHECKING, Any, Final

from smapskit.errors import ParseError
from smapskit.formats.smaps.files import ProcFile
from smapskit.formats.smaps.grammar import (
    HEADER,
    HEADER_PATTERN,
    MAX_INODE,
    ROLLUP_NAME,
    VM_FLAGS_FIELD,
    parse_vm_flags,
)
from smapskit.formats.smaps.layout import FieldStyle
from smapskit.formats.smaps.lines import LineParser, RawRecord
from smapskit.model.columns import Cache, Columns
from smapskit.model.mapping import Device
from smapskit.text import decode

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_MAX_RECORD_LINES: Final = 200
"""The kernel writes 25."""
_WIDTH: Final = 8
"""Characters of a number: the kernel's column."""
_MAX_IRREGULAR: Final = 1 / 16
"""Share of records that may be parsed line by line before the whole chunk is."""


class Template:
    """The bytes that all records of a uniform text have in common."""

    def __init__(self, file: ProcFile, styles: list[FieldStyle]) -> None:
        self.styles = styles
        self.field_names = [style.name for style in styles]
        self._file = file
        self._names = [style.name for style in styles if style.is_numeric]
        self._has_flags = bool(styles) and styles[-1].name == VM_FLAGS_FIELD
        self._number_ends: list[int] = []
        self._widths: list[int] = []
        body = b""
        for style in styles:
            if style.is_numeric:
                line = style.write(0).encode()
                self._number_ends.append(len(body) + len(line) - len(style.suffix))
                self._widths.append(max(style.width, 1))
                body += line + b"\n"
        self._body = body
        end = f"{VM_FLAGS_FIELD}:".encode() if self._has_flags else b""
        # A record of the template's length, or else the lines up to the next header.
        record = b"((?s:.{%d}))%b" % (len(body), re.escape(end))
        record += rb"([^\n]*+)\n" if self._has_flags else b"()"
        # No more lines than a template can have: each repeat of a group takes memory.
        irregular = rb"([^\n]*+\n(?:[A-Z][^\n]*+\n){0,%d})" % _MAX_RECORD_LINES
        self._pattern = re.compile(HEADER_PATTERN + rb"\n" + record + b"|" + irregular)

    @classmethod
    def learn(
        cls, chunk: bytes, file: ProcFile, known: Mapping[str, FieldStyle]
    ) -> Template | None:
        """
        Learn the template from the first record of a chunk.

        Args:
            chunk: whole records.
            file: what the text is.
            known: the styles of the fields in the text before the chunk.

        Returns:
            None where the record cannot be a template.
        """
        styles = _learn_styles(chunk, file)
        if styles is None or not all(s.is_numeric or s.name == VM_FLAGS_FIELD for s in styles):
            return None
        if VM_FLAGS_FIELD in [style.name for style in styles[:-1]]:
            return None
        end = 0
        for style in styles:
            end += len(style.write(0)) + 1
            if style.is_numeric and (style.width > _WIDTH or end - 1 - len(style.suffix) < _WIDTH):
                return None
            before = known.get(style.name, style)
            if (before.is_numeric, before.suffix) != (style.is_numeric, style.suffix):
                return None  # an unknown field with another unit than before is text
        return cls(file, styles)

    def parse(self, chunk: bytes) -> Columns | None:
        """Parse whole records; None where they must be parsed line by line."""
        if not chunk.endswith(b"\n"):
            return None
        *headers, bodies, flags, irregular = map(
            list, zip(*self._pattern.findall(chunk), strict=True)
        )
        rows = [row for row, text in enumerate(irregular) if text]
        if len(rows) > len(irregular) * _MAX_IRREGULAR + 1:
            return None
        for row in rows:
            bodies[row] = self._body
        numbers = self._numbers(b"".join(bodies), len(bodies))
        codes = Cache(parse_vm_flags)
        vm_flags: list[Any] | None = [codes[text] for text in flags] if self._has_flags else None
        if numbers is None or None in codes.values():
            return None
        for row in rows:
            record = self._parse_irregular(irregular[row])
            if record is None:
                return None
            header = HEADER.match(irregular[row])
            groups = header.groups(b"") if header else ()
            for texts, group in zip(headers, groups, strict=True):
                texts[row] = group
            for name, column in numbers.items():
                column[row] = record.fields[name]
            if vm_flags is not None:
                vm_flags[row] = record.fields[VM_FLAGS_FIELD]
        return self._columns(headers, numbers, vm_flags)

    def _columns(
        self,
        headers: list[list[bytes]],
        numbers: dict[str, NDArray[np.int64]],
        vm_flags: list[Any] | None,
    ) -> Columns | None:
        starts, ends, perms, offsets, devices, inodes, names = headers
        # Not cached: offsets of a file are distinct, and a miss takes five times as long.
        start, end, offset = (
            list(map(int, texts, repeat(16))) for texts in (starts, ends, offsets)
        )
        inode = list(map(int, inodes))
        # The line parser reports these.
        if (
            any(map(int.__ge__, start, end))
            or max(inode) > MAX_INODE
            or ROLLUP_NAME.encode() in names
        ):
            return None
        decode_perms = Cache(bytes.decode)
        decode_device = Cache[bytes, str](lambda text: str(Device.parse(text.decode())))
        decode_name = Cache(decode)
        known = {name: self._file.fields[name] for name in numbers if name in self._file.fields}
        values: dict[str, Any] = {known[name].attribute: numbers[name] for name in known}
        if "size" not in values:
            values["size"] = [(e - s) // 1024 for s, e in zip(start, end, strict=True)]
        return Columns(
            start=start,
            end=end,
            offset=offset,
            inode=inode,
            perms=[decode_perms[text] for text in perms],
            device=[decode_device[text] for text in devices],
            pathname=[decode_name[text] for text in names],
            values=values,
            vm_flags=vm_flags,
            extra={name: numbers[name] for name in numbers if name not in known},
        )

    def _parse_irregular(self, text: bytes) -> RawRecord | None:
        """Parse one record line by line; None if it has other fields than the template."""
        parser = LineParser(self._file)
        parser.learn(self.styles)
        record = _parse_single(text.split(b"\n")[:-1], parser)
        if record is None or list(record.fields) != self.field_names:
            return None
        are_numbers = all(isinstance(record.fields[name], int) for name in self._names)
        return record if are_numbers else None

    def _numbers(self, bodies: bytes, count: int) -> dict[str, NDArray[np.int64]] | None:
        """Parse the numbers of `count` records; None if anything but digits differs."""
        if not self._names:
            return {}
        import numpy as np  # noqa: PLC0415  loaded for large texts only

        length = len(self._body)
        is_fixed = np.full(length, 0xFF, dtype=np.uint8)
        for end, width in zip(self._number_ends, self._widths, strict=True):
            is_fixed[end - width : end] = 0
        difference = np.frombuffer(bodies, dtype=np.uint8).reshape(count, length) ^ (
            np.frombuffer(self._body, dtype=np.uint8)
        )
        difference &= is_fixed
        if difference.any():
            return None
        # Eight characters are copied at a time, as one integer.
        words = np.empty((len(self._names), count), dtype=np.uint64)
        for row, end in enumerate(self._number_ends):
            words[row] = np.ndarray((count,), np.uint64, bodies, end - _WIDTH, (length,))
        characters = words.view(np.uint8).reshape(len(self._names), count, _WIDTH)
        for row, width in enumerate(self._widths):
            characters[row, :, : _WIDTH - width] = ord(" ")
        values = _parse_numbers(characters)
        return None if values is None else dict(zip(self._names, values, strict=True))


def _parse_numbers(characters: NDArray[np.uint8]) -> NDArray[np.int64] | None:
    """
    Parse numbers of eight characters: blanks, then digits, without leading zeros.

    Args:
        characters: of shape (..., 8), contiguous.

    Returns:
        An array of shape (...); None where some characters are not such a number.
    """
    import numpy as np  # noqa: PLC0415

    flat = characters.reshape(-1)
    digits = flat - np.uint8(ord("0"))
    is_digit = digits < 10  # noqa: PLR2004
    # A blank has the value 240 here; everything else that is not a digit is wrong.
    if not (is_digit | (digits == 240)).all():  # noqa: PLR2004
        return None
    # Compare each character with the next one of its number.
    before, after = is_digit[:-1], is_digit[1:]
    blank_after_digit = before & ~after
    blank_after_digit[_WIDTH - 1 :: _WIDTH] = False
    is_leading_zero = digits == 0
    is_leading_zero[1:] &= ~before
    is_leading_zero[::_WIDTH] = digits[::_WIDTH] == 0
    is_leading_zero[_WIDTH - 1 :: _WIDTH] = False
    if blank_after_digit.any() or is_leading_zero.any() or not is_digit[_WIDTH - 1 :: _WIDTH].all():
        return None
    digits *= is_digit
    # Explicit types: NumPy 1 keeps uint8 where a scalar of a larger type fits it.
    pairs = digits[::2] * np.uint8(10) + digits[1::2]
    fours = pairs[::2].astype(np.uint16) * np.uint16(100) + pairs[1::2]
    eights = fours[::2].astype(np.int64) * 10_000 + fours[1::2]
    return eights.reshape(characters.shape[:-1])


def _learn_styles(chunk: bytes, file: ProcFile) -> list[FieldStyle] | None:
    """Return how the first record writes its fields; None where a line is not a plain field."""
    lines: list[bytes] = []
    begin = 0
    while len(lines) < _MAX_RECORD_LINES and (end := chunk.find(b"\n", begin)) >= 0:
        line = chunk[begin:end]
        if lines and HEADER.match(line):
            break
        lines.append(line)
        begin = end + 1
    parser = LineParser(file)
    record = _parse_single(lines, parser)
    return None if record is None else [parser.styles[name] for name in record.fields]


def _parse_single(lines: list[bytes], parser: LineParser) -> RawRecord | None:
    """Parse the lines of one record; None where they are anything else."""
    try:
        records = parser.parse(lines) + parser.finish()
    except ParseError:
        return None
    # A field that occurs twice has more lines than names.
    is_single = len(records) == 1 and len(records[0].fields) == len(lines) - 1
    return records[0] if is_single and not parser.notes else None
