"""
A line at a time: any order of fields, fields on some records only, and what is wrong where.

It accepts what travelling put around a text, keeps what it does not know, and is where every
error of a smaps text comes from.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

import attrs

from smapskit import texts
from smapskit.errors import ParseError
from smapskit.records import Device, KernelField, Mapping, Permissions
from smapskit.smaps.grammar import (
    DIGITS_THAT_FIT,
    EXPECTED_HEADER,
    FIELD,
    FIGURE,
    HEADER,
    LARGEST,
    LARGEST_INODE,
    MOST_FIELD_NAMES,
    NOTE_CUT,
    NOTE_EMPTY_RANGE,
    NOTE_TWICE,
    ROLLUP_NAME,
)
from smapskit.smaps.kinds import ROLLUP, Kind, codes
from smapskit.smaps.layout import HEADERS_TO_LEARN_FROM, learnt_layout, style_of
from smapskit.smaps.processes import Expected, begins_process
from smapskit.snapshot import FieldStyle, Layout

_LIKE_HEADER = re.compile(rb"[0-9a-fA-F]+-[0-9a-fA-F]+ ")
_SEPARATOR = re.compile(rb"(?:-+|=+)[ \t]*+")
_MOST_SEEN = 4096
_PREAMBLE = 5  # lines that may stand before a pasted listing: a prompt, its command


@attrs.define
class Record:
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


def to_mapping(record: Record) -> Mapping:
    """The record of a mapping, complete."""
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


class Reader:
    """Reads lines into records, and learns on the way how the text is laid out."""

    def __init__(
        self,
        kind: Kind,
        source: str | None,
        *,
        strict: bool = True,
        expected: Expected = Expected.LIVE,
    ) -> None:
        self.kind = kind
        self.source = source
        self.strict = strict
        self.expected = expected
        self.notes: list[str] = []
        self.order: list[str] = []
        self.styles: dict[str, FieldStyle] = {}
        self._headers: list[re.Match[bytes]] = []
        # Most lines are those of an earlier record again: what they say is kept.
        self._seen: dict[bytes, tuple[str, str, Any]] = {}
        self._number = 0
        self._line = b""
        self._only_blanks = True

    @property
    def layout(self) -> Layout:
        """Of the text as far as it was read."""
        return learnt_layout([self.styles[name] for name in self.order], self._headers)

    def read(self, lines: Iterable[bytes]) -> Iterator[Record]:  # noqa: C901  in a hurry
        """The records, each when the line behind its last one is reached."""
        record: Record | None = None
        complete: list[str] = []  # the fields of the record before
        seen = self._seen
        number, line = 0, b""
        for number, line in enumerate(lines, 1):
            if record is not None and line in seen:
                name, key, value = seen[line]
                if key not in record.values:
                    record.values[key] = value
                    record.names.append(name)
                    continue
            self._number, self._line = number, line
            if header := HEADER.fullmatch(line):
                following = self._begin(header)
                if record is not None and self._is_whole(record, complete, following):
                    complete = record.names
                    yield record
                record = following
            elif record is not None and (field := FIELD.fullmatch(line)):
                self._add(record, field)
            elif line.strip():
                self._skip(line, before=record is None)
        self._number, self._line = number, line
        if record is None:
            if self._number and not self._only_blanks:
                raise self._error(f"{EXPECTED_HEADER}, got none")
        elif self._is_cut(record, complete):
            names = ", ".join(complete[len(record.names) :][:3]) or "its fields"
            self._refuse_or_note(f"expected {names} next, got the end of the text")
        else:
            yield record

    def _begin(self, header: re.Match[bytes]) -> Record:
        start, end, perms, offset, device, inode, name = header.groups(b"")
        record = Record(
            int(start, 16),
            int(end, 16),
            Permissions.parse(perms.decode()),
            int(offset, 16),
            Device.parse(device.decode()),
            int(inode),
            texts.decode(name),
        )
        if record.start > record.end:
            raise self._error("expected a range whose end is behind its start")
        if record.inode > LARGEST_INODE:
            raise self._error("expected an inode below 2**64")
        if record.name == ROLLUP_NAME and self.kind is not ROLLUP:
            raise self._error(f"expected {self.kind.name}, got smaps_rollup: use parse_rollup")
        if record.start == record.end and self.kind is not ROLLUP:
            self._note(NOTE_EMPTY_RANGE)
        if len(self._headers) < HEADERS_TO_LEARN_FROM:
            self._headers.append(header)
        return record

    def _add(self, record: Record, field: re.Match[bytes]) -> None:
        name = field[1].decode()
        if not self.kind.has_fields:
            raise self._error(f"{EXPECTED_HEADER}, got a field: use parse_smaps")
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
            if len(self.styles) == MOST_FIELD_NAMES:
                raise self._error(f"expected at most {MOST_FIELD_NAMES} field names, got another")
            self.styles[name] = style_of(name, field, known)
            before = record.names[-1] if record.names else None
            if self.order and self.order[-1] == before:
                self.order.append(name)
            else:
                self.order.insert(0 if before is None else self.order.index(before) + 1, name)
        target[key] = value
        record.names.append(name)
        if known is not None and len(self._seen) < _MOST_SEEN:
            self._seen[self._line] = (name, key, value)

    def _known(self, field: KernelField, text: bytes) -> int | tuple[str, ...]:
        if field.unit == "codes":
            flags = codes(text)
            if flags is None:
                raise self._error(f"expected two-letter codes behind {field.kernel_name}")
            return flags
        figure = FIGURE.fullmatch(text)
        if figure is None or figure[2].decode().strip() != field.unit:
            unit = f" {field.unit}" if field.unit else ""
            raise self._error(f"expected '{field.kernel_name}: N{unit}' with a whole number N")
        if len(figure[1]) > DIGITS_THAT_FIT + 1 or (value := int(figure[1])) > LARGEST:
            raise self._error(f"expected a figure below 2**53 behind {field.kernel_name}")
        return value

    def _unknown(self, name: str, field: re.Match[bytes]) -> int | str:
        figure = FIGURE.fullmatch(field[3])
        style = self.styles.get(name)
        # Of another unit than in the record before, or not a figure there: kept as text.
        if (
            figure is None
            or len(figure[1]) > DIGITS_THAT_FIT
            or (style and not (style.is_figure and style.suffix == figure[2].decode()))
        ):
            return texts.decode(field[3])
        return int(figure[1])

    def _begins_process(self, record: Record, before: Record) -> bool:
        """Whether a record belongs to another process; refuse it where one is expected."""
        if self.expected is Expected.LIVE:
            return False
        if self.kind is ROLLUP:
            return True
        if not begins_process(record.start, record.end, before.start):
            return False
        if self.expected is Expected.ONE:
            raise self._error(
                f"expected one process, got another: {record.start:x} is below the mapping "
                f"before it; parse_{self.kind.name}_all reads several"
            )
        return True

    def _is_whole(self, record: Record, complete: list[str], following: Record) -> bool:
        """Whether a record is not the cut end of a process's text; that is refused or noted."""
        if self.kind.has_fields and not record.names:
            raise self._error("expected fields such as 'Rss: N kB', got another header line")
        if self._begins_process(following, record) and self._is_cut(record, complete):
            self._refuse_or_note("expected the rest of a record, got another process")
            return False
        return True

    def _is_cut(self, record: Record, complete: list[str]) -> bool:
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
            self._note(texts.NOTE_COMMAND)
        elif self.kind is ROLLUP and _SEPARATOR.fullmatch(line):
            pass  # between the sums of two processes
        elif _LIKE_HEADER.match(line):
            raise self._error(_header_fault(line))
        elif before and FIELD.fullmatch(line) and self.kind.has_fields:
            self._refuse_or_note(f"{EXPECTED_HEADER}, got a field: the beginning is cut")
        elif self.kind.has_fields and not before:
            raise self._error("expected a field such as 'Rss: N kB' or the next header line")
        elif self._number == 1 and not self.strict:
            self._note(NOTE_CUT)  # perhaps the rest of a field; if not, the next line tells
        else:
            raise self._error(EXPECTED_HEADER)

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
