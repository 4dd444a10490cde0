"""
Columns and records as pandas DataFrames, and back.

One row per mapping, one column per attribute of `Mapping`.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Literal

import attrs
import numpy as np
import pandas as pd

from smapskit.formats.smaps.files import SMAPS
from smapskit.formats.smaps.parse import check_single
from smapskit.formats.smaps.pasted import Pasted, parse_pasted
from smapskit.formats.smaps.processes import Expected
from smapskit.formats.smaps.reader import ColumnReader
from smapskit.model.backing import Backing, Sharing, sharing_of
from smapskit.model.columns import Cache, Columns
from smapskit.model.diff import ChangeKind, Difference
from smapskit.model.kinds import KIND_RULES, KindSource, MappingKind, rules_of
from smapskit.model.mapping import (
    COUNTERS,
    MAPPING_FIELDS,
    Device,
    Mapping,
    Permissions,
    kernel_fields,
    to_columns,
)
from smapskit.model.places import Places
from smapskit.model.snapshot import Snapshot

Unit = Literal["kB", "MiB", "bytes"]

_ADDRESSES: Final = ("start", "end", "offset", "inode")
_STRINGS: Final = ("perms", "device", "pathname", "vm_flags")
_CATEGORIES: Final[dict[str, type[StrEnum]]] = {
    "backing": Backing,
    "sharing": Sharing,
    "kind": MappingKind,
    "kind_source": KindSource,
}
_SIZES: Final = frozenset(
    field.attribute for field in kernel_fields(Mapping).values() if field.unit == "kB"
) | {"pmap_dirty"}
_OPTIONAL: Final = ("pmap_dirty",)
"""Columns that only frames with such values have; unknown fields follow them."""

COLUMNS: Final = tuple(
    column
    for name in MAPPING_FIELDS
    if name not in ("extra", *_OPTIONAL)
    for column in ([name, *_CATEGORIES] if name == "pathname" else [name])
)
"""The columns that every frame has, in order."""

_RESERVED: Final = frozenset((*COLUMNS, *MAPPING_FIELDS, "pid", "time", "source"))
"""Names that an unknown field does not get: attributes, the index and the source of `concat`."""
_PREFIX_OF_EXTRA: Final = "extra."
_PER_KB: Final[dict[Unit, int]] = {"kB": 1, "bytes": 1024}
_MAX_INT64: Final = 2**63 - 1

_STRING: Any = "string"
_PYTHON_STRING: Any = "string"
if int(pd.__version__.partition(".")[0]) >= 3:  # noqa: PLR2004  pandas 3 has its own string type
    _STRING = "str"
    _PYTHON_STRING = pd.StringDtype("python", na_value=np.nan)


def to_frame(snapshot: Snapshot, unit: Unit = "kB") -> pd.DataFrame:
    """
    Return one row per mapping, in the order of the snapshot.

    Args:
        snapshot: the mappings.
        unit: of all sizes: "kB" and "bytes" are integers, "MiB" has fractions.

    Returns:
        Columns by the names of the records' attributes. Addresses, offset and inode are uint64
        (the vsyscall page does not fit int64), other numbers int64; each is the nullable
        UInt64, Int64 or Float64 where a value is missing. A column of sizes is uint64 if one is
        2**63 bytes or more. `backing`, `sharing`, `kind` and `kind_source` are ordered
        categories; `perms`, `device`, `pathname` and `vm_flags` are strings. Fields without an
        attribute are columns by the kernel's name; `pmap_dirty` exists where a pmap table
        reports it. `attrs` has pid, command, time, source and unit.
    """
    frame = from_columns(
        [to_columns(snapshot.mappings)],
        unit,
        pid=snapshot.pid,
        command=snapshot.command,
        time=snapshot.time,
        source=snapshot.source,
    )
    if snapshot.is_part:
        verdicts = snapshot.kinds()
        for name, values in (
            ("kind", [verdict.kind for verdict in verdicts]),
            ("kind_source", [verdict.source for verdict in verdicts]),
        ):
            frame[name] = pd.Categorical(values, dtype=_category(_CATEGORIES[name]))
    return frame


def parse_frame(
    text: str | bytes, unit: Unit = "kB", *, source: str | None = None, strict: bool = True
) -> pd.DataFrame:
    """
    Parse smaps text into a DataFrame without building records.

    Equal to `parse_smaps(text).to_frame(unit)`. Args and errors are those of `parse_smaps` and
    `to_frame`.
    """

    def parse(pasted: Pasted, is_strict: bool) -> pd.DataFrame:
        check_single(pasted, SMAPS, source)
        reader = ColumnReader(SMAPS, source, strict=is_strict, expected=Expected.ONE)
        return from_columns(reader.columns([pasted.data]), unit, source=source)

    return parse_pasted(text, SMAPS, source, parse, strict=strict)


def from_columns(
    parts: Iterable[Columns],
    unit: Unit = "kB",
    *,
    pid: int | None = None,
    command: str | None = None,
    time: datetime | None = None,
    source: str | None = None,
) -> pd.DataFrame:
    """
    Build the frame of consecutive mappings given as columns: see `to_frame`.

    Raises:
        ValueError: an unknown unit.
    """
    builder = FrameBuilder()
    for columns in parts:
        builder.add(columns)
    builder.end_process()
    frame = builder.frame(unit)
    frame.attrs = {
        "pid": pid,
        "command": command,
        "time": None if time is None else time.isoformat(),
        "source": source,
        "unit": unit,
    }
    return frame


class _GrowingArray:
    """An array to which rows are appended in place: arrays to join would need twice the memory."""

    def __init__(self, dtype: Any) -> None:
        self._values = np.empty(0, dtype=dtype)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def append(self, values: Any) -> None:
        """Append an array."""
        begin, self._count = self._count, self._count + len(values)
        if self._count > len(self._values):
            larger = np.empty(max(self._count, 2 * begin), dtype=self._values.dtype)
            larger[:begin] = self._values[:begin]
            self._values = larger
        self._values[begin : self._count] = values

    def array(self) -> Any:
        """Return the rows."""
        return self._values[: self._count]


class _NumberColumn:
    """A column of integers, some of which may be missing; of text where one is text."""

    def __init__(self, dtype: Any) -> None:
        self._dtype = dtype
        self._values = _GrowingArray(dtype)
        self._mask: _GrowingArray | None = None
        """Whether each value is missing; None where none is."""
        self._texts: list[Any] | None = None

    def add(self, first_row: int, array: Any) -> None:
        """Append what `_array` returned; rows before it that were not added are missing."""
        self.pad(first_row)
        if isinstance(array, list) and self._texts is None:
            self._texts = _plain_values(self.array())
        if self._texts is not None:
            self._texts += _plain_values(array)
            return
        if isinstance(array, pd.arrays.IntegerArray):
            self._append(array.to_numpy(self._dtype, na_value=0), array.isna())
        else:
            self._append(array, None)

    def pad(self, count: int) -> None:
        """Append missing values up to a number of rows."""
        if self._texts is not None:
            self._texts += [None] * (count - len(self._texts))
        elif missing := count - len(self._values):
            self._append(np.zeros(missing, dtype=np.int8), np.ones(missing, dtype=bool))

    def _append(self, values: Any, mask: Any) -> None:
        if mask is not None and self._mask is None:
            self._mask = _GrowingArray(bool)
            self._mask.append(np.zeros(len(self._values), dtype=bool))
        if self._mask is not None:
            self._mask.append(np.zeros(len(values), dtype=bool) if mask is None else mask)
        self._values.append(values)

    def array(self) -> Any:
        """Return an array of integers, a masked one where values are missing; text as a list."""
        if self._texts is not None:
            return self._texts
        values = self._values.array()
        if self._mask is None:
            return values
        return pd.arrays.IntegerArray(values, self._mask.array())


class _StringColumn:
    """A column of strings as its distinct values and, for each row, the index of its value."""

    def __init__(self) -> None:
        self._values: list[Any] = []
        self._index = Cache(self._append)
        self._indexes = _GrowingArray(np.int32)

    def _append(self, key: Any) -> int:
        self._values.append(key)
        return len(self._values) - 1

    def add(self, keys: Sequence[Any]) -> None:
        """Append rows: strings, or tuples to join with blanks, or None."""
        self._indexes.append(np.array([self._index[key] for key in keys], dtype=np.int32))

    def encoded(self) -> tuple[list[Any], Any]:
        """Return the distinct values, and for each row the index of its value."""
        return self._values, self._indexes.array()

    def extend(self, values: list[Any], indexes: Any) -> None:
        """Append the rows that `encoded` of another column returned."""
        positions = np.array([self._index[value] for value in values], dtype=np.int32)
        self._indexes.append(positions[indexes])

    def array(self) -> Any:
        """Return the strings of all rows."""
        words = [" ".join(value) if isinstance(value, tuple) else value for value in self._values]
        return _strings(words).take(self._indexes.array())


@attrs.frozen
class EncodedRows:
    """The rows of a `FrameBuilder` as few arrays, to pass to another process."""

    count: int
    numbers: dict[str, Any]
    """Columns of numbers, as `_array` returns them."""
    strings: dict[str, tuple[list[Any], Any]]
    """Distinct values and the index of each row's value, by column."""
    codes: dict[str, Any]
    """The number of each row's category, by column."""


class FrameBuilder:
    """Gathers the columns of one or several processes, part by part, into those of one frame."""

    def __init__(self) -> None:
        self._count = 0
        self._numbers: dict[str, _NumberColumn] = {}
        self._strings = {name: _StringColumn() for name in _STRINGS}
        self._codes = {name: _GrowingArray(np.int8) for name in _CATEGORIES}
        """Numbers of categories, by column."""
        self._places = Places()
        """The rows of the last process."""

    def add(self, columns: Columns) -> None:
        """Append rows of a process."""
        values: dict[str, Any] = {name: getattr(columns, name) for name in _ADDRESSES}
        values |= dict(columns.values)
        values |= {_column_of_extra(name): column for name, column in columns.extra.items()}
        for name, column in values.items():
            self._add_numbers(name, _array(column, _dtype(name)))
        for name, strings in self._strings.items():
            keys = getattr(columns, name)
            strings.add([None] * len(columns) if keys is None else keys)
        self._places.add(columns)
        self._count += len(columns)

    def end_process(self) -> None:
        """Determine the kinds of the rows of a process, which depend on all of them."""
        for name, codes in _category_codes(self._places).items():
            self._codes[name].append(codes)
        self._places = Places()

    def encoded(self) -> EncodedRows:
        """Return the rows of all processes."""
        self._pad()
        return EncodedRows(
            self._count,
            {name: column.array() for name, column in self._numbers.items()},
            {name: column.encoded() for name, column in self._strings.items()},
            {name: codes.array() for name, codes in self._codes.items()},
        )

    def extend(self, rows: EncodedRows) -> None:
        """Append rows of whole processes."""
        for name, array in rows.numbers.items():
            self._add_numbers(name, array)
        for name, (values, indexes) in rows.strings.items():
            self._strings[name].extend(values, indexes)
        for name, codes in rows.codes.items():
            self._codes[name].append(codes)
        self._count += rows.count

    def frame(self, unit: Unit) -> pd.DataFrame:
        """
        Return the frame, without attrs; once, since what is no longer needed is freed.

        Raises:
            ValueError: an unknown unit.
        """
        if unit not in ("kB", "MiB", "bytes"):
            raise ValueError(f"expected kB, MiB or bytes, got {unit!r}")
        names = [name for name in self._numbers if name not in COLUMNS]
        optional = [name for name in _OPTIONAL if name in names]
        extra = [name for name in names if name not in _OPTIONAL]
        self._pad()
        return pd.DataFrame(
            {name: self._column(name, unit) for name in (*COLUMNS, *optional, *extra)},
            index=pd.RangeIndex(self._count),
            copy=False,
        )

    def _add_numbers(self, name: str, array: Any) -> None:
        column = self._numbers.get(name)
        if column is None:
            column = self._numbers[name] = _NumberColumn(_dtype(name))
        column.add(self._count, array)

    def _pad(self) -> None:
        """Append missing values to columns that the last rows lack."""
        for column in self._numbers.values():
            column.pad(self._count)

    def _column(self, name: str, unit: Unit) -> Any:
        if name in _CATEGORIES:
            dtype = _category(_CATEGORIES[name])
            return pd.Categorical.from_codes(self._codes[name].array(), dtype=dtype)
        if name in self._strings:
            return self._strings.pop(name).array()
        if name not in self._numbers:
            return _missing(self._count, _dtype(name))
        column = self._numbers[name].array()
        if isinstance(column, list):
            return _strings(column)
        return _in_unit(column, unit) if name in _SIZES else column


def _dtype(name: str) -> Any:
    return np.uint64 if name in _ADDRESSES else np.int64


def _category_codes(places: Places) -> dict[str, Any]:
    """Return the number of each mapping's category, by column."""
    rules = rules_of(places)
    backing, sharing = _NUMBERS["backing"], _NUMBERS["sharing"]
    codes = {
        "backing": places.of_keys(lambda key: backing.get(key.backing, -1)),
        "sharing": places.of_keys(lambda key: sharing[sharing_of(key.perms[3] == "s")]),
        "kind": _KIND_OF_RULE[rules],
        "kind_source": _SOURCE_OF_RULE[rules],
    }
    return {name: array.astype(np.int8) for name, array in codes.items()}


_NUMBERS: Final[dict[str, dict[Any, int]]] = {
    name: {value: number for number, value in enumerate(values)}
    for name, values in _CATEGORIES.items()
}
"""The number of each category, by column."""
_KIND_OF_RULE: Final = np.array([_NUMBERS["kind"][rule.kind] for rule in KIND_RULES])
_SOURCE_OF_RULE: Final = np.array([_NUMBERS["kind_source"][rule.source] for rule in KIND_RULES])


def _array(column: Any, dtype: Any) -> Any:
    """Return integers as an array, a masked one where values are missing; text as a list."""
    if isinstance(column, np.ndarray):
        return column.astype(dtype, copy=False)
    types = set(map(type, column))  # 40,000 mappings: 5 to 10 ms less than isinstance()
    if str in types:
        return list(column)
    if types <= {int}:
        return np.array(column, dtype=dtype)
    mask = np.array([value is None for value in column], dtype=bool)
    filled = np.array([0 if value is None else value for value in column], dtype=dtype)
    return pd.arrays.IntegerArray(filled, mask)


def _missing(count: int, dtype: Any) -> Any:
    """Return an array of integers of which all are missing; a plain one if it is empty."""
    if not count:
        return np.empty(0, dtype=dtype)
    return pd.arrays.IntegerArray(np.zeros(count, dtype=dtype), np.ones(count, dtype=bool))


def _plain_values(array: Any) -> list[Any]:
    # Not a Series of text: pandas 3 would make it an Arrow array, which rejects other bytes
    # than UTF-8.
    return array if isinstance(array, list) else _values(pd.Series(array))


def _in_unit(column: Any, unit: Unit) -> Any:
    if unit == "MiB":
        return column / 1024
    if unit == "kB":
        return column
    is_array = isinstance(column, np.ndarray)
    known = column if is_array else column[~column.isna()]
    if len(known) and known.max() > _MAX_INT64 // 1024:  # nearly the whole address space
        column = column.astype(np.uint64 if is_array else "UInt64")
    return column * 1024


@functools.cache
def _category(values: type[StrEnum]) -> pd.CategoricalDtype:
    return pd.CategoricalDtype([value.value for value in values], ordered=True)


def _strings(values: Sequence[Any]) -> Any:
    words = [word if word is None or isinstance(word, str) else str(word) for word in values]
    try:
        return pd.array(words, dtype=_STRING)
    except UnicodeEncodeError:
        # Bytes that are not UTF-8, which Arrow cannot store: kept as surrogate escapes.
        return pd.array(words, dtype=_PYTHON_STRING)


def _column_of_extra(name: str) -> str:
    """Return the column of an unknown field: its name, unless another column has that name."""
    return _PREFIX_OF_EXTRA + name if name in _RESERVED else name


# ---- frames to records -------------------------------------------------------------------


def from_frame(frame: pd.DataFrame) -> list[Mapping]:
    """
    Return the records of a frame, one per row.

    Sizes are in the unit that `frame.attrs` names (kB without it). Columns that are not an
    attribute of a mapping become fields in `extra`.

    Raises:
        KeyError: a frame without start, end or perms.
        ValueError: a value that its column cannot have.
    """
    unit = frame.attrs.get("unit", "kB")
    names = [str(name) for name in frame.columns if name not in _CATEGORIES]
    values: dict[str, list[Any]] = {name: _values(frame[name]) for name in names}
    for name in _SIZES & values.keys():
        values[name] = [None if v is None else _in_kb(v, unit) for v in values[name]]
    values["perms"] = [Permissions.parse(text) for text in values["perms"]]
    if "device" in values:
        values["device"] = [None if t is None else Device.parse(t) for t in values["device"]]
    if "vm_flags" in values:
        values["vm_flags"] = [None if t is None else tuple(t.split()) for t in values["vm_flags"]]
    if "pathname" in values:
        values["pathname"] = [text or "" for text in values["pathname"]]
    known = [name for name in names if name in MAPPING_FIELDS]
    extra = [name for name in names if name not in MAPPING_FIELDS]
    return [
        Mapping(
            **{name: values[name][row] for name in known if values[name][row] is not None},
            extra={
                name.removeprefix(_PREFIX_OF_EXTRA): value
                for name in extra
                if (value := values[name][row]) is not None
            },
        )
        for row in range(len(frame))
    ]


def metadata(frame: pd.DataFrame) -> dict[str, Any]:
    """Return pid, command, time and source of a frame, as a Snapshot has them."""
    time = frame.attrs.get("time")
    return {
        "pid": frame.attrs.get("pid"),
        "command": frame.attrs.get("command"),
        "time": None if time is None else datetime.fromisoformat(time),
        "source": frame.attrs.get("source"),
    }


def _values(series: pd.Series[Any]) -> list[Any]:
    """Return plain Python values, None where one is missing."""
    missing = series.isna()
    return [None if gone else v for v, gone in zip(series.tolist(), missing, strict=True)]


def _in_kb(value: float, unit: Unit) -> int:
    return round(value * 1024) if unit == "MiB" else int(value) // _PER_KB[unit]


# ---- many snapshots ----------------------------------------------------------------------


def concat(snapshots: Iterable[Snapshot | pd.DataFrame], unit: Unit = "kB") -> pd.DataFrame:
    """
    Return several snapshots as one frame with pid and time as its index.

    Args:
        snapshots: of one process over time, of several processes, or both; or frames returned
            by `parse_frame` or `read_frame` (faster for many captures), with pid and time in
            their `attrs`. An iterator over many captures needs little memory.
        unit: as in `to_frame`.

    Raises:
        ValueError: a frame is in another unit.
    """
    parts = []
    for snapshot in snapshots:
        if isinstance(snapshot, Snapshot):
            part = to_frame(snapshot, unit)
        else:
            part = snapshot.copy(deep=False)
        if part.attrs["unit"] != unit:
            raise ValueError(f"expected a frame in {unit}, got one in {part.attrs['unit']}")
        parts.append(part)
    if not parts:
        return to_frame(Snapshot(()), unit)
    _use_python_strings(parts)
    for name in _SIZES:
        _make_unsigned([part for part in parts if name in part], name)
    index = process_index(
        [part.attrs["pid"] for part in parts],
        [part.attrs["time"] for part in parts],
        list(map(len, parts)),
    )
    for part in parts:
        part.attrs = {}  # pandas compares them
    frame = pd.concat(parts, ignore_index=True)
    frame.index = index
    frame.attrs = {"unit": unit}
    for name, categories in _CATEGORIES.items():
        if name in frame:  # not in frames that were saved by a version without it
            frame[name] = frame[name].astype(_category(categories))
    return frame


def process_index(
    pids: Sequence[int | None], times: Sequence[str | None], counts: Sequence[int]
) -> pd.MultiIndex:
    """Return the index of the rows of several processes: pid and time of each, and its rows."""
    known = [pd.NaT if time is None else pd.Timestamp(time) for time in times]
    processes = pd.MultiIndex.from_arrays(
        [pd.array(pids, dtype="Int64"), pd.DatetimeIndex(known, dtype="datetime64[us, UTC]")],
        names=["pid", "time"],
    )
    return processes.repeat(counts)


def _use_python_strings(parts: Sequence[pd.DataFrame]) -> None:
    """Use Python strings in all frames for a column that Arrow cannot store in one of them."""
    for name in {str(name) for part in parts for name in part.columns}:
        if any(name in part and part[name].dtype == _PYTHON_STRING for part in parts):
            for part in parts:
                if name in part:
                    part[name] = part[name].astype(_PYTHON_STRING)


def _make_unsigned(parts: Sequence[pd.DataFrame], name: str) -> None:
    """Give a column one signedness in all frames: pandas would turn a mixture into floats."""
    if len({part[name].dtype.kind for part in parts} & {"i", "u"}) > 1:
        for part in parts:
            is_plain = isinstance(part[name].dtype, np.dtype)
            part[name] = part[name].astype("uint64" if is_plain else "UInt64")


# ---- differences -------------------------------------------------------------------------


def difference_to_frame(difference: Difference) -> pd.DataFrame:
    """
    Return one row per change, the largest first: its kind, addresses, and changes in kB.

    A value that did not change is 0; one that changed nowhere has no column. `before` and
    `after` are numbers of mappings.
    """
    rows = []
    for change in difference.changes:
        mapping = change.mapping
        rows.append(
            {
                "kind": change.kind.value,
                "start": mapping.start,
                "end": max(m.end for m in change.after or change.before),
                "perms": str(mapping.perms),
                "pathname": mapping.pathname,
                "before": len(change.before),
                "after": len(change.after),
                **change.deltas,
            }
        )
    known = [name for name in ("size", "dirty", "uss", *COUNTERS) if any(name in r for r in rows)]
    columns: dict[str, Any] = {
        "kind": pd.Categorical([r["kind"] for r in rows], dtype=_category(ChangeKind)),
        **{name: np.array([r[name] for r in rows], dtype=np.uint64) for name in ("start", "end")},
        **{name: _strings([r[name] for r in rows]) for name in ("perms", "pathname")},
        **{
            name: np.array([r.get(name, 0) for r in rows], dtype=np.int64)
            for name in ("before", "after", *known)
        },
    }
    frame = pd.DataFrame(columns)
    frame.attrs = {"unit": "kB", "unchanged": difference.unchanged}
    return frame
