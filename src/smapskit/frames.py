"""
Records and smaps text to pandas, and back.

A row is a mapping, a column an attribute of `Mapping`. There are two ways to the same
frame: from records, and from the text of smaps without a record between, where NumPy reads
a field of all mappings at once. The second takes only what kernels write: records with the
same fields in fixed columns. What else it meets it leaves to the first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Literal

import attrs
import numpy as np
import pandas as pd

from smapskit import texts
from smapskit.aggregate import Difference, Kind
from smapskit.classify import Backing, Sharing, sharing_of
from smapskit.records import COUNTERS, MAPPING_FIELDS, Device, Mapping, Permissions, kernel_fields
from smapskit.smaps.at_once import Columns as TextColumns
from smapskit.smaps.at_once import Memo, backing_of_look, columns_of_parts
from smapskit.smaps.kinds import SMAPS
from smapskit.smaps.parse import parse_live, parse_smaps, parse_smaps_all, prepared
from smapskit.smaps.parts import keeping, parts_of
from smapskit.smaps.processes import process_starts
from smapskit.snapshot import Snapshot

Unit = Literal["kB", "MiB", "bytes"]

_ADDRESSES: Final = ("start", "end", "offset", "inode")
_WORDS: Final = ("perms", "device", "pathname", "vm_flags")
_CATEGORIES: Final[dict[str, type[StrEnum]]] = {"backing": Backing, "sharing": Sharing}
_SIZES: Final = frozenset(
    field.attribute for field in kernel_fields(Mapping).values() if field.unit == "kB"
) | {"pmap_dirty"}
# Columns that are there only where something is in them; unknown fields follow them.
_WHERE_KNOWN: Final = ("pmap_dirty",)

COLUMNS: Final = tuple(
    column
    for name in MAPPING_FIELDS
    if name not in ("extra", *_WHERE_KNOWN)
    for column in ([name, "backing", "sharing"] if name == "pathname" else [name])
)
"""The columns that every frame has, in order."""

Columns = dict[str, Any]

_STRING: Any = "string"
_PLAIN_STRING: Any = "string"
if int(pd.__version__.partition(".")[0]) >= 3:  # noqa: PLR2004  its own type of strings
    _STRING = "str"
    _PLAIN_STRING = pd.StringDtype("python", na_value=np.nan)


# ---- records to frames, and back ---------------------------------------------------------


def to_frame(snapshot: Snapshot, unit: Unit = "kB") -> pd.DataFrame:
    """
    A row for each mapping, in the order of the snapshot.

    Args:
        snapshot: the mappings.
        unit: of all sizes: "kB" and "bytes" are integers, "MiB" has fractions.

    Returns:
        Columns by the names of the records' attributes. Addresses, offset and inode are
        uint64 (the vsyscall page does not fit int64), figures int64 (a size of 2**63 bytes
        or more makes its column uint64); each the nullable UInt64, Int64 or Float64 where a
        value is missing. `backing` and `sharing` are
        ordered categories, `perms`, `device`, `pathname`, `vm_flags` strings. Fields that
        smapskit has no attribute for are columns by the kernel's name, `pmap_dirty` is
        there where a pmap table says it. `attrs` has pid, command, time, source and unit.
    """
    columns: Columns = {name: [getattr(m, name) for m in snapshot] for name in MAPPING_FIELDS}
    extras = columns.pop("extra")
    columns["backing"] = [m.backing for m in snapshot]
    columns["sharing"] = [m.sharing for m in snapshot]
    columns["perms"] = [str(perms) for perms in columns["perms"]]
    columns["device"] = [None if d is None else str(d) for d in columns["device"]]
    columns["vm_flags"] = [None if f is None else " ".join(f) for f in columns["vm_flags"]]
    for name in dict.fromkeys(name for extra in extras for name in extra):
        columns[_column_of_extra(name)] = [extra.get(name) for extra in extras]
    return _frame(columns, unit, snapshot)


def from_frame(frame: pd.DataFrame) -> Snapshot:
    """
    The snapshot that a frame was made of, or what is left of it.

    Sizes are taken in the unit that `frame.attrs` names (kB without it); columns that are
    no attribute of a mapping become fields in `extra`.

    Raises:
        KeyError: a frame without start, end or perms.
        ValueError: what stands in a column is none of its values.
    """
    unit = frame.attrs.get("unit", "kB")
    names = [str(name) for name in frame.columns if name not in _CATEGORIES]
    values: Columns = {name: _values(frame[name]) for name in names}
    for name in _SIZES & values.keys():
        values[name] = [None if v is None else _in_kb(v, unit) for v in values[name]]
    values["perms"] = [Permissions.parse(text) for text in values["perms"]]
    for name, read in (("device", Device.parse), ("vm_flags", lambda text: tuple(text.split()))):
        if name in values:
            values[name] = [None if text is None else read(text) for text in values[name]]
    if "pathname" in values:
        values["pathname"] = [text or "" for text in values["pathname"]]
    known = [name for name in names if name in MAPPING_FIELDS]
    extra = [name for name in names if name not in MAPPING_FIELDS]
    mappings = tuple(
        Mapping(
            **{name: values[name][row] for name in known if values[name][row] is not None},
            extra={
                name.removeprefix(_EXTRA): value
                for name in extra
                if (value := values[name][row]) is not None
            },
        )
        for row in range(len(frame))
    )
    time = frame.attrs.get("time")
    return Snapshot(
        mappings,
        pid=frame.attrs.get("pid"),
        command=frame.attrs.get("command"),
        time=None if time is None else datetime.fromisoformat(time),
        source=frame.attrs.get("source"),
    )


def concat(moments: Iterable[Snapshot | pd.DataFrame], unit: Unit = "kB") -> pd.DataFrame:
    """
    Several snapshots as one frame, with pid and time as its index.

    Args:
        moments: of one process over time, of several, or both: snapshots, or frames that
            `parse_frame` or `read_frame` gave (the faster way for many captures), whose pid
            and time are in their `attrs`. Each is taken when it comes, so that an iterator
            over many captures needs little memory.
        unit: as in `to_frame`.

    Raises:
        ValueError: a frame is in another unit.
    """
    parts = []
    for moment in moments:
        part = to_frame(moment, unit) if isinstance(moment, Snapshot) else moment.copy(deep=False)
        about = part.attrs
        if about["unit"] != unit:
            raise ValueError(f"expected a frame in {unit}, got one in {about['unit']}")
        time = pd.NaT if about["time"] is None else pd.Timestamp(about["time"])
        part.index = pd.MultiIndex.from_arrays(
            [
                pd.array([about["pid"]] * len(part), dtype="Int64"),
                pd.DatetimeIndex([time] * len(part), dtype="datetime64[us, UTC]"),
            ],
            names=["pid", "time"],
        )
        part.attrs = {"unit": unit}
        parts.append(part)
    return joined(parts, unit)


def joined(parts: Sequence[pd.DataFrame], unit: Unit) -> pd.DataFrame:
    """One frame of the rows of several with the same kind of index, all in one unit."""
    if not parts:
        return to_frame(Snapshot(()), unit)
    for name in {str(name) for part in parts for name in part.columns}:
        if any(name in part and part[name].dtype == _PLAIN_STRING for part in parts):
            # Arrow could not hold the strings of one of them: none of them is held by it.
            for part in parts:
                if name in part:
                    part[name] = part[name].astype(_PLAIN_STRING)
    for name in _SIZES:
        _make_unsigned([part for part in parts if name in part], name)
    frame = pd.concat(parts)
    frame.attrs = {"unit": unit}
    for name, categories in _CATEGORIES.items():
        frame[name] = frame[name].astype(_category(categories))
    return frame


def _make_unsigned(parts: Sequence[pd.DataFrame], name: str) -> None:
    """Give a column one sign in all frames: signed with unsigned would become floats."""
    if len({part[name].dtype.kind for part in parts} & {"i", "u"}) > 1:
        for part in parts:
            is_plain = isinstance(part[name].dtype, np.dtype)
            part[name] = part[name].astype("uint64" if is_plain else "UInt64")


_EXTRA: Final = "extra."


def _column_of_extra(name: str) -> str:
    """A field's own name, unless an attribute has it already."""
    return _EXTRA + name if name in COLUMNS or name in MAPPING_FIELDS else name


def _values(series: pd.Series[Any]) -> list[Any]:
    """Plain Python values, None for what is missing."""
    missing = series.isna()
    return [None if gone else v for v, gone in zip(series.tolist(), missing, strict=True)]


def _in_kb(value: float, unit: Unit) -> int:
    return round(value * 1024) if unit == "MiB" else int(value) // _PER_KB[unit]


_PER_KB: Final[dict[Unit, int]] = {"kB": 1, "bytes": 1024}


def _frame(columns: Columns, unit: Unit, about: Snapshot) -> pd.DataFrame:
    """One frame from the columns of either way, so that both give the same."""
    if unit not in ("kB", "MiB", "bytes"):
        raise ValueError(f"expected kB, MiB or bytes, got {unit!r}")
    names = [*COLUMNS, *(name for name in columns if name not in COLUMNS)]
    names = [n for n in names if n not in _WHERE_KNOWN or _has_any(columns.get(n))]
    frame = pd.DataFrame(
        {name: _column(name, columns.get(name), unit) for name in names},
        index=pd.RangeIndex(len(columns["start"])),
        copy=False,
    )
    time = about.time
    frame.attrs = {
        "pid": about.pid,
        "command": about.command,
        "time": None if time is None else time.isoformat(),
        "source": about.source,
        "unit": unit,
    }
    return frame


def _has_any(values: Any) -> bool:
    return values is not None and any(value is not None for value in values)


def _category(values: type[StrEnum]) -> pd.CategoricalDtype:
    return pd.CategoricalDtype([value.value for value in values], ordered=True)


def _column(name: str, values: Any, unit: Unit) -> Any:
    if name in _CATEGORIES:
        dtype = _category(_CATEGORIES[name])
        code_of = {value: code for code, value in enumerate(_CATEGORIES[name])} | {None: -1}
        codes = np.array([code_of[value] for value in values], dtype=np.int8)
        return pd.Categorical.from_codes(codes, dtype=dtype)
    if isinstance(values, pd.api.extensions.ExtensionArray):
        return values
    if name in _WORDS or any(isinstance(value, str) for value in _sampled(values)):
        return _strings(values)
    column = _integers(values, "uint64" if name in _ADDRESSES else "int64")
    if name not in _SIZES or unit == "kB":
        return column
    return column / 1024 if unit == "MiB" else _in_bytes(column)


def _in_bytes(column: Any) -> Any:
    """A column of kB in bytes: uint64 where int64 is too small."""
    is_plain = isinstance(column, np.ndarray)
    values = column if is_plain else column.to_numpy("int64", na_value=0)
    if int(values.max(initial=0)) * 1024 > np.iinfo(np.int64).max:
        column = column.astype("uint64" if is_plain else "UInt64")
    return column * 1024


def _sampled(values: Any) -> Iterable[Any]:
    return () if isinstance(values, np.ndarray) else values


def _integers(values: Any, dtype: Literal["int64", "uint64"]) -> Any:
    if isinstance(values, np.ndarray):
        return values.astype(dtype, copy=False)
    if None not in values:
        return np.array(values, dtype=dtype)
    mask = np.array([value is None for value in values])
    filled = np.array([0 if value is None else value for value in values], dtype=dtype)
    return pd.arrays.IntegerArray(filled, mask)


def _strings(values: Sequence[Any]) -> Any:
    words = [word if word is None or isinstance(word, str) else str(word) for word in values]
    try:
        return pd.array(words, dtype=_STRING)
    except UnicodeEncodeError:
        # Bytes that are no UTF-8, which Arrow can't hold: kept as Python's escapes.
        return pd.array(words, dtype=_PLAIN_STRING)


def difference_to_frame(difference: Difference) -> pd.DataFrame:
    """
    A row for each change, the largest first: its kind, where it is, and the changes in kB.

    A figure that did not change is 0; one that changed nowhere has no column. `before` and
    `after` count mappings.
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
        "kind": pd.Categorical([r["kind"] for r in rows], dtype=_category(Kind)),
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


# ---- text to frames, column by column ----------------------------------------------------


def parse_frame(text: str | bytes, unit: Unit = "kB", *, source: str | None = None) -> pd.DataFrame:
    """
    Read the text of smaps into the frame that its snapshot would give.

    The same as `parse_smaps(text).to_frame(unit)`, many times faster where the text is as
    kernels write it.

    Raises:
        ParseError: as `parse_smaps`.
    """
    frame = _frame_of_one(text, unit, source)
    return to_frame(parse_smaps(text, source=source), unit) if frame is None else frame


def parse_frames(
    text: str | bytes, unit: Unit = "kB", *, source: str | None = None
) -> list[pd.DataFrame]:
    """
    Read the smaps texts of one or several processes into a frame for each.

    The same as `to_frame` of what `parse_smaps_all` returns, faster for one process.

    Raises:
        ParseError: as `parse_smaps_all`.
    """
    frame = _frame_of_one(text, unit, source)
    if frame is not None:
        return [frame]
    return [to_frame(snapshot, unit) for snapshot in parse_smaps_all(text, source=source)]


def _frame_of_one(text: str | bytes, unit: Unit, source: str | None) -> pd.DataFrame | None:
    """The frame of one process's text; None for several, and where records are needed."""
    columns = _columns_of_parts(parts_of(prepared(text, source)[0]))
    if columns is None or any(process_starts(columns["start"].tolist(), columns["end"].tolist())):
        return None
    return _frame(columns, unit, Snapshot((), source=source))


def frame_of_parts(parts: Iterable[bytes], unit: Unit, about: Snapshot) -> pd.DataFrame:
    """
    One frame from the text of smaps that comes in parts of whole records.

    Args:
        parts: each is turned to columns when it comes, while the next may be on its way.
        unit: as in `to_frame`.
        about: pid, command, time and source.
    """
    parts = iter(parts)
    kept: list[bytes] = []
    columns = _columns_of_parts(keeping(parts, kept))
    if columns is not None:
        return _frame(columns, unit, about)
    kept += parts
    snapshot = parse_live(b"".join(kept), SMAPS, about.source)
    return to_frame(attrs.evolve(about, mappings=snapshot.mappings), unit)


def _columns_of_parts(parts: Iterable[bytes]) -> Columns | None:
    """The columns of a text in parts, if all its records have the lines of its first."""
    gathered = _Gathered()
    for columns in columns_of_parts(parts):
        if columns is None:
            return None
        gathered.add(columns)
    return gathered.columns()


class _Words:
    """A column of words: those that differ, and for each part the number of each row's."""

    def __init__(self, word_of: Callable[[Any], str | None]) -> None:
        self._differing: list[str | None] = []
        self._word_of = word_of
        self._number = Memo(self._new)
        self._numbers: list[np.ndarray[Any, Any]] = []

    def _new(self, key: Any) -> int:
        self._differing.append(self._word_of(key))
        return len(self._differing) - 1

    def add(self, keys: Sequence[Any]) -> None:
        """Add a part's rows."""
        numbers = list(map(self._number.__getitem__, keys))
        self._numbers.append(np.array(numbers, dtype=np.intp))

    def column(self) -> Any:
        return _strings(self._differing).take(np.concatenate(self._numbers))


class _Gathered:
    """The columns of a frame, gathered from text a part at a time."""

    def __init__(self) -> None:
        self._arrays: dict[str, list[np.ndarray[Any, Any]]] = {}
        self._words = {
            "perms": _Words(bytes.decode),
            "device": _Words(lambda word: str(Device.parse(word.decode()))),
            "pathname": _Words(texts.decode),
            "vm_flags": _Words(lambda codes: None if codes is None else " ".join(codes)),
        }
        self._backing = Memo(backing_of_look)
        self._backings: list[Backing | None] = []
        self._sharings: list[Sharing] = []

    def add(self, columns: TextColumns) -> None:
        """Add a part."""
        arrays: dict[str, np.ndarray[Any, Any]] = {
            "start": np.array(columns.starts, dtype=np.uint64),
            "end": np.array(columns.ends, dtype=np.uint64),
            "offset": np.array(columns.offsets, dtype=np.uint64),
            "inode": np.array(columns.inodes, dtype=np.uint64),
        }
        for field_name, figures in columns.figures.items():
            field = _KNOWN.get(field_name)
            arrays[field.attribute if field else _column_of_extra(field_name)] = figures
        for column, array in arrays.items():
            self._arrays.setdefault(column, []).append(array)
        self._words["perms"].add(columns.perms)
        self._words["device"].add(columns.devices)
        self._words["pathname"].add(columns.names)
        self._words["vm_flags"].add(columns.flags or [None] * len(columns))
        self._backings += map(self._backing.__getitem__, columns.looks())
        self._sharings += [_SHARING[word[3:]] for word in columns.perms]

    def columns(self) -> Columns:
        """All that was added."""
        columns: Columns = {name: np.concatenate(p) for name, p in self._arrays.items()}
        columns |= {name: words.column() for name, words in self._words.items()}
        columns |= {"backing": self._backings, "sharing": self._sharings}
        nothing = [None] * len(self._backings)
        return {name: columns.pop(name, nothing) for name in COLUMNS} | columns


_KNOWN: Final = kernel_fields(Mapping)
_SHARING: Final = {letter: sharing_of(letter == b"s") for letter in (b"s", b"p")}
