"""
The tables of a report: columns with their values, declared once for HTML and for the script.

The script shows all rows, sorted and filtered. The HTML has the largest ones, for print and for
browsers without JavaScript.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Sequence
from collections.abc import Mapping as MappingOf
from typing import Any, Final

import attrs

from smapskit.model.diff import Difference
from smapskit.model.kinds import kinds
from smapskit.model.mapping import COUNTERS, Mapping, Permissions, kernel_fields
from smapskit.model.snapshot import Snapshot
from smapskit.model.totals import Totals
from smapskit.text import sanitize
from smapskit.views.columns import (
    HEADINGS,
    OF_CHANGES,
    OF_GROUPS,
    OF_MAPPINGS,
    OF_RECORDINGS,
    UNKNOWN,
    label,
)

MAX_EXACT: Final = 2**53 - 1
"""The largest whole number that JavaScript represents exactly."""


class ColumnType(enum.StrEnum):
    """What the values of a column are."""

    RANGE = "range"
    """A start and an end (exclusive) of addresses."""
    TEXT = "text"
    KB = "kb"
    """A size in kB; None where it is not reported."""
    CHANGE = "change"
    """A change of a size in kB."""
    NUMBER = "number"


@attrs.frozen
class Column:
    """A column of a table."""

    name: str
    heading: str
    type: ColumnType
    values: Sequence[Any]
    is_shown: bool = True
    """Whether it is in the table; otherwise only in the details of a row."""

    def encode(self) -> dict[str, Any]:
        """Return it in the compact form that the script decodes."""
        encoded: dict[str, Any] = {
            "name": self.name,
            "heading": self.heading,
            "type": self.type,
            "shown": self.is_shown,
        }
        if self.type is ColumnType.RANGE:
            return encoded | _encode_ranges(self.values)
        if self.type is ColumnType.TEXT:
            texts = {text: code for code, text in enumerate(dict.fromkeys(self.values))}
            codes = [texts[text] for text in self.values]
            return encoded | {"texts": list(texts), "values": _once(codes)}
        return encoded | {"values": _once(self.values)}


def _once(values: Sequence[Any]) -> Any:
    """Return one value where all are equal, else a list."""
    return values[0] if values and all(value == values[0] for value in values) else list(values)


def _encode_ranges(ranges: Sequence[tuple[int, int]]) -> dict[str, str]:
    """
    Return hexadecimal distances to the end of the range before, and lengths.

    JavaScript's numbers are not exact above 2**53, and most distances are 0.
    """
    gaps, lengths, last = [], [], 0
    for start, end in ranges:
        gaps.append(f"{start - last:x}")
        lengths.append(f"{end - start:x}")
        last = end
    return {"gaps": " ".join(gaps), "lengths": " ".join(lengths)}


@attrs.frozen
class Table:
    """A table of a report."""

    id: str
    """Of its HTML element."""
    title: str
    noun: str
    """What a row is, in the plural."""
    columns: Sequence[Column]
    count: int
    """Number of rows."""
    largest_first: Sequence[int]
    """The rows as the HTML shows them."""

    def encode(self) -> dict[str, Any]:
        """Return it in the compact form that the script decodes."""
        columns = [column.encode() for column in self.columns]
        return {"id": self.id, "noun": self.noun, "count": self.count, "columns": columns}

    @property
    def has_inexact_values(self) -> bool:
        """Whether the script rounds values."""
        return any(
            abs(value or 0) > MAX_EXACT
            for column in self.columns
            if column.type in (ColumnType.KB, ColumnType.CHANGE)
            for value in column.values
        )


_FIELDS: Final = {field.attribute: field for field in kernel_fields(Mapping).values()}
_HEADINGS_OF_DETAILS: Final = {"uss": HEADINGS["uss"], "pmap_dirty": "Dirty (pmap)"}


def mapping_table(snapshot: Snapshot) -> Table:
    """Return one row per mapping, with every value that is reported."""
    mappings = snapshot.mappings
    verdicts = snapshot.kinds()
    permissions: dict[Permissions, str] = {each: str(each) for each in {m.perms for m in mappings}}
    labels = _Labels()
    known_by = [f"{v.source}{f', {v.owner}' if v.owner else ''}: {v.reason}" for v in verdicts]
    columns = [
        Column("address", "Address", ColumnType.RANGE, [(m.start, m.end) for m in mappings]),
        _text("perms", HEADINGS["perms"], (permissions[m.perms] for m in mappings)),
        _text("kind", HEADINGS["kind"], (v.kind.value for v in verdicts)),
        *_sizes(mappings, OF_MAPPINGS),
        _text("pathname", HEADINGS["pathname"], (labels[m.pathname] for m in mappings)),
        _text("known_by", "Kind known by", known_by, is_shown=False),
        _text("backing", HEADINGS["backing"], (label(m.backing) for m in mappings), is_shown=False),
    ]
    details: list[tuple[str, str, Callable[[Mapping], Any]]] = [
        ("offset", "Offset", lambda m: m.offset if m.offset is None else f"{m.offset:x}"),
        ("device", "Device", lambda m: m.device),
        ("inode", "Inode", lambda m: m.inode),
        ("flags", "VmFlags", lambda m: m.vm_flags if m.vm_flags is None else " ".join(m.vm_flags)),
        ("page_size", "KernelPageSize (kB)", lambda m: m.kernel_page_size),
        ("extra", "Other fields", lambda m: _extra(m.extra) or None),
    ]
    for name, heading, read in details:
        values = [read(mapping) for mapping in mappings]
        if any(value is not None for value in values):
            texts = (UNKNOWN if value is None else sanitize(str(value)) for value in values)
            columns.append(_text(name, heading, texts, is_shown=False))
    others = [name for name in (*COUNTERS, "uss") if name not in OF_MAPPINGS]
    columns += _sizes(mappings, others, is_shown=False)
    sizes = {column.name: column.values for column in columns if column.type is ColumnType.KB}
    key = sizes.get("rss", sizes["size"])
    order = sorted(range(len(mappings)), key=lambda row: (-(key[row] or 0), mappings[row].start))
    return Table("mappings", "Mappings", "mappings", columns, len(mappings), order)


def _extra(fields: MappingOf[str, object]) -> str:
    return "; ".join(f"{name}: {value}" for name, value in fields.items())


def _text(name: str, heading: str, texts: Iterable[str], *, is_shown: bool = True) -> Column:
    return Column(name, heading, ColumnType.TEXT, list(texts), is_shown)


def _sizes(
    mappings: Sequence[Mapping], names: Iterable[str], *, is_shown: bool = True
) -> list[Column]:
    """Return the columns of the counters that at least one mapping has."""
    columns = []
    for name in names:
        values = [getattr(mapping, name) for mapping in mappings]
        if name == "size" or any(value is not None for value in values):
            heading = HEADINGS.get(name) or _HEADINGS_OF_DETAILS.get(name)
            heading = heading or _FIELDS[name].kernel_name
            columns.append(Column(name, heading, ColumnType.KB, values, is_shown))
    return columns


class _Labels(dict[str, str]):
    """The labels of names, each computed once."""

    def __missing__(self, name: str) -> str:
        self[name] = label(name)
        return self[name]


def change_table(difference: Difference) -> Table:
    """Return one row per change, the largest first."""
    changes = difference.changes
    kind_of = {
        id(mapping): verdict.kind.value
        for side in (difference.before, difference.after)
        for mapping, verdict in zip(side, kinds(side), strict=True)
    }
    columns = [
        _text("change", "Change", (change.kind.value for change in changes)),
        Column(
            "address",
            "Address",
            ColumnType.RANGE,
            [(change.mapping.start, change.mapping.end) for change in changes],
        ),
        _text("perms", HEADINGS["perms"], (str(change.mapping.perms) for change in changes)),
        _text("kind", HEADINGS["kind"], (kind_of.get(id(c.mapping), "(unknown)") for c in changes)),
    ]
    for name in OF_CHANGES:
        pairs = [(_sum(c.before, name), _sum(c.after, name)) for c in changes]
        values = [None if None in pair else pair[1] - pair[0] for pair in pairs]  # type: ignore[operator]
        if any(value is not None for value in values):
            columns.append(Column(name, HEADINGS[name], ColumnType.CHANGE, values))
            for when, side in (("before", 0), ("after", 1)):
                sums = [pair[side] for pair in pairs]
                heading = f"{HEADINGS[name]} {when}"
                columns.append(Column(f"{name}_{when}", heading, ColumnType.KB, sums, False))
    names = [label(change.mapping.pathname) for change in changes]
    columns.append(_text("pathname", HEADINGS["pathname"], names))
    return Table("changes", "All changes", "changes", columns, len(changes), range(len(changes)))


def _sum(mappings: Sequence[Mapping], name: str) -> int | None:
    """Return the sum over one side of a change: 0 for none, None where it is not reported."""
    known = [value for each in mappings if (value := getattr(each, name)) is not None]
    return sum(known) if known or not mappings else None


def sample_table(samples: Sequence[tuple[float, str, Totals]]) -> Table:
    """
    Return one row per sample and group.

    Args:
        samples: seconds since the beginning, the group and its sums.
    """
    columns = [
        Column("seconds", "Seconds", ColumnType.NUMBER, [seconds for seconds, _, _ in samples]),
        _text("group", "Group", (label(group) for _, group, _ in samples)),
        Column("count", HEADINGS["count"], ColumnType.NUMBER, [t.count for _, _, t in samples]),
    ]
    names = dict.fromkeys([*OF_GROUPS, *OF_RECORDINGS, *COUNTERS])
    for name in names:
        values = [getattr(totals, name) for _, _, totals in samples]
        if any(value is not None for value in values):
            heading = HEADINGS.get(name) or _FIELDS[name].kernel_name
            columns.append(Column(name, heading, ColumnType.KB, values, name in OF_GROUPS))
    if len({group for _, group, _ in samples}) <= 1:
        columns = [column for column in columns if column.name != "group"]
    count = len(samples)
    return Table("samples", "Samples", "samples", columns, count, range(count))
