"""Read smaps text with one given parser, to compare the parsers with each other."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain

import pytest

import smapskit
from smapskit.formats.smaps import reader, uniform
from smapskit.formats.smaps.files import SMAPS
from smapskit.formats.smaps.lines import LineParser, columns_of_records
from smapskit.formats.smaps.parse import split_lines
from smapskit.formats.smaps.reader import ColumnReader
from smapskit.model.mapping import build_mappings

Mappings = tuple[smapskit.Mapping, ...]


@contextmanager
def uniform_parser(*, is_used: bool) -> Iterator[None]:
    """Parse uniform chunks of any size with NumPy, or none, whatever their size."""
    size = 0 if is_used else sys.maxsize
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reader, "_MIN_SIZE", size)
        patch.setattr(reader, "_MIN_SIZE_TO_LOAD_NUMPY", size)
        yield


def parse_lines(text: bytes) -> Mappings:
    """Parse every record with the line parser."""
    parser = LineParser(SMAPS)
    records = parser.parse(split_lines(text)) + parser.finish()
    return tuple(chain.from_iterable(map(build_mappings, columns_of_records(records, SMAPS))))


def parse_uniform(text: bytes) -> Mappings | None:
    """Parse every record with the uniform parser; None where the text is not uniform."""
    template = uniform.Template.learn(text, SMAPS, {})
    columns = None if template is None else template.parse(text)
    return None if columns is None else tuple(build_mappings(columns))


def parse_chunks(chunks: Iterable[bytes]) -> Mappings:
    """Parse a text that comes in chunks, as the text of a live process does."""
    parts = ColumnReader(SMAPS, "x").columns(chunks)
    return tuple(chain.from_iterable(map(build_mappings, parts)))


def cut(text: bytes, size: int) -> Iterator[bytes]:
    """Cut a text into chunks of one size."""
    return (text[at : at + size] for at in range(0, len(text), size))
