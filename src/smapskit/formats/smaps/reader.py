"""
The only conversion from smaps text to columns.

Most texts have the same fields in the same columns for every mapping: NumPy parses them a chunk
at a time (`uniform`). A chunk that is different is parsed line by line (`lines`).
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from smapskit.errors import ParseError
from smapskit.formats.smaps.chunks import split_between_records
from smapskit.formats.smaps.files import ProcFile
from smapskit.formats.smaps.grammar import MAX_FIELD_NAMES
from smapskit.formats.smaps.layout import Layout
from smapskit.formats.smaps.lines import LineParser, columns_of_records
from smapskit.formats.smaps.processes import Expected, process_starts
from smapskit.formats.smaps.uniform import Template
from smapskit.model.columns import Columns
from smapskit.model.notes import Note

# Loading NumPy takes as long as parsing about 1 MiB line by line.
_MIN_SIZE_TO_LOAD_NUMPY: Final = 1 << 20
_MIN_SIZE: Final = 1 << 14


class ColumnReader:
    """Reads smaps or maps text into columns; its notes and layout are complete at the end."""

    def __init__(
        self,
        file: ProcFile,
        source: str | None = None,
        *,
        strict: bool = True,
        expected: Expected = Expected.ANY,
        first_line: int = 1,
        names_before: Sequence[str] = (),
        template: Template | None = None,
    ) -> None:
        """
        Prepare to read one text.

        Args:
            file: what the text is.
            source: its name in errors.
            strict: see `parse_smaps`.
            expected: how many processes the text may contain.
            first_line: the number of its first line in errors.
            names_before: the fields of the record before it, which tell whether the first
                record is truncated.
            template: that of another text, which is tried first.
        """
        self._lines = LineParser(
            file,
            source,
            strict=strict,
            expected=expected,
            first_line=first_line,
            names_before=names_before,
        )
        self._template = template
        self._is_learned = template is None
        self._chunks_to_wait = 0
        self._failures = 0
        self._is_empty = True
        self._ends_in_newline = True

    @property
    def notes(self) -> list[str]:
        """What was unusual about the text read so far."""
        notes = list(self._lines.notes)
        if self._is_empty:
            notes.append(Note.EMPTY)
        elif not self._ends_in_newline:
            notes.append(Note.NO_NEWLINE)
        return notes

    @property
    def layout(self) -> Layout:
        """How the text read so far is laid out."""
        return self._lines.layout

    @property
    def template(self) -> Template | None:
        """What the records read last have in common; None where they were irregular."""
        return self._template

    @property
    def last_names(self) -> list[str]:
        """The names of the fields of the last complete record."""
        return self._lines.names_before

    def columns(self, chunks: Iterable[bytes]) -> Iterator[Columns]:
        """
        Yield the mappings of a text as columns.

        Args:
            chunks: the text in chunks of any size.

        Raises:
            ParseError: with source and line, after the records before the malformed line.
        """
        for chunk in split_between_records(chunks):
            self._ends_in_newline = chunk.endswith(b"\n")
            self._is_empty = self._is_empty and not chunk.strip()
            columns = self._parse_uniform(chunk)
            if columns is not None and self._template is not None:
                names = self._template.field_names
                header_line = chunk[: chunk.index(b"\n")]
                count = len(columns) * (1 + len(names))
                records = self._lines.skip(header_line, count, names, columns.start[-1])
            else:
                lines = chunk.split(b"\n")
                if self._ends_in_newline:
                    lines.pop()
                try:
                    records = self._lines.parse(lines, is_partial=not self._ends_in_newline)
                except ParseError:
                    yield from columns_of_records(self._lines.before_error, self._lines.file)
                    raise
            yield from columns_of_records(records, self._lines.file)
            if columns is not None:
                yield columns
        yield from columns_of_records(self._lines.finish(), self._lines.file)

    def _parse_uniform(self, chunk: bytes) -> Columns | None:
        """Parse a chunk by columns; None where it must be parsed line by line."""
        min_size = _MIN_SIZE if "numpy" in sys.modules else _MIN_SIZE_TO_LOAD_NUMPY
        if self._template is None and len(chunk) < min_size:
            return None
        if self._chunks_to_wait:
            self._chunks_to_wait -= 1
            return None
        template = self._template
        columns = None if template is None else template.parse(chunk)
        if template is None or (columns is None and not self._is_learned):
            self._is_learned = True
            template = Template.learn(chunk, self._lines.file, self._lines.styles)
            if template is not None and not self._is_usable(template):
                self._template = None
                return None  # the line parser reports it, if it is an error
            columns = None if template is None else template.parse(chunk)
        if columns is not None and self._lines.expected is Expected.ONE:
            previous = self._lines.previous_start
            if any(process_starts([previous, *columns.start], [previous, *columns.end])):
                return None  # the line parser reports it
        if template is None or columns is None:
            # An irregular text is irregular throughout, as a rule: do not try each chunk.
            self._failures += 1
            self._chunks_to_wait = 2**self._failures - 1
            self._template = None
            return None
        self._template, self._failures = template, 0
        self._lines.learn(template.styles, chunk, len(columns))
        return columns

    def _is_usable(self, template: Template) -> bool:
        """Return whether a template is certain to be that of complete records."""
        # The record that it was learned from may be the truncated last one of the text.
        is_complete = not self._lines.is_truncated(template.field_names)
        names = self._lines.styles.keys() | template.field_names
        return is_complete and len(names) <= MAX_FIELD_NAMES
