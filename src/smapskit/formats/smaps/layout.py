"""How a text of the kernel is laid out: learned from it, to write it again."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar, Final

import attrs

from smapskit.formats.smaps.grammar import MAX_DIGITS, NUMBER, VM_FLAGS_FIELD
from smapskit.model.mapping import COUNTERS, Device, KernelField, Mapping, kernel_fields

if TYPE_CHECKING:
    from smapskit.model.snapshot import Snapshot

HEADERS_TO_LEARN_FROM: Final = 100
_NO_DEVICE = Device(0, 0)


@attrs.frozen
class FieldStyle:
    """How a smaps text writes one field: `prefix`, the number right-justified, `suffix`."""

    name: str
    prefix: str
    width: int = 0
    suffix: str = ""
    is_numeric: bool = False

    def write(self, value: int | str | tuple[str, ...]) -> str:
        """Return the line of the field, without a line end."""
        if isinstance(value, int):
            return f"{self.prefix}{value:{self.width}d}{self.suffix}"
        if isinstance(value, str):
            return self.prefix + value
        return self.prefix + " ".join(value) + (self.suffix if value else "")


@attrs.frozen
class Layout:
    """How a smaps or maps text is laid out."""

    DEFAULT_NAME_COLUMN: ClassVar = 73

    fields: tuple[FieldStyle, ...]
    """In the order of the text; empty for maps."""
    name_column: int | None = DEFAULT_NAME_COLUMN
    """Column where names start, counted from 0; None for a single blank before them."""
    nameless: str = " "
    """What follows the inode of a mapping without a name."""


def default_style(name: str, suffix: str = " kB") -> FieldStyle:
    """Return the style of current kernels: the name in 16 columns, then a number in 8."""
    if name == VM_FLAGS_FIELD:
        return FieldStyle(name, f"{name}: ", suffix=" ")
    prefix = f"{name}: ".ljust(16)
    return FieldStyle(name, prefix, 24 - len(prefix), suffix, is_numeric=True)


def default_layout(snapshot: Snapshot) -> Layout:
    """Return the layout of current kernels, for mappings that were not read from smaps."""
    if not any(getattr(mapping, name) is not None for mapping in snapshot for name in COUNTERS):
        return Layout(())
    units = {name: field.unit for name, field in kernel_fields(Mapping).items()}
    styles = [default_style(name, " kB" if unit == "kB" else "") for name, unit in units.items()]
    extra = dict.fromkeys(name for mapping in snapshot for name in mapping.extra)
    styles[-1:-1] = map(default_style, extra)
    return Layout(tuple(styles))


def learn_style(name: str, field: re.Match[bytes], known: KernelField | None) -> FieldStyle:
    """Return how a text writes a field, learned from the first line that has it."""
    blanks, rest = field[2].decode(), field[3]
    number = NUMBER.fullmatch(rest)
    if known is not None and known.unit == "codes":
        if not rest:  # nothing can be learned from an empty list
            return default_style(name)
        return FieldStyle(name, f"{name}:{blanks}", suffix=" " if rest.endswith(b" ") else "")
    if number is None or len(number[1]) > MAX_DIGITS + 1:
        return FieldStyle(name, f"{name}:{blanks}")
    digits, suffix = number[1].decode(), number[2].decode()
    style = default_style(name, suffix)
    if style.write(int(digits)) == f"{name}:{blanks}{digits}{suffix}":
        return style
    if set(blanks) == {" "}:
        width = len(blanks) - 1 + len(digits)
        return FieldStyle(name, f"{name}: ", width, suffix, is_numeric=True)
    return FieldStyle(name, f"{name}:{blanks}", 0, suffix, is_numeric=True)


def learn_layout(styles: Iterable[FieldStyle], headers: Iterable[re.Match[bytes]]) -> Layout:
    """Return the layout of a text, from the styles of its fields and its first header lines."""
    column: int | None = Layout.DEFAULT_NAME_COLUMN
    nameless: str | None = None
    is_certain = False
    columns: list[int] = []  # of names that long headers may have pushed to the right
    for header in headers:
        if not header[7]:
            if nameless is None:
                nameless = header.string[header.end(6) : header.end()].decode()
        elif not is_certain:
            # The kernel writes at least two blanks; a single one is not the kernel's padding.
            gap = header.start(7) - header.end(6)
            is_certain = gap != 2  # noqa: PLR2004  with two, the header may reach the column
            columns.append(header.start(7) - header.start())
            column = None if gap == 1 else columns[-1] if is_certain else min(columns)
    return Layout(tuple(styles), column, " " if nameless is None else nameless)


def header_line(mapping: Mapping, layout: Layout) -> str:
    """Return the header line of a mapping."""
    prefix = (
        f"{mapping.start:08x}-{mapping.end:08x} {mapping.perms} "
        f"{mapping.offset or 0:08x} {mapping.device or _NO_DEVICE} {mapping.inode or 0}"
    )
    if not mapping.pathname:
        return prefix + layout.nameless
    if layout.name_column is None:
        return f"{prefix} {mapping.pathname}"
    return f"{prefix} ".ljust(layout.name_column - 1) + f" {mapping.pathname}"
