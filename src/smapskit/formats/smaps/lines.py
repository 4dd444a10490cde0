"""
Parse smaps text line by line: fields in any order, fields on some records only.

It keeps unknown fields, and raises every error of a smaps text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice, repeat
from typing import Any, Final

import attrs

from smapskit.errors import ParseError
from smapskit.formats.smaps.files import ROLLUP, ProcFile
from smapskit.formats.smaps.grammar import (
    EXPECTED_HEADER,
    FIELD,
    HEADER,
    HEADER_LINES,
    MAX_DIGITS,
    MAX_FIELD_NAMES,
    MAX_INODE,
    MAX_KB,
    NUMBER,
    ROLLUP_NAME,
    TOO_MANY_FIELDS,
    parse_vm_flags,
)
from smapskit.formats.smaps.layout import (
    HEADERS_TO_LEARN_FROM,
    FieldStyle,
    Layout,
    learn_layout,
    learn_style,
)
from smapskit.formats.smaps.processes import Expected, begins_process
from smapskit.model.columns import Cache, Columns
from smapskit.model.mapping import Device, KernelField
from smapskit.model.notes import Note
from smapskit.text import decode

_LIKE_HEADER = re.compile(rb"[0-9a-fA-F]+-[0-9a-fA-F]+ ")
_LENIENT = "; strict=False (--lenient) omits this record"
_MAX_CACHED_LINES: Final = 4096

_DEVICES = Cache[bytes, str](lambda text: str(Device.parse(text.decode())))
_PERMS = Cache[bytes, str](bytes.decode)


@attrs.define
class RawRecord:
    """A header line and its fields, not yet a Mapping or a Rollup."""

    start: int
    end: int
    perms: str
    offset: int
    device: str
    inode: int
    pathname: str
    fields: dict[str, Any] = attrs.Factory(dict)
    """Values by the kernel's names, in order."""

    def split(self, file: ProcFile) -> tuple[dict[str, Any], dict[str, int | str]]:
        """Return the known fields by attribute, and the others by the kernel's name."""
        known, extra = {}, {}
        for name, value in self.fields.items():
            if field := file.fields.get(name):
                known[field.attribute] = value
            else:
                extra[name] = value
        return known, extra


def columns_of_records(records: Iterable[RawRecord], file: ProcFile) -> Iterator[Columns]:
    """
    Turn records into columns.

    Columns have one order of unknown fields, from which each record's own order follows: there
    is one part for each run of records whose orders agree.
    """
    run: list[RawRecord] = []
    layouts: dict[tuple[str, ...], None] = {}
    positions: dict[str, int] = {}
    for record in records:
        names = tuple(record.fields)
        if names not in layouts:
            unknown = [name for name in names if name not in file.fields]
            if not _add_in_order(unknown, positions):
                yield _columns(run, file, layouts)
                run, layouts, positions = [], {}, {}
                _add_in_order(unknown, positions)
            layouts[names] = None
        run.append(record)
    if run:
        yield _columns(run, file, layouts)


def _add_in_order(names: Iterable[str], positions: dict[str, int]) -> bool:
    """Append unknown names to the order; return whether all are in ascending order."""
    last = -1
    for name in names:
        position = positions.setdefault(name, len(positions))
        if position < last:
            return False
        last = position
    return True


def _columns(
    records: Sequence[RawRecord], file: ProcFile, layouts: Iterable[tuple[str, ...]]
) -> Columns:
    """Turn records into columns; `layouts` has the names of their fields."""
    rows = [record.fields for record in records]
    values: dict[str, list[Any]] = {}
    extra: dict[str, list[Any]] = {}
    for name in dict.fromkeys(chain.from_iterable(layouts)):
        column = list(map(dict.get, rows, repeat(name)))
        if field := file.fields.get(name):
            values[field.attribute] = column
        else:
            extra[name] = column
    sizes = values.get("size") or [None] * len(records)
    values["size"] = [
        (record.end - record.start) // 1024 if size is None else size
        for record, size in zip(records, sizes, strict=True)
    ]
    return Columns(
        start=[record.start for record in records],
        end=[record.end for record in records],
        offset=[record.offset for record in records],
        inode=[record.inode for record in records],
        perms=[record.perms for record in records],
        device=[record.device for record in records],
        pathname=[record.pathname for record in records],
        vm_flags=values.pop("vm_flags", None),
        values=values,
        extra=extra,
    )


class LineParser:
    """Parses lines into records and learns how the text is laid out."""

    def __init__(
        self,
        file: ProcFile,
        source: str | None = None,
        *,
        strict: bool = True,
        expected: Expected = Expected.ANY,
        first_line: int = 1,
        names_before: Sequence[str] = (),
    ) -> None:
        self.file = file
        self.source = source
        self.strict = strict
        self.expected = expected
        self.notes: list[str] = []
        self.styles: dict[str, FieldStyle] = {}
        """How the text writes each field, by the kernel's name."""
        self._order: list[str] = []
        self._header_texts: list[tuple[bytes, int]] = []
        """Texts, and how many of their header lines the layout is learned from."""
        self._headers_to_learn = HEADERS_TO_LEARN_FROM
        # Most field lines occur again in other records: what they mean is cached.
        self._seen: dict[bytes, tuple[str, Any]] = {}
        self.before_error: list[RawRecord] = []
        """The records that were complete when `parse` raised an error."""
        self._record: RawRecord | None = None
        self.names_before = list(names_before)
        """The names of the fields of the last complete record, in this text or before it."""
        self._number = first_line - 1
        self.previous_start = 0
        """First address of the last mapping."""
        self._line = b""
        self._has_records = False
        self._is_blank = True

    @property
    def layout(self) -> Layout:
        """The layout of the text parsed so far."""
        headers = chain.from_iterable(
            islice(HEADER_LINES.finditer(text), count) for text, count in self._header_texts
        )
        return learn_layout([self.styles[name] for name in self._order], headers)

    def parse(self, lines: Sequence[bytes], *, is_partial: bool = False) -> list[RawRecord]:
        """
        Parse the next lines and return the records that are complete.

        A record is complete once the next header line is parsed, or by `skip` or `finish`.

        Args:
            lines: without line ends.
            is_partial: the last line had no line end, so that it may be truncated.
        """
        complete: list[RawRecord] = []
        record = self._record
        seen = self._seen
        first = self._number + 1
        for number, line in enumerate(lines, first):
            if record is not None and line in seen:
                name, value = seen[line]
                if name not in record.fields:
                    record.fields[name] = value
                    continue
            self._number, self._line = number, line
            try:
                if header := HEADER.fullmatch(line):
                    complete += self._end_record()
                    record = self._record = self._begin_record(header)
                elif record is not None and (field := FIELD.fullmatch(line)):
                    self._add(record, field)
                elif line.strip():
                    self._reject_line(line)
            except ParseError as error:
                is_truncated = is_partial and number - first == len(lines) - 1
                if self.strict or not is_truncated:
                    self.before_error = complete
                    raise self._with_advice(error, is_truncated=is_truncated) from None
        self._number = first + len(lines) - 1
        if lines:
            self._line = lines[-1]
        return complete

    def skip(
        self, header_line: bytes, count: int, names: list[str], last_start: int
    ) -> list[RawRecord]:
        """
        Skip complete records that were parsed otherwise; return the record before them.

        Args:
            header_line: the first line skipped.
            count: number of lines skipped.
            names: the fields of the last record skipped.
            last_start: its first address.
        """
        self._number, self._line = self._number + 1, header_line
        complete = self._end_record()
        self._number += count - 1
        self.names_before = names
        self.previous_start = last_start
        self._has_records = True
        return complete

    def finish(self) -> list[RawRecord]:
        """Return the last record, at the end of the text."""
        record, self._record = self._record, None
        if record is None:
            if not self._has_records and not self._is_blank:
                raise self._error(f"{EXPECTED_HEADER}, got none")
            return []
        names = list(record.fields)
        if self.is_truncated(names):
            missing = ", ".join(self.names_before[len(names) :][:3]) or "its fields"
            self._reject_or_note(f"expected {missing} next, got the end of the text")
            return []
        self.names_before = names
        return [record]

    def learn(self, styles: Iterable[FieldStyle], text: bytes = b"", count: int = 0) -> None:
        """Learn the layout from the styles and the text of records that were parsed otherwise."""
        previous = None
        for style in styles:
            if style.name not in self.styles:
                self._learn_style(style, previous)
            previous = style.name
        self._learn_headers(text, count)

    def _end_record(self) -> list[RawRecord]:
        record = self._record
        if record is None:
            return []
        names = list(record.fields)
        if self.file.has_fields and not names:
            raise self._error("expected fields such as 'Rss: N kB', got another header line")
        self._record = None
        if self.file is ROLLUP and self.is_truncated(names):  # each record is a process
            self._reject_or_note("expected the rest of a record, got another process")
            return []
        self.names_before = names
        return [record]

    def _begin_record(self, header: re.Match[bytes]) -> RawRecord:
        start, end, perms, offset, device, inode, name = header.groups(b"")
        record = RawRecord(
            int(start, 16),
            int(end, 16),
            _PERMS[perms],
            int(offset, 16),
            _DEVICES[device],
            int(inode),
            decode(name),
        )
        if record.start > record.end:
            raise self._error("expected a range whose end is after its start")
        if record.inode > MAX_INODE:
            raise self._error("expected an inode below 2**64")
        if record.pathname == ROLLUP_NAME and self.file is not ROLLUP:
            raise self._error(f"expected {self.file.name}, got smaps_rollup: use parse_rollup")
        if record.start == record.end and self.file is not ROLLUP:
            self._note(Note.EMPTY_RANGE)
        if self.expected is Expected.ONE and begins_process(
            record.start, record.end, self.previous_start
        ):
            raise self._error(
                f"expected one process, got another: {record.start:x} is below the mapping "
                f"before it; parse_{self.file.name}_all reads several"
            )
        self.previous_start = record.start
        self._learn_headers(self._line, 1)
        self._has_records = True
        return record

    def _learn_headers(self, text: bytes, count: int) -> None:
        """Learn from the header lines of a text when the layout is requested, not before."""
        count = min(count, self._headers_to_learn)
        if count:
            self._header_texts.append((text, count))
            self._headers_to_learn -= count

    def _add(self, record: RawRecord, field: re.Match[bytes]) -> None:
        name = field[1].decode()
        if not self.file.has_fields:
            raise self._error(f"{EXPECTED_HEADER}, got a field: use parse_smaps")
        known = self.file.fields.get(name)
        value: Any
        if known is None:
            value = self._parse_unknown(name, field)
        else:
            value = self._parse_known(known, field[3])
        if name in record.fields:
            if record.fields[name] != value:
                raise self._error(f"expected {name} once in a record, got another {name}")
            self._note(Note.DUPLICATE_FIELD)
            return
        if name not in self.styles:
            self._learn_field(record, name, learn_style(name, field, known))
        record.fields[name] = value
        if len(self._seen) < _MAX_CACHED_LINES:
            self._seen[self._line] = (name, value)

    def _learn_field(self, record: RawRecord, name: str, style: FieldStyle) -> None:
        if len(self.styles) == MAX_FIELD_NAMES:
            raise self._error(f"{TOO_MANY_FIELDS}, got {name}")
        self._learn_style(style, next(reversed(record.fields), None))

    def _learn_style(self, style: FieldStyle, previous: str | None) -> None:
        """Learn the style of a field that comes after `previous` in its record."""
        self.styles[style.name] = style
        if self._order and self._order[-1] == previous:
            self._order.append(style.name)
        else:
            position = 0 if previous is None else self._order.index(previous) + 1
            self._order.insert(position, style.name)

    def _parse_known(self, field: KernelField, text: bytes) -> int | tuple[str, ...]:
        if field.unit == "codes":
            flags = parse_vm_flags(text)
            if flags is None:
                raise self._error(f"expected two-letter codes after {field.kernel_name}")
            return flags
        number = NUMBER.fullmatch(text)
        if number is None or number[2].decode().strip() != field.unit:
            unit = f" {field.unit}" if field.unit else ""
            raise self._error(f"expected '{field.kernel_name}: N{unit}' with a whole number N")
        if len(number[1]) > MAX_DIGITS + 1 or (value := int(number[1])) > MAX_KB:
            raise self._error(f"expected a number below 2**53 after {field.kernel_name}")
        return value

    def _parse_unknown(self, name: str, field: re.Match[bytes]) -> int | str:
        number = NUMBER.fullmatch(field[3])
        style = self.styles.get(name)
        # Text where the value is not a number, or has another unit than in earlier records.
        if (
            number is None
            or len(number[1]) > MAX_DIGITS
            or (style and not (style.is_numeric and style.suffix == number[2].decode()))
        ):
            return decode(field[3])
        return int(number[1])

    def is_truncated(self, names: list[str]) -> bool:
        """Return whether a next record with these fields is truncated if the text ends there."""
        if not self.file.has_fields:
            return False
        complete = self.names_before if self._record is None else list(self._record.fields)
        return not names or (len(names) < len(complete) and complete[: len(names)] == names)

    def _reject_line(self, line: bytes) -> None:
        """Reject a line that is neither a header line nor a field of a record."""
        self._is_blank = False
        is_preamble = not self._has_records
        if _LIKE_HEADER.match(line):
            raise self._error(_header_fault(line))
        if is_preamble and FIELD.fullmatch(line) and self.file.has_fields:
            self._reject_or_note(f"{EXPECTED_HEADER}, got a field: the beginning is truncated")
        elif self.file.has_fields and not is_preamble:
            raise self._error("expected a field such as 'Rss: N kB' or the next header line")
        elif self._number == 1:  # the rest of a line, perhaps; without `strict` the next decides
            self._reject_or_note(EXPECTED_HEADER)
        else:
            raise self._error(EXPECTED_HEADER)

    def _note(self, note: str) -> None:
        if note not in self.notes:
            self.notes.append(note)

    def _with_advice(self, error: ParseError, *, is_truncated: bool) -> ParseError:
        if not is_truncated or error.message.endswith(_LENIENT):
            return error
        return self._error(f"{error.message}, got a truncated line{_LENIENT}")

    def _reject_or_note(self, message: str) -> None:
        if self.strict:
            raise self._error(message + _LENIENT)
        self._note(Note.TRUNCATED)

    def _error(self, message: str) -> ParseError:
        return ParseError(message, self.source, self._number, decode(self._line))


def _header_fault(line: bytes) -> str:
    """Return which part of a line that begins like a header is malformed."""
    parts = (
        (rb"[0-9a-f]{1,16}-[0-9a-f]{1,16}", "a range of two addresses like 7f00a000-7f00b000"),
        (rb"[r-][w-][x-][sp]", "permissions like rw-p"),
        (rb"[0-9a-f]{1,16}", "an offset in hex"),
        (rb"[0-9a-f]{1,8}:[0-9a-f]{1,8}", "a device like fe:00"),
        (rb"[0-9]{1,20}", "an inode in decimal"),
    )
    words = line.split(None, len(parts))
    for position, (pattern, part) in enumerate(parts):
        if position >= len(words):
            return f"expected {part}, got the end of the line"
        if not re.fullmatch(pattern, words[position]):
            return f"expected {part}, got {decode(words[position])[:40]!r}"
    return "expected the parts of a header line with one blank between them"
