"""A text in parts of whole records, so that each can be read while the next is on its way."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from smapskit.formats.smaps.grammar import HEADER

_PIECE: Final = 1 << 20  # what a processor's cache holds: 4 MiB take half as long again


def parts_of(data: bytes) -> Iterator[bytes]:
    """Cut a whole text between records, so that what is made of each part can go again."""
    begin = 0
    while begin < len(data):
        end = _beginning_of_record(data, begin, begin + _PIECE)
        yield data[begin:end]
        begin = end


def _beginning_of_record(data: bytes, after: int, near: int) -> int:
    """Where the last record before a place begins, if not at `after`; else the text's end."""
    cut = near
    while near < len(data) and (cut := data.rfind(b"\n", after, cut)) > after:
        if HEADER.match(data, cut + 1):
            return cut + 1
    return len(data)


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


def keeping(pieces: Iterable[bytes], kept: list[bytes]) -> Iterator[bytes]:
    """The pieces, each also kept: who can't go on begins again with what was kept."""
    for piece in pieces:
        kept.append(piece)
        yield piece
