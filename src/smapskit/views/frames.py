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

import numpy as np
import pandas as pd

from smapskit.formats.smaps.files import SMAPS
from smapskit.formats.smaps.parse import normalize, parse_smaps_all
from smapskit.formats.smaps.processes import Expected, process_starts
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
    data, _ = normalize(text, source)
    reader = ColumnReader(SMAPS, source, strict=strict, expected=Expected.ONE)
    return from_columns(reader.columns([data]), unit, source=source)


def parse_frames(
    text: str | bytes, unit: Unit = "kB", *, source: str | None = None, strict: bool = True
) -> list[pd.DataFrame]:
    """
    Parse the smaps texts of one or several processes into one DataFrame each.

    Equal to `to_frame` of the snapshots that `parse_smaps_all` returns, faster for one process.
    """
    data, _ = normalize(text, source)
    frame = from_columns(
        ColumnReader(SMAPS, source, strict=strict).columns([data]), unit, source=source
    )
    if not any(process_starts(frame["start"].tolist(), frame["end"].tolist())):
        return [frame]
    snapshots = parse_smaps_all(text, source=source, strict=strict)
    return [to_frame(snapshot, unit) for snapshot in snapshots]


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
    if unit not in ("kB", "MiB", "bytes"):
        raise ValueError(f"expected kB, MiB or bytes, got {unit!r}")
    builder = _FrameBuilder()
    for columns in parts:
        builder.add(columns)
    frame = builder.frame(unit)
    frame.attrs = {
        "pid": pid,
        "command": command,
        "time": None if time is None else time.isoformat(),
        "source": source,
        "unit": unit,
    }
    return frame


class _DictionaryEncoder:
    """A column of strings as its distinct values and, for each row, the index of its value."""

    def __init__(self) -> None:
        self._values: list[str | None] = []
        self._index = Cache(self._append)
        self._indexes: list[np.ndarray[Any, Any]] = []

    def _append(self, key: Any) -> int:
        self._values.append(" ".join(key) if isinstance(key, tuple) else key)
        return len(self._values) - 1

    def add(self, keys: Sequence[Any]) -> None:
        """Append rows: strings, or tuples to join with blanks, or None."""
        indexes = list(map(self._index.__getitem__, keys))
        self._indexes.append(np.array(indexes, dtype=np.intp))

    def column(self) -> Any:
        return _strings(self._values).take(_concatenate(self._indexes, np.intp))


class _FrameBuilder:
    """Gathers columns, part by part, into the columns of one frame."""

    def __init__(self) -> None:
        self._lengths: list[int] = []
        self._parts: dict[str, dict[int, Any]] = {}
        """By column, then by number of the part: a part may lack a column."""
        self._strings = {name: _DictionaryEncoder() for name in _STRINGS}
        self._places = Places()
        self._codes: dict[str, Any] = {}
        """Numbers of categories, by column; known when all rows are."""

    def add(self, columns: Columns) -> None:
        """Append the rows of `columns`."""
        number = len(self._lengths)
        self._lengths.append(len(columns))
        values: dict[str, Any] = {name: getattr(columns, name) for name in _ADDRESSES}
        values |= dict(columns.values)
        values |= {_column_of_extra(name): column for name, column in columns.extra.items()}
        for name, column in values.items():
            dtype = np.uint64 if name in _ADDRESSES else np.int64
            self._parts.setdefault(name, {})[number] = _array(column, dtype)
        for name, encoder in self._strings.items():
            keys = getattr(columns, name)
            encoder.add([None] * len(columns) if keys is None else keys)
        self._places.add(columns)

    def frame(self, unit: Unit) -> pd.DataFrame:
        """Return the frame, without attrs."""
        self._codes = self._category_codes()
        names = [name for name in self._parts if name not in COLUMNS]
        optional = [name for name in _OPTIONAL if name in names]
        extra = [name for name in names if name not in _OPTIONAL]
        return pd.DataFrame(
            {name: self._column(name, unit) for name in (*COLUMNS, *optional, *extra)},
            index=pd.RangeIndex(sum(self._lengths)),
            copy=False,
        )

    def _category_codes(self) -> dict[str, Any]:
        """Return the number of each row's category, by column."""
        places = self._places
        rules = rules_of(places)
        backing: dict[Backing | None, int] = {value: at for at, value in enumerate(Backing)}
        backing[None] = -1
        sharing = {value: at for at, value in enumerate(Sharing)}
        kind = {value: at for at, value in enumerate(MappingKind)}
        source = {value: at for at, value in enumerate(KindSource)}
        return {
            "backing": places.of_keys(lambda key: backing[key.backing]),
            "sharing": places.of_keys(lambda key: sharing[sharing_of(key.perms[3] == "s")]),
            "kind": np.array([kind[rule.kind] for rule in KIND_RULES])[rules],
            "kind_source": np.array([source[rule.source] for rule in KIND_RULES])[rules],
        }

    def _column(self, name: str, unit: Unit) -> Any:
        if name in _CATEGORIES:
            category = _category(_CATEGORIES[name])
            return pd.Categorical.from_codes(self._codes[name], dtype=category)
        if name in self._strings:
            return self._strings[name].column()
        dtype = np.uint64 if name in _ADDRESSES else np.int64
        parts = self._parts.get(name, {})
        arrays = [
            parts[number] if number in parts else _array([None] * length, dtype)
            for number, length in enumerate(self._lengths)
        ]
        if any(isinstance(array, list) for array in arrays):  # text in an unknown field
            return _strings([value for array in arrays for value in _plain_values(array)])
        column = _concatenate_integers(arrays, dtype)
        return _in_unit(column, unit) if name in _SIZES else column


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


def _plain_values(array: Any) -> list[Any]:
    # Not a Series of text: pandas 3 would make it an Arrow array, which rejects other bytes
    # than UTF-8.
    return array if isinstance(array, list) else _values(pd.Series(array))


def _concatenate(arrays: list[Any], dtype: Any) -> Any:
    return np.concatenate(arrays) if arrays else np.array([], dtype=dtype)


def _concatenate_integers(arrays: list[Any], dtype: Any) -> Any:
    if all(isinstance(array, np.ndarray) for array in arrays):
        return _concatenate(arrays, dtype)
    series = [
        pd.Series(array, dtype="UInt64" if dtype is np.uint64 else "Int64") for array in arrays
    ]
    return pd.concat(series, ignore_index=True).array


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
        attributes = part.attrs
        if attributes["unit"] != unit:
            raise ValueError(f"expected a frame in {unit}, got one in {attributes['unit']}")
        time = pd.NaT if attributes["time"] is None else pd.Timestamp(attributes["time"])
        part.index = pd.MultiIndex.from_arrays(
            [
                pd.array([attributes["pid"]] * len(part), dtype="Int64"),
                pd.DatetimeIndex([time] * len(part), dtype="datetime64[us, UTC]"),
            ],
            names=["pid", "time"],
        )
        part.attrs = {"unit": unit}
        parts.append(part)
    return concat_frames(parts, unit)


def concat_frames(parts: Sequence[pd.DataFrame], unit: Unit) -> pd.DataFrame:
    """Return one frame with the rows of several that have the same kind of index and unit."""
    if not parts:
        return to_frame(Snapshot(()), unit)
    for name in {str(name) for part in parts for name in part.columns}:
        if any(name in part and part[name].dtype == _PYTHON_STRING for part in parts):
            # Arrow cannot store the strings of one of them: use Python strings in all.
            for part in parts:
                if name in part:
                    part[name] = part[name].astype(_PYTHON_STRING)
    for name in _SIZES:
        _make_unsigned([part for part in parts if name in part], name)
    frame = pd.concat(parts)
    frame.attrs = {"unit": unit}
    for name, categories in _CATEGORIES.items():
        if name in frame:  # not in frames that were saved by a version without it
            frame[name] = frame[name].astype(_category(categories))
    return frame


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
