"""Text in chunks that begin at records, so that each can be parsed while the next is read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from smapskit.formats.smaps.grammar import HEADER

CHUNK_SIZE: Final = 1 << 20
"""Bytes of a chunk. It fits a processor's cache: 4 MiB took half as long again."""
_MAX_RECORD: Final = 1 << 22
"""Bytes of text without a record after which it is split between lines: it is not smaps."""


def split_between_records(chunks: Iterable[bytes], size: int = CHUNK_SIZE) -> Iterator[bytes]:
    """
    Split a text into chunks of about `size` bytes, each of whole records.

    Args:
        chunks: the text in chunks of any size.
        size: a chunk has between `size` and twice as many bytes, except the last ones, and
            where a single record is longer.
    """
    rest = b""
    for chunk in chunks:
        # The last line of the rest was incomplete: only now it may be a header.
        begin, searched = 0, max(rest.rfind(b"\n"), 0)
        text = rest + chunk if rest else chunk
        while (left := len(text) - begin) >= size:
            end = begin + size if left > 2 * size else len(text)
            cut = _last_record(text, max(begin, searched), end) or _next_record(text, end)
            if cut is None and len(text) - begin >= max(_MAX_RECORD, 2 * size):
                cut = text.rfind(b"\n", begin) + 1
            if not cut or cut <= begin:
                break
            yield text[begin:cut]
            begin = cut
        rest = text[begin:] if begin else text
    if rest:
        yield rest


def _last_record(text: bytes, begin: int, end: int) -> int | None:
    """Return where the last record after `begin` starts, its header before `end`."""
    newline = end
    while (newline := text.rfind(b"\n", begin, newline)) >= 0:
        if HEADER.match(text, newline + 1):
            return newline + 1
    return None


def _next_record(text: bytes, begin: int) -> int | None:
    """Return where the first record after `begin` starts."""
    newline = begin - 1
    while (newline := text.find(b"\n", newline + 1)) >= 0:
        if HEADER.match(text, newline + 1):
            return newline + 1
    return None
