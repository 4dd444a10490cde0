"""
Encode, decode and sanitize text; parse sizes.

Parsers work on bytes, since a path is bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from smapskit.errors import ParseError

UNPRINTABLE = "\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
"""
Characters that must not reach a terminal, as the inside of a regular expression's class.

Control characters, marks that change the direction of writing, line separators, and bytes that
are not UTF-8.
"""
_UNPRINTABLE = re.compile(f"[{UNPRINTABLE}]")
_SIZE = re.compile(r"([0-9]{1,15}) ?(?:B|([kKMGT])(?:iB)?|(k)B)?")


def encode(text: object) -> bytes:
    """
    Return the text as bytes; surrogate escapes become the bytes that they represent.

    Raises:
        ParseError: a character that cannot come from any file.
        TypeError: neither str nor bytes.
    """
    if isinstance(text, bytes):
        return text
    if not isinstance(text, str):
        msg = f"expected str or bytes, got {type(text).__name__}"
        raise TypeError(msg)
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        line_number = text.count("\n", 0, error.start) + 1
        msg = f"expected text, got the lone surrogate U+{ord(text[error.start]):04X}"
        raise ParseError(msg, line_number=line_number) from None


def encode_lines(lines: Iterable[str | bytes]) -> Iterator[bytes]:
    """
    Return the lines of an open file or a list as bytes.

    Raises:
        TypeError: at once, for a whole text.
    """
    if isinstance(lines, (str, bytes)):
        msg = "expected lines (an open file, a list), got one text; parse_smaps reads that"
        raise TypeError(msg)
    return map(encode, lines)


def decode(name: bytes) -> str:
    """Decode a name: UTF-8, with other bytes as surrogate escapes."""
    return name.decode("utf-8", "surrogateescape")


def sanitize(text: str) -> str:
    """Return `text` with `?` for every character that must not reach a terminal."""
    return _UNPRINTABLE.sub("?", text)


def truncate(text: str, limit: int = 60) -> str:
    """Return at most `limit` characters, with `...` in place of the end of a longer text."""
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def parse_size(text: str) -> int:
    """
    Return the number of bytes in a size such as "512M", "2 MiB", "300 kB" or "4096".

    All units are powers of 1,024, as the kernel's kB is. MB and GB are rejected, since they may
    mean powers of 1,000.

    Raises:
        ValueError: it is not a size.
    """
    size = _SIZE.fullmatch(text)
    if size is None:
        raise ValueError(f"expected a size like 512M or 2 MiB, got {text[:40]!a}")
    return int(size[1]) << 10 * "_KMGT".index((size[2] or size[3] or "_").upper())
