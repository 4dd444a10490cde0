"""
Text of smaps, smaps_rollup and maps to records, and back to text.

Two readers give the same records. `_read_at_once` takes the shape of the first record,
builds one regular expression from it and has the whole text matched in C; it answers None
as soon as any line does not fit. `_read_lines` then goes line by line: it accepts fields
in any order and on some records only, keeps what it does not know, and says what is wrong
where. Every error comes from the second.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from operator import itemgetter
from typing import Any, Final, NamedTuple, cast

import attrs

from smapskit import texts
from smapskit.errors import ParseError
from smapskit.records import (
    MAPPING_FIELDS,
    Device,
    KernelField,
    Mapping,
    Permissions,
    Rollup,
    kernel_fields,
)
from smapskit.snapshot import FLAGS, FieldStyle, Layout, Snapshot, default_layout, kernel_style

# ---- the grammar -------------------------------------------------------------------------

_START_END = rb"([0-9a-f]{1,16})-([0-9a-f]{1,16})"
_HEADER = (
    _START_END
    + rb" ([r-][w-][x-][sp]) ([0-9a-f]{1,16}) ([0-9a-f]{1,8}:[0-9a-f]{1,8}) ([0-9]{1,20})"
    # A file's name is behind one or more blanks; one that itself began with a blank is none
    # that the kernel writes. Possessive, so that a line of blanks is not tried twice.
    + rb"(?: ++([^\n]*+))?+"
)
HEADER: Final = re.compile(_HEADER)
HEADERS: Final = re.compile(rb"^" + _HEADER + rb"$", re.MULTILINE)
_CODE = re.compile(r"[!-~]{2}")
_LIKE_HEADER = re.compile(rb"[0-9a-fA-F]+-[0-9a-fA-F]+ ")
FIELD: Final = re.compile(rb"([A-Za-z][A-Za-z0-9_]*+):([ \t]*+)(.*+)", re.DOTALL)
_FIGURE = re.compile(rb"(0|[1-9][0-9]*+)( kB|)[ \t]*+")

_NO_DEVICE = Device(0, 0)
_LARGEST = 2**63 - 1  # what a frame's int64 holds; far more than a kernel can count in kB
_DIGITS_THAT_FIT = 18  # however high they are
_LARGEST_INODE = 2**64 - 1
_ROLLUP_NAME = "[rollup]"
_LONGEST_FAST_RECORD = 200  # lines; kernels write 25
_PREAMBLE = 5  # lines that may stand before a pasted listing: a prompt, its command

_EXPECTED_HEADER = "expected a line like '7f00a000-7f00b000 r--p 00000000 fe:00 260386 /path'"

NOTE_EMPTY: Final = "the text is empty: a kernel thread's, or of a process that had ended"
NOTE_NO_NEWLINE: Final = "the text does not end in a newline: its last line may be cut"
NOTE_COMMAND: Final = "a command line stood before the listing"
NOTE_CUT: Final = "the text is cut within a record, which was left out"
NOTE_TWICE: Final = "a field stands twice in a record, with the same figure"


class _Kind(NamedTuple):
    """One of the kernel's three files."""

    name: str
    table: dict[str, KernelField]
    has_fields: bool = True


_SMAPS = _Kind("smaps", kernel_fields(Mapping))
_ROLLUP = _Kind("smaps_rollup", kernel_fields(Rollup))
_MAPS = _Kind("maps", {}, has_fields=False)


# ---- public ------------------------------------------------------------------------------


def parse_smaps(text: str | bytes, *, source: str | None = None, strict: bool = True) -> Snapshot:
    """
    Read the text of /proc/PID/smaps, from any kernel since 2.6.14.

    Args:
        text: the whole of it.
        source: what to call it in errors, such as a file name.
        strict: refuse a text whose beginning or end is cut off within a record; if False,
            leave that record out and say so in the notes.

    Raises:
        ParseError: with the line, where the text is no smaps or a field is malformed.
    """
    return _parse(text, _SMAPS, source, strict=strict)


def parse_maps(text: str | bytes, *, source: str | None = None) -> Snapshot:
    """
    Read the text of /proc/PID/maps: mappings without counters.

    Raises:
        ParseError: with the line, where the text is no maps.
    """
    return _parse(text, _MAPS, source)


def parse_rollup(text: str | bytes, *, source: str | None = None) -> Rollup:
    """
    Read the text of /proc/PID/smaps_rollup: the sums over all mappings.

    Its Pss is up to some tens of kB above the sum over smaps, where each record rounds
    down; SwapPss likewise.

    Raises:
        ParseError: with the line; also for an empty text, which holds no sums.
    """
    data, _ = prepared(text, source)
    records = list(_Reader(_ROLLUP, source).read(_split(data)))
    if len(records) != 1 or records[0].name != _ROLLUP_NAME:
        msg = f"expected the one record of smaps_rollup, whose header ends in {_ROLLUP_NAME}"
        raise ParseError(msg, source)
    (record,) = records
    return Rollup(start=record.start, end=record.end, extra=record.extra, **record.values)


def iter_mappings(lines: Iterable[str | bytes], *, source: str | None = None) -> Iterator[Mapping]:
    """
    Read smaps from an open file or any iterable of lines, one mapping at a time.

    Memory stays flat however long the text is. Open the file in binary mode: text mode
    would decode, and split lines at characters that a path may hold.

    Raises:
        ParseError: when the line that is wrong is reached.
        TypeError: at once, for a whole text instead of lines.
    """
    return map(_to_mapping, _Reader(_SMAPS, source).read(texts.as_lines(lines)))


def whole_records(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Cut a text that comes in pieces anew, between records."""
    rest = b""
    for piece in pieces:
        text = rest + piece
        cut = len(text)
        while (cut := text.rfind(b"\n", 0, cut)) > 0:
            if HEADER.match(text, cut + 1):
                yield text[: cut + 1]
                break
        rest = text[cut + 1 :] if cut > 0 else text
    if rest:
        yield rest


def format_smaps(snapshot: Snapshot) -> str:
    """
    Write the kernel's own text again.

    Byte for byte what `parse_smaps` or `parse_maps` read where that had the column layout
    of kernels 4.x to 6.x; of other texts every mapping and every field, in the order that
    they had. Encode it with errors="surrogateescape".
    """
    layout = snapshot.layout or default_layout(snapshot)
    fields = [(style, _SMAPS.table.get(style.name)) for style in layout.fields]
    out = []
    for mapping in snapshot:
        out.append(_header_line(mapping, layout))
        for style, known in fields:
            value = getattr(mapping, known.attribute) if known else mapping.extra.get(style.name)
            if value is not None:
                out.append(style.write(value))
    out.append("")
    return "\n".join(out)


def _parse(text: str | bytes, kind: _Kind, source: str | None, *, strict: bool = True) -> Snapshot:
    data, notes = prepared(text, source)
    at_once = _read_at_once(data, kind)
    if at_once is not None:
        mappings, layout = at_once
    else:
        lines = _split(data)
        reader = _Reader(kind, source, strict=strict)
        try:
            mappings = list(map(_to_mapping, reader.read(lines)))
        except ParseError as error:
            if strict or data.endswith(b"\n") or error.line_number != len(lines):
                raise
            reader = _Reader(kind, source, strict=False)
            mappings = list(map(_to_mapping, reader.read(lines[:-1])))  # the last one is cut
        layout = reader.layout
        notes += reader.notes
        if not data.strip():
            notes.append(NOTE_EMPTY)
        elif not data.endswith(b"\n"):
            notes.append(NOTE_NO_NEWLINE)
    return Snapshot(tuple(mappings), source=source, notes=tuple(notes), layout=layout)


def prepared(text: str | bytes, source: str | None) -> tuple[bytes, list[str]]:
    """As `texts.unwrapped`, for any text, with the source named in errors."""
    try:
        return texts.unwrapped(texts.to_bytes(text), HEADER)
    except ParseError as error:
        raise ParseError(error.message, source, error.line_number) from None


def _split(data: bytes) -> list[bytes]:
    # At newlines alone: splitlines() would break a path at \x0b, \x85 and others.
    lines = data.split(b"\n")
    if not lines[-1]:
        lines.pop()
    return lines


# ---- a line at a time --------------------------------------------------------------------


@attrs.define
class _Record:
    """What one header line and the fields behind it say, not yet a Mapping or a Rollup."""

    start: int
    end: int
    perms: Permissions
    offset: int
    device: Device
    inode: int
    name: str
    names: list[str] = attrs.Factory(list)
    values: dict[str, Any] = attrs.Factory(dict)
    extra: dict[str, int | str] = attrs.Factory(dict)


def _to_mapping(record: _Record) -> Mapping:
    return Mapping(
        start=record.start,
        end=record.end,
        perms=record.perms,
        offset=record.offset,
        device=record.device,
        inode=record.inode,
        pathname=record.name,
        extra=record.extra,
        **record.values,
    )


class _Reader:
    """Reads lines into records, and learns on the way how the text is laid out."""

    def __init__(self, kind: _Kind, source: str | None, *, strict: bool = True) -> None:
        self.kind = kind
        self.source = source
        self.strict = strict
        self.notes: list[str] = []
        self.order: list[str] = []
        self.styles: dict[str, FieldStyle] = {}
        self._headers: list[re.Match[bytes]] = []
        self._number = 0
        self._line = b""
        self._only_blanks = True

    @property
    def layout(self) -> Layout:
        """Of the text as far as it was read."""
        return _layout([self.styles[name] for name in self.order], self._headers)

    def read(self, lines: Iterable[bytes]) -> Iterator[_Record]:
        """The records, each when the line behind its last one is reached."""
        record: _Record | None = None
        complete: list[str] = []  # the fields of the record before
        for self._number, self._line in enumerate(lines, 1):
            line = self._line
            if header := HEADER.fullmatch(line):
                if record is not None:
                    self._check_has_fields(record)
                    complete = record.names
                    yield record
                record = self._begin(header)
            elif record is not None and (field := FIELD.fullmatch(line)):
                self._add(record, field)
            elif line.strip():
                self._skip(line, before=record is None)
        if record is None:
            if self._number and not self._only_blanks:
                raise self._error(f"{_EXPECTED_HEADER}, got none")
        elif self._is_cut(record, complete):
            names = ", ".join(complete[len(record.names) :][:3]) or "its fields"
            self._refuse_or_note(f"expected {names} next, got the end of the text")
        else:
            yield record

    def _begin(self, header: re.Match[bytes]) -> _Record:
        start, end, perms, offset, device, inode, name = header.groups(b"")
        record = _Record(
            int(start, 16),
            int(end, 16),
            Permissions.parse(perms.decode()),
            int(offset, 16),
            Device.parse(device.decode()),
            int(inode),
            texts.decode(name),
        )
        if record.start >= record.end:
            raise self._error("expected a range whose end is behind its start")
        if record.inode > _LARGEST_INODE:
            raise self._error("expected an inode below 2**64")
        if record.name == _ROLLUP_NAME and self.kind is not _ROLLUP:
            raise self._error(f"expected {self.kind.name}, got smaps_rollup: use parse_rollup")
        if len(self._headers) < _HEADERS_TO_LEARN_FROM:
            self._headers.append(header)
        return record

    def _add(self, record: _Record, field: re.Match[bytes]) -> None:
        name = field[1].decode()
        if not self.kind.has_fields:
            raise self._error(f"{_EXPECTED_HEADER}, got a field: use parse_smaps")
        known = self.kind.table.get(name)
        value: Any
        if known is None:
            value = self._unknown(name, field)
            target, key = record.extra, name
        else:
            value = self._known(known, field[3])
            target, key = record.values, known.attribute
        if key in target:
            if target[key] != value:
                raise self._error(f"expected {name} once in a record, got another {name}")
            self._note(NOTE_TWICE)
            return
        if name not in self.styles:
            self.styles[name] = _style(name, field, known)
            behind = self.order.index(record.names[-1]) + 1 if record.names else 0
            self.order.insert(behind, name)
        target[key] = value
        record.names.append(name)

    def _known(self, field: KernelField, text: bytes) -> int | tuple[str, ...]:
        if field.unit == "codes":
            flags = codes(text)
            if flags is None:
                raise self._error(f"expected two-letter codes behind {field.kernel_name}")
            return flags
        figure = _FIGURE.fullmatch(text)
        if figure is None or figure[2].decode().strip() != field.unit:
            unit = f" {field.unit}" if field.unit else ""
            raise self._error(f"expected '{field.kernel_name}: N{unit}' with a whole number N")
        if len(figure[1]) > _DIGITS_THAT_FIT + 1 or (value := int(figure[1])) > _LARGEST:
            raise self._error(f"expected a figure below 2**63 behind {field.kernel_name}")
        return value

    def _unknown(self, name: str, field: re.Match[bytes]) -> int | str:
        figure = _FIGURE.fullmatch(field[3])
        style = self.styles.get(name)
        # Of another unit than in the record before, or not a figure there: kept as text.
        if (
            figure is None
            or len(figure[1]) > _DIGITS_THAT_FIT
            or (style and not (style.is_figure and style.suffix == figure[2].decode()))
        ):
            return texts.decode(field[3])
        return int(figure[1])

    def _check_has_fields(self, record: _Record) -> None:
        if self.kind.has_fields and not record.names:
            raise self._error("expected fields such as 'Rss: N kB', got another header line")

    def _is_cut(self, record: _Record, complete: list[str]) -> bool:
        if not self.kind.has_fields:
            return False
        names = record.names
        return not names or (len(names) < len(complete) and complete[: len(names)] == names)

    def _skip(self, line: bytes, *, before: bool) -> None:
        """Pass over a line that is no part of the listing, or refuse it."""
        self._only_blanks = False
        if texts.is_ellipsis(line):
            self._note(texts.NOTE_CUT_OUT)
        elif before and self._number <= _PREAMBLE and texts.is_command(line):
            self._note(NOTE_COMMAND)
        elif _LIKE_HEADER.match(line):
            raise self._error(_header_fault(line))
        elif before and FIELD.fullmatch(line) and self.kind.has_fields:
            self._refuse_or_note(f"{_EXPECTED_HEADER}, got a field: the beginning is cut")
        elif self.kind.has_fields and not before:
            raise self._error("expected a field such as 'Rss: N kB' or the next header line")
        elif self._number == 1 and not self.strict:
            self._note(NOTE_CUT)  # perhaps the rest of a field; if not, the next line tells
        else:
            raise self._error(_EXPECTED_HEADER)

    def _note(self, note: str) -> None:
        if note not in self.notes:
            self.notes.append(note)

    def _refuse_or_note(self, message: str) -> None:
        if self.strict:
            raise self._error(message)
        self._note(NOTE_CUT)

    def _error(self, message: str) -> ParseError:
        return ParseError(message, self.source, self._number, texts.decode(self._line))


def _header_fault(line: bytes) -> str:
    """Which part of a line that begins like a header is not what it should be."""
    parts = (
        (rb"[0-9a-f]{1,16}-[0-9a-f]{1,16}", "a range of two addresses like 7f00a000-7f00b000"),
        (rb"[r-][w-][x-][sp]", "permissions like rw-p"),
        (rb"[0-9a-f]{1,16}", "an offset in hex"),
        (rb"[0-9a-f]{1,8}:[0-9a-f]{1,8}", "a device like fe:00"),
        (rb"[0-9]{1,20}", "an inode in decimal"),
    )
    words = line.split(None, len(parts))
    for position, (pattern, what) in enumerate(parts):
        if position >= len(words):
            return f"expected {what}, got the end of the line"
        if not re.fullmatch(pattern, words[position]):
            return f"expected {what}, got {texts.decode(words[position])[:40]!a}"
    return "expected the parts of a header line with one blank between them"


# ---- all at once -------------------------------------------------------------------------


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


def _read_at_once(data: bytes, kind: _Kind) -> tuple[list[Mapping], Layout] | None:
    """All mappings of a text whose records all look like its first; None if they do not."""
    styles = styles_of_first_record(data, kind)
    if styles is None:
        return None
    patterns = [_HEADER + rb"\n", *map(_field_pattern, styles)]
    rows = re.compile(rb"^" + b"".join(patterns), re.MULTILINE).findall(data)
    # Each row is as many whole lines: if their number is right, no line was passed over.
    if len(rows) * len(patterns) != data.count(b"\n") or not data.endswith(b"\n"):
        return None
    mappings = _make_mappings(rows, styles)
    if mappings is None:
        return None
    headers = islice(HEADERS.finditer(data), _HEADERS_TO_LEARN_FROM)
    return mappings, _layout(styles, headers)


def styles_of_first_record(data: bytes, kind: _Kind = _SMAPS) -> list[FieldStyle] | None:
    """How a text's first record writes its fields; None where it is not a plain one."""
    if not HEADER.match(data):
        return None
    lines: list[bytes] = []
    for line in islice(re.finditer(rb"[^\n]*+\n", data), _LONGEST_FAST_RECORD):
        if lines and HEADER.match(line.group()):
            break
        lines.append(line.group()[:-1])
    reader = _Reader(kind, None)
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
    digits = b"(0|[1-9][0-9]{0,%d})" % (_DIGITS_THAT_FIT - 1)
    return name + rb":[ \t]*+" + digits + style.suffix.encode() + rb"\n"


def _make_mappings(
    rows: list[tuple[bytes, ...]], styles: Sequence[FieldStyle]
) -> list[Mapping] | None:
    """Records from rows of the header's groups and one group for each field."""
    at = {style.name: position for position, style in enumerate(styles, _HEADER_GROUPS)}
    figures = [at[style.name] for style in styles if style.is_figure]
    extra = [(name, at[name], at[name] in figures) for name in at if name not in _SMAPS.table]
    size_at, flags_at = at.get("Size"), at.get(FLAGS)
    pick = _getter(figures)
    # What the text does not show is taken from behind the last figure, where None stands.
    position_of = {
        field.attribute: figures.index(at[name])
        for name, field in _SMAPS.table.items()
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
        if start >= end or inode > _LARGEST_INODE or (vm_flags is None and flags_at is not None):
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


def codes(text: bytes) -> tuple[str, ...] | None:
    """The two-letter codes of VmFlags; None where one is none."""
    words = text.decode("ascii", "replace").split()
    return tuple(words) if all(map(_CODE.fullmatch, words)) else None


# ---- how the text is laid out ------------------------------------------------------------

_HEADERS_TO_LEARN_FROM = 100


def _style(name: str, field: re.Match[bytes], known: KernelField | None) -> FieldStyle:
    """How a text writes a field, learnt from the first line that shows it."""
    blanks, rest = field[2].decode(), field[3]
    figure = _FIGURE.fullmatch(rest)
    if known is not None and known.unit == "codes":
        if not rest:  # of an empty list nothing can be learnt
            return kernel_style(name)
        return FieldStyle(name, f"{name}:{blanks}", suffix=" " if rest.endswith(b" ") else "")
    if figure is None or len(figure[1]) > _DIGITS_THAT_FIT + 1:
        return FieldStyle(name, f"{name}:{blanks}")
    digits, suffix = figure[1].decode(), figure[2].decode()
    style = kernel_style(name, suffix)
    if style.write(int(digits)) == f"{name}:{blanks}{digits}{suffix}":
        return style
    if set(blanks) == {" "}:
        width = len(blanks) - 1 + len(digits)
        return FieldStyle(name, f"{name}: ", width, suffix, is_figure=True)
    return FieldStyle(name, f"{name}:{blanks}", 0, suffix, is_figure=True)


def _layout(styles: Iterable[FieldStyle], headers: Iterable[re.Match[bytes]]) -> Layout:
    column: int | None = Layout.DEFAULT_NAME_COLUMN
    nameless: str | None = None
    certain = False
    for header in headers:
        if not header[7]:
            if nameless is None:
                nameless = header.string[header.end(6) : header.end()].decode()
        elif not certain:
            # The kernel puts two blanks at least: one only where the padding is not its own.
            gap = header.start(7) - header.end(6)
            column = None if gap == 1 else header.start(7) - header.start()
            certain = gap != 2  # noqa: PLR2004  two: the header itself may reach to the column
    return Layout(tuple(styles), column, " " if nameless is None else nameless)


def _header_line(mapping: Mapping, layout: Layout) -> str:
    prefix = (
        f"{mapping.start:08x}-{mapping.end:08x} {mapping.perms} "
        f"{mapping.offset or 0:08x} {mapping.device or _NO_DEVICE} {mapping.inode or 0}"
    )
    if not mapping.pathname:
        return prefix + layout.nameless
    if layout.name_column is None:
        return f"{prefix} {mapping.pathname}"
    return f"{prefix} ".ljust(layout.name_column - 1) + f" {mapping.pathname}"
