"""A text in parts of whole records, so that each can be read while the next is on its way."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from smapskit.smaps.grammar import HEADER

_PIECE: Final = 1 << 22


def parts_of(data: bytes) -> Iterator[bytes]:
    """A text in parts of whole records, so that what is made of each can go again."""
    return whole_records(data[at : at + _PIECE] for at in range(0, len(data), _PIECE))


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
