"""
All at once: the text of many mappings to columns by NumPy, and from columns to records.

Kernels write the same fields for every mapping, each figure right-justified in its column, so
that behind its header line a record has the same bytes as any other but for the digits. What
does not look so is left to the reader of lines: a record (a figure that is wider than its
column), or the whole text.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator
from itertools import islice, repeat
from typing import TYPE_CHECKING, Any, Final

import attrs

from smapskit import texts
from smapskit.classify import Backing, backing_of
from smapskit.errors import ParseError
from smapskit.records import MAPPING_FIELDS, Device, Draft, Mapping, Permissions
from smapskit.smaps.grammar import HEADER, HEADER_PATTERN, HEADERS, LARGEST_INODE, ROLLUP_NAME
from smapskit.smaps.kinds import SMAPS, Kind, codes
from smapskit.smaps.layout import HEADERS_TO_LEARN_FROM, learnt_layout
from smapskit.smaps.lines import Reader
from smapskit.snapshot import FLAGS, FieldStyle, Layout

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_LONGEST_FAST_RECORD = 200  # lines; kernels write 25
_WORD = 8  # characters of a figure, read as one number

# Loading NumPy takes as long as reading four times as much by lines, but only once.
_WORTH_LOADING_NUMPY: Final = 1 << 20
_WORTH_ITS_CALLS: Final = 1 << 14


def is_worth_it(size: int) -> bool:
    """Whether a text of so many bytes is read faster this way."""
    return size >= (_WORTH_ITS_CALLS if "numpy" in sys.modules else _WORTH_LOADING_NUMPY)


@attrs.frozen
class Columns:
    """What the mappings of a text have in the text, a list or an array a column."""

    starts: list[int]
    ends: list[int]
    offsets: list[int]
    inodes: list[int]
    perms: list[bytes]
    devices: list[bytes]
    names: list[bytes]
    figures: dict[str, NDArray[np.int64]]
    """By the kernel's name, in the order of the text."""
    flags: list[Any] | None
    """Tuples of codes."""

    def __len__(self) -> int:
        return len(self.starts)

    def looks(self) -> Iterator[tuple[bytes, bytes, bytes, Any, int | None]]:
        """All that the backing of each mapping follows from: see `backing_of_look`."""
        nothing = [None] * len(self)
        pages = self.figures.get("KernelPageSize")
        sizes = nothing if pages is None else pages.tolist()
        flags = self.flags or nothing
        return zip(self.names, self.perms, self.devices, flags, sizes, strict=True)


def backing_of_look(look: tuple[bytes, bytes, bytes, Any, int | None]) -> Backing | None:
    """The backing of what a text shows: name, permissions, device, flags and page size."""
    name, perms, device, flags, page_size = look
    return backing_of(
        texts.decode(name),
        shared=perms[3:] == b"s",
        writable=perms[1:2] == b"w",
        device_major=Device.parse(device.decode()).major,
        vm_flags=flags,
        kernel_page_size=page_size,
    )


class Memo(dict[Any, Any]):
    """A function that is asked the same thing again and again."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        super().__init__()
        self.function = function

    def __missing__(self, key: Any) -> Any:
        value = self[key] = self.function(key)
        return value


def read_at_once(parts: Iterable[bytes], kind: Kind) -> tuple[list[Mapping], Layout] | None:
    """
    All mappings of a text, and its layout; None where it has to be read by lines.

    Args:
        parts: of whole records, each read when it comes.
        kind: of the text.
    """
    mappings: list[Mapping] = []
    template = None
    headers: list[re.Match[bytes]] = []
    for part in parts:
        template = template or Template.learn(part, kind)
        found = None if template is None else template.mappings(part)
        if found is None:
            return None
        mappings += found
        headers += islice(HEADERS.finditer(part), HEADERS_TO_LEARN_FROM - len(headers))
    return None if template is None else (mappings, learnt_layout(template.styles, headers))


def columns_of_parts(parts: Iterable[bytes]) -> Iterator[Columns | None]:
    """The columns of each part of a text of smaps; None where it has to be read by lines."""
    template = None
    for part in parts:
        template = template or Template.learn(part)
        # Without Size what a mapping's is would follow from its range: records know that.
        has_sizes = template is not None and "Size" in template.names
        yield template.columns_of(part) if template is not None and has_sizes else None
    if template is None:
        yield None  # a text of nothing


def styles_of_first_record(data: bytes, kind: Kind) -> list[FieldStyle] | None:
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


class Template:
    """What each record of a text looks like, and how to read all that look so."""

    def __init__(self, kind: Kind, styles: list[FieldStyle], columns: list[slice]) -> None:
        self.kind = kind
        self.styles = styles
        self.names = [style.name for style in styles if style.is_figure]
        self.has_flags = bool(styles) and styles[-1].name == FLAGS
        self.columns = columns
        self.block = b"".join(
            style.write(0).encode() + b"\n" for style in styles if style.is_figure
        )
        end = f"{FLAGS}:".encode() if self.has_flags else b""
        self.block += end
        # A record, or else what the reader of lines has to look at.
        record = b"((?s:.{%d})%b)" % (len(self.block) - len(end), re.escape(end))
        record += rb"([^\n]*+)\n" if self.has_flags else b"()"
        # No more lines than a template can have: each repeat of a group takes memory.
        odd = rb"([^\n]*+\n(?:[A-Z][^\n]*+\n){0,%d})" % _LONGEST_FAST_RECORD
        self.pattern = re.compile(HEADER_PATTERN + rb"\n" + record + b"|" + odd)

    @classmethod
    def learn(cls, data: bytes, kind: Kind = SMAPS) -> Template | None:
        """The template that a text's first record gives; None where it gives none."""
        styles = styles_of_first_record(data, kind)
        if styles is None or not all(s.is_figure or s.name == FLAGS for s in styles):
            return None
        if FLAGS in [style.name for style in styles[:-1]]:
            return None
        columns = []
        end = 0
        for style in styles:
            line = style.write(0)
            end += len(line)
            behind = end - len(style.suffix)
            columns.append(slice(behind - max(style.width, 1), behind))
            end += 1
            if style.is_figure and (behind < _WORD or style.width > _WORD):
                return None
        return cls(kind, styles, columns[: len([s for s in styles if s.is_figure])])

    def columns_of(self, data: bytes) -> Columns | None:
        """The columns of whole records; None where they have to be read by lines."""
        if not data.endswith(b"\n"):
            return None
        *headers, blocks, flags, odd = map(list, zip(*self.pattern.findall(data), strict=True))
        odd_rows = [row for row, text in enumerate(odd) if text]
        if len(odd_rows) > len(odd) // 16 + 1:
            return None
        for row in odd_rows:
            blocks[row] = self.block
        figures = self._figures(b"".join(blocks), len(blocks))
        found = Memo(codes)
        vm_flags = [found[line] for line in flags] if self.has_flags else None
        if figures is None or None in found.values():
            return None
        if not all(self._read_odd(odd[row], row, headers, figures, vm_flags) for row in odd_rows):
            return None
        start, end, perms, offset, device, inode, name = headers
        starts, ends, offsets = ([int(word, 16) for word in c] for c in (start, end, offset))
        inodes = list(map(int, inode))
        # What only the reader of lines can tell: a range upside down, too large an inode, a
        # rollup.
        if (
            any(map(int.__ge__, starts, ends))  # an empty range has a note
            or max(inodes) > LARGEST_INODE
            or ROLLUP_NAME.encode() in name
        ):
            return None
        return Columns(starts, ends, offsets, inodes, perms, device, name, figures, vm_flags)

    def mappings(self, data: bytes) -> list[Mapping] | None:
        """The records of whole records; None where they have to be read by lines."""
        columns = self.columns_of(data)
        return None if columns is None else _mappings(columns, self.kind)

    def _read_odd(
        self,
        text: bytes,
        row: int,
        headers: list[list[bytes]],
        figures: dict[str, NDArray[np.int64]],
        flags: list[Any] | None,
    ) -> bool:
        """Put a record that looks otherwise in its row; False if it has other fields."""
        lines = text.split(b"\n")[:-1]
        header = HEADER.fullmatch(lines[0])
        reader = Reader(self.kind, None)
        reader.styles.update((style.name, style) for style in self.styles)  # the unit of each
        try:
            (record,) = reader.read(lines)
        except (ParseError, ValueError):
            return False
        names = [style.name for style in self.styles]
        if header is None or record.names != names or len(lines) != len(names) + 1:
            return False
        for groups, group in zip(headers, header.groups(b""), strict=True):
            groups[row] = group
        for name, column in figures.items():
            field = self.kind.table.get(name)
            value = record.values[field.attribute] if field else record.extra[name]
            if not isinstance(value, int):
                return False
            column[row] = value
        if flags is not None:
            flags[row] = record.values["vm_flags"]
        return True

    def _figures(self, blocks: bytes, count: int) -> dict[str, NDArray[np.int64]] | None:
        """The figures of records behind one another, if nothing but digits differs in them."""
        if not self.names:
            return {}
        import numpy as np  # noqa: PLC0415  for who has much to read

        length = len(self.block)
        is_fixed = np.full(length, 0xFF, dtype=np.uint8)
        for column in self.columns:
            is_fixed[column] = 0
        for begin in {0, length % _WORD}:
            shape = (count, (length - begin) // _WORD)
            strides = (length, _WORD)
            words = np.ndarray(shape, np.dtype("<u8"), blocks, begin, strides)
            width = shape[1] * _WORD
            mask = np.frombuffer(is_fixed[begin : begin + width].tobytes(), "<u8")
            model = np.frombuffer(self.block[begin : begin + width], "<u8")
            if ((words ^ model) & mask).any():
                return None
        words = np.empty((len(self.columns), count), dtype="<u8")
        for place, column in enumerate(self.columns):
            found = np.ndarray((count,), "<u8", blocks, column.stop - _WORD, (length,))
            # What stands before a narrow column is no part of the figure.
            before = 8 * (_WORD - (column.stop - column.start))
            blanks = int.from_bytes(b" " * _WORD, "little") & ((1 << before) - 1)
            words[place] = found >> np.uint64(before) << np.uint64(before) | np.uint64(blanks)
        values = _numbers(words)
        return None if values is None else dict(zip(self.names, values, strict=True))


def _numbers(words: NDArray[np.uint64]) -> NDArray[np.int64] | None:
    """
    Numbers from eight characters each, blanks and then digits, first character lowest.

    All characters of a word are worked on at once, each in its byte. None where a word is
    something else, or has a 0 before other digits.
    """
    import numpy as np  # noqa: PLC0415

    def each(byte: int) -> np.uint64:
        return np.uint64(byte * 0x0101010101010101)

    eight = np.uint64(8)
    bits = words ^ each(0x20)  # 0 for a blank, 0x10 and the digit for a digit
    digit = bits & each(0x0F)
    is_digit = (bits >> np.uint64(4)) & each(1)
    behind = is_digit << eight
    wrong = bits & each(0xE0)
    wrong |= (digit + each(6)) & each(0x10)  # above 9
    wrong |= digit & ~(is_digit * np.uint64(0x0F))  # neither blank nor digit
    wrong |= behind & ~is_digit  # a blank behind a digit
    wrong |= (is_digit ^ each(1)) >> np.uint64(56)  # no digit at the end
    is_zero = ~((digit + each(0x0F)) >> np.uint64(4))
    wrong |= is_digit & ~behind & is_zero & np.uint64((1 << 56) - 1)  # a 0 before others
    if wrong.any():
        return None
    pairs = digit * np.uint64(10) + (digit >> eight)
    mask = np.uint64(0x000000FF000000FF)
    high = (pairs & mask) * np.uint64(100 + (1_000_000 << 32))
    low = ((pairs >> np.uint64(16)) & mask) * np.uint64(1 + (10_000 << 32))
    return ((high + low) >> np.uint64(32)).astype(np.int64)


# What stands between a Mapping's size and its flags: plain figures, all of them.
_FIGURES = MAPPING_FIELDS[MAPPING_FIELDS.index("size") + 1 : MAPPING_FIELDS.index("vm_flags")]


def _mappings(columns: Columns, kind: Kind) -> list[Mapping]:
    """The records that columns stand for."""
    starts, ends = columns.starts, columns.ends
    names = Memo(texts.decode)
    permissions = Memo(lambda text: Permissions.parse(text.decode()))
    devices = Memo(lambda text: Device.parse(text.decode()))
    lists = {name: column.tolist() for name, column in columns.figures.items()}
    known = {
        field.attribute: lists.pop(name) for name, field in kind.table.items() if name in lists
    }
    sizes = known.get("size") or [(e - s) // 1024 for s, e in zip(starts, ends, strict=True)]
    extras: list[dict[str, int | str]] = [{} for _ in starts]
    if lists:
        extras = [dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True)]
    mappings: list[Any] = list(
        map(
            Draft,  # by position: see records
            starts,
            ends,
            [permissions[word] for word in columns.perms],
            columns.offsets,
            [devices[word] for word in columns.devices],
            columns.inodes,
            [names[word] for word in columns.names],
            sizes,
            *(known.get(attribute, repeat(None)) for attribute in _FIGURES),
            repeat(None) if columns.flags is None else columns.flags,
            extras,
        )
    )
    for mapping in mappings:
        mapping.__class__ = Mapping
    return mappings
