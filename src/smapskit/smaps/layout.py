"""How a text of the kernel's is laid out: learnt from it, to write it again."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from smapskit.records import Device, KernelField, Mapping
from smapskit.smaps.grammar import DIGITS_THAT_FIT, FIGURE
from smapskit.snapshot import FieldStyle, Layout, kernel_style

_NO_DEVICE = Device(0, 0)
HEADERS_TO_LEARN_FROM: Final = 100


def style_of(name: str, field: re.Match[bytes], known: KernelField | None) -> FieldStyle:
    """How a text writes a field, learnt from the first line that shows it."""
    blanks, rest = field[2].decode(), field[3]
    figure = FIGURE.fullmatch(rest)
    if known is not None and known.unit == "codes":
        if not rest:  # of an empty list nothing can be learnt
            return kernel_style(name)
        return FieldStyle(name, f"{name}:{blanks}", suffix=" " if rest.endswith(b" ") else "")
    if figure is None or len(figure[1]) > DIGITS_THAT_FIT + 1:
        return FieldStyle(name, f"{name}:{blanks}")
    digits, suffix = figure[1].decode(), figure[2].decode()
    style = kernel_style(name, suffix)
    if style.write(int(digits)) == f"{name}:{blanks}{digits}{suffix}":
        return style
    if set(blanks) == {" "}:
        width = len(blanks) - 1 + len(digits)
        return FieldStyle(name, f"{name}: ", width, suffix, is_figure=True)
    return FieldStyle(name, f"{name}:{blanks}", 0, suffix, is_figure=True)


def learnt_layout(styles: Iterable[FieldStyle], headers: Iterable[re.Match[bytes]]) -> Layout:
    """The layout of a text, from how it writes fields and from its first header lines."""
    column: int | None = Layout.DEFAULT_NAME_COLUMN
    nameless: str | None = None
    certain = False
    wide: list[int] = []  # where names start that may be pushed beyond the column
    for header in headers:
        if not header[7]:
            if nameless is None:
                nameless = header.string[header.end(6) : header.end()].decode()
        elif not certain:
            # The kernel puts two blanks at least: one only where the padding is not its own.
            gap = header.start(7) - header.end(6)
            certain = gap != 2  # noqa: PLR2004  two: the header itself may reach to the column
            wide.append(header.start(7) - header.start())
            column = None if gap == 1 else wide[-1] if certain else min(wide)
    return Layout(tuple(styles), column, " " if nameless is None else nameless)


def header_line(mapping: Mapping, layout: Layout) -> str:
    """The line that a mapping's record begins with."""
    prefix = (
        f"{mapping.start:08x}-{mapping.end:08x} {mapping.perms} "
        f"{mapping.offset or 0:08x} {mapping.device or _NO_DEVICE} {mapping.inode or 0}"
    )
    if not mapping.pathname:
        return prefix + layout.nameless
    if layout.name_column is None:
        return f"{prefix} {mapping.pathname}"
    return f"{prefix} ".ljust(layout.name_column - 1) + f" {mapping.pathname}"
