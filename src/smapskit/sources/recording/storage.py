"""
The files of recordings: CSV, written one sample at a time, and Parquet.

The first line of a CSV file is `# smapskit recording ` and metadata as JSON, the second has the
names of the columns. Each sample is flushed, and its last row has a 1 in the column
`sample_end`: however the recorder ends, only the sample being written is lost. Parquet cannot
be read before it is complete; it is converted from CSV at the end.
"""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Mapping as MappingOf
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Final, Self, TypeVar

from smapskit.errors import ParseError, Unsupported
from smapskit.model.mapping import COUNTERS
from smapskit.sources import outfile
from smapskit.views.exports import csv_row, escape_formula

if TYPE_CHECKING:
    from pyarrow import RecordBatch, Schema

T = TypeVar("T")
Cells = Sequence[object]
"""The values of one row, in the order of COLUMNS."""
Metadata = dict[str, Any]
"""The metadata of a recording, by the names in METADATA_TYPES."""

NUMBERS: Final = ("count", "size", *COUNTERS)
_FIRST_COLUMNS: Final = ("time", "seconds", "reading", "event", "group", "shared_rss")
COLUMNS: Final = (*_FIRST_COLUMNS, *NUMBERS)
"""The columns of a row; recordings of earlier releases may lack some of the last ones."""
METADATA_TYPES: Final[dict[str, set[type]]] = {
    "pid": {int},
    "command": {str},
    "interval": {int, float},
    "by": {str},
    "notes": {dict},
}
"""The types of the metadata in JSON; each may be missing or null."""

_MAGIC: Final = "# smapskit recording "
_SAMPLE_END: Final = "sample_end"
_MAX_CELL: Final = 2**31 - 1
_JSON_STRING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"')
_PARQUET_MAGIC: Final = b"PAR1"
_PARQUET_ROWS: Final = 1 << 14
"""Rows of a row group: converting one takes some 20 MB."""
_PANDAS_ATTRS: Final = b"PANDAS_ATTRS"
"""Where pandas stores `DataFrame.attrs` in the metadata of a Parquet file."""
_COLUMN_TYPES: Final = {
    "time": "string",
    "seconds": "float64",
    "reading": "float64",
    "event": "string",
    "group": "string",
}


class Output:
    """
    The file of a recording in progress: created before the first sample, locked until the end.

    CSV is written to the target itself. The rows of a Parquet file are written to a CSV file
    beside it, which is converted at the end and is kept if that fails. A file in which no sample
    was written is removed. Files of root have mode 0600.

    Args:
        path: the file.
        overwrite: replace an existing file, once the first sample has been taken.

    Raises:
        FileExistsError: the path exists; with `overwrite`, it is a symbolic link.
        BlockingIOError: another recorder is writing the file.
        Unsupported: it is Parquet and pyarrow is not installed.
        OSError: the file cannot be created.
    """

    def __init__(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        self.target = Path(path).absolute()
        self.partial = self.target
        """Where the samples are until the recording is complete."""
        self._is_parquet = self.target.suffix == ".parquet"
        self._overwrite = overwrite
        self._is_created = True
        self._has_begun = False
        self._lock: int | None = None
        """A descriptor of the file to replace."""
        if self._is_parquet:
            _require_pyarrow()
        try:
            descriptor = self._create()
            self._file = os.fdopen(descriptor, "w", encoding="utf-8", newline="")
            try:
                outfile.lock(descriptor, self.target)
                self._expect_no_other_recorder()
            except BaseException:
                self._file.close()
                self.partial.unlink()
                raise
        except BaseException:
            self._unlock()
            raise

    def _create(self) -> int:
        try:
            mode = self.target.lstat().st_mode
        except FileNotFoundError:
            mode = None
        if mode is not None:
            if not self._overwrite:
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(self.target))
            if not stat.S_ISREG(mode):
                return self._open_special_file()
            self._lock = outfile.lock_path(self.target)
        if mode is None and not self._is_parquet:
            return outfile.create(self.target, private=True)
        suffix = ".part" if self._is_parquet else ".new"
        descriptor, self.partial = outfile.create_beside(self.target, suffix, private=True)
        return descriptor

    def _open_special_file(self) -> int:
        """Open a device or a pipe such as /dev/stdout, which need not be replaced."""
        mode = self.target.stat().st_mode
        if self._is_parquet or not (stat.S_ISCHR(mode) or stat.S_ISFIFO(mode)):
            raise FileExistsError(
                errno.EEXIST, "only a regular file can be replaced", str(self.target)
            )
        self._is_created = False
        return os.open(self.target, os.O_WRONLY)

    def _expect_no_other_recorder(self) -> None:
        """Reject a Parquet file whose samples another recorder is writing."""
        if not self._is_parquet:
            return
        for other in outfile.files_beside(self.target, ".part"):
            if other != self.partial:
                try:
                    os.close(outfile.lock_path(other))
                except BlockingIOError as error:
                    error.filename = str(self.target)
                    raise
                except OSError:  # removed meanwhile, a link, or another user's
                    continue

    def begin(self, metadata: Metadata) -> None:
        """Write the metadata, and replace the existing file if there is one."""
        _write_csv_head(self._file, metadata)
        self._file.flush()
        if self.partial != self.target and not self._is_parquet:
            self.partial.replace(self.target)
            self.partial = self.target
        self._has_begun = True

    def write(self, rows: Iterable[Cells]) -> None:
        """Write and flush the rows of one sample."""
        _write_csv_sample(self._file, rows)
        self._file.flush()

    @property
    def size(self) -> int:
        """Bytes written so far."""
        return os.fstat(self._file.fileno()).st_size

    @property
    def is_complete(self) -> bool:
        """Whether the target itself has all samples written so far."""
        return self._has_begun and self.partial == self.target

    def finish(self) -> None:
        """Convert the samples to Parquet if that is the target's format."""
        if not self._is_parquet:
            return
        with self.partial.open(encoding="utf-8") as text:
            metadata, _ = _read_csv(text, str(self.partial), dict)
        schema = _parquet_schema(metadata)
        batches = _batches_of_csv(self.partial, schema)
        with outfile.replacing(self.target, private=True, overwrite=self._overwrite) as file:
            _write_parquet(file, schema, batches)
        self.partial.unlink()
        self.partial = self.target

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        try:
            self._file.close()
        except OSError:  # a full disk: the error was raised when the sample was written
            if error is None:
                raise
        finally:
            self._unlock()
            if not self._has_begun and self._is_created:
                self.partial.unlink(missing_ok=True)
            elif error is not None and self.partial != self.target:
                error.add_note(f"the samples are in {self.partial}")

    def _unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def save(
    path: str | os.PathLike[str], metadata: Metadata, samples: Iterable[Iterable[Cells]]
) -> None:
    """
    Write a complete recording, CSV or Parquet by the suffix, in place of an existing file.

    Args:
        path: the file.
        metadata: of the recording.
        samples: the rows of each sample.

    Raises:
        Unsupported: it is Parquet and pyarrow is not installed.
        OSError: the file cannot be written; an existing one is unchanged.
    """
    target = Path(path)
    is_parquet = target.suffix == ".parquet"
    if is_parquet:
        _require_pyarrow()
    with outfile.replacing(target, private=True) as file:
        if is_parquet:
            schema = _parquet_schema(metadata)
            rows = (row for sample in samples for row in sample)
            _write_parquet(file, schema, _batches(rows, schema))
            return
        with io.TextIOWrapper(file, encoding="utf-8", newline="") as text:
            _write_csv_head(text, metadata)
            for sample in samples:
                _write_csv_sample(text, sample)


def load(
    path: str | os.PathLike[str], parse_row: Callable[[MappingOf[str, Any]], T]
) -> tuple[Metadata, list[T]]:
    """
    Read a recording; of a CSV file that was truncated, all complete samples.

    Args:
        path: the file.
        parse_row: called with the cells of each row by column; raises ValueError.

    Raises:
        ParseError: with file and line, for anything that is not a recording.
        OSError: the file cannot be read.
        Unsupported: it is Parquet and pyarrow is not installed.
    """
    name = os.fspath(path)
    with Path(path).open("rb") as file:
        if file.peek(len(_PARQUET_MAGIC)).startswith(_PARQUET_MAGIC):
            return _read_parquet(file, name, parse_row)
        with io.TextIOWrapper(file, encoding="utf-8", newline="\n") as text:
            # The marker of an exec has the whole command line, of up to 2 MiB.
            limit = csv.field_size_limit(_MAX_CELL)
            try:
                metadata, rows = _read_csv(text, name, parse_row)
                return metadata, list(rows)
            except UnicodeDecodeError as error:
                raise ParseError(f"expected UTF-8 ({error.reason})", name) from None
            finally:
                csv.field_size_limit(limit)


def is_recording(path: str | os.PathLike[str]) -> bool:
    """
    Return whether a file begins like a recording.

    Raises:
        OSError: the file cannot be read.
    """
    with Path(path).open("rb") as file:
        head = file.read(len(_MAGIC))
    return head.startswith(_PARQUET_MAGIC) or head == _MAGIC.encode()


def file_state(path: Path) -> tuple[int, ...] | None:
    """Return what changes when a file is replaced or written; None if it is not a regular one."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return ()
    if not stat.S_ISREG(found.st_mode):
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _check_metadata(values: object, name: str) -> Metadata:
    if isinstance(values, dict):
        known = {key: values[key] for key in METADATA_TYPES if values.get(key) is not None}
        if all(type(value) in METADATA_TYPES[key] for key, value in known.items()):
            return known
    raise ParseError("expected the metadata of a recording", name, 1)


# ---- CSV ---------------------------------------------------------------------------------


def _write_csv_head(file: IO[str], metadata: Metadata) -> None:
    # A spreadsheet splits this line into cells. None of them begins inside a JSON string, so
    # that no text of another process can begin a cell, as a formula would.
    text = _JSON_STRING.sub(_escape_separators, json.dumps(metadata))
    file.write(f"{_MAGIC}{text}\n")
    file.write(csv_row([*COLUMNS, _SAMPLE_END]))


def _escape_separators(string: re.Match[str]) -> str:
    return string[0].replace(",", "\\u002c").replace(";", "\\u003b")


def _write_csv_sample(file: IO[str], rows: Iterable[Cells]) -> None:
    lines = [
        [escape_formula(cell) if isinstance(cell, str) else cell for cell in row] for row in rows
    ]
    for cells in lines[:-1]:
        file.write(csv_row([*cells, 0]))
    for cells in lines[-1:]:
        file.write(csv_row([*cells, 1]))


def _read_csv(
    file: IO[str], name: str, parse_row: Callable[[MappingOf[str, Any]], T]
) -> tuple[Metadata, Iterator[T]]:
    """Return the metadata, and the rows as they are read."""
    start = file.read(len(_MAGIC))
    if start != _MAGIC:
        line = (start + file.readline(len(_MAGIC))).split("\n")[0]
        raise ParseError("expected a recording of smapskit", name, 1, line)
    try:
        metadata = _check_metadata(json.loads(file.readline()), name)
    except (ValueError, RecursionError):
        raise ParseError("expected a recording of smapskit", name, 1) from None
    columns = file.readline().rstrip("\r\n").split(",")
    if tuple(columns[: len(_FIRST_COLUMNS)]) != _FIRST_COLUMNS:
        raise ParseError("expected a recording of smapskit", name, 2, ",".join(columns))
    return metadata, _complete_samples(file, columns, name, parse_row)


def _complete_samples(
    file: IO[str], columns: list[str], name: str, parse_row: Callable[[MappingOf[str, Any]], T]
) -> Iterator[T]:
    # Earlier releases did not mark the last row of a sample: there each row counts.
    has_ends = _SAMPLE_END in columns
    sample: list[T] = []
    for number, line in enumerate(file, 3):
        if not line.endswith("\n"):
            return  # the recorder was killed while it wrote this line
        try:
            (row,) = csv.reader([line], strict=True)
            cells: dict[str, Any] = dict(zip(columns, row, strict=True))
            if has_ends:
                for column in ("event", "group"):
                    cells[column] = cells[column].removeprefix("'")
            sample.append(parse_row(cells))
        except (csv.Error, ValueError) as error:
            msg = f"expected the values of a sample ({error})"
            raise ParseError(msg, name, number, line.rstrip("\n")) from None
        if not has_ends or cells[_SAMPLE_END] == "1":
            yield from sample
            sample.clear()


# ---- Parquet -----------------------------------------------------------------------------


def _require_pyarrow() -> None:
    try:
        import pyarrow.parquet  # noqa: F401, PLC0415  an extra
    except ImportError:
        msg = "Parquet requires pyarrow: pip install '.[parquet]' in a checkout of smapskit"
        raise Unsupported(errno.ENOSYS, msg) from None


def _parquet_schema(metadata: Metadata) -> Schema:
    """Return the columns as pandas reads them, with the metadata where pandas expects it."""
    import pandas as pd  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415

    types = dict.fromkeys(COLUMNS, "Int64") | _COLUMN_TYPES
    empty = pd.DataFrame({name: pd.Series(dtype=dtype) for name, dtype in types.items()})
    schema = pa.Schema.from_pandas(empty, preserve_index=False)
    return schema.with_metadata(schema.metadata | {_PANDAS_ATTRS: json.dumps(metadata).encode()})


def _write_parquet(file: IO[bytes], schema: Schema, batches: Iterable[RecordBatch]) -> None:
    """Write batch by batch, so that the memory needed does not grow with the recording."""
    import pyarrow.parquet as pq  # noqa: PLC0415

    with pq.ParquetWriter(file, schema, write_page_checksum=True) as writer:
        for batch in batches:
            writer.write_batch(batch)


def _batches(rows: Iterable[Cells], schema: Schema) -> Iterator[RecordBatch]:
    import pyarrow as pa  # noqa: PLC0415

    left = iter(rows)
    while chunk := list(islice(left, _PARQUET_ROWS)):
        columns = zip(*chunk, strict=True)
        arrays = [pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)]
        yield pa.record_batch(arrays, schema=schema)


def _batches_of_csv(path: Path, schema: Schema) -> Iterator[RecordBatch]:
    """Read a complete CSV file, a hundred times as fast as row by row."""
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.compute as pc  # noqa: PLC0415
    from pyarrow import csv as pa_csv  # noqa: PLC0415

    reader = pa_csv.open_csv(
        path,
        read_options=pa_csv.ReadOptions(skip_rows=1),
        convert_options=pa_csv.ConvertOptions(
            column_types=dict(zip(schema.names, schema.types, strict=True)),
            include_columns=schema.names,
        ),
    )
    with reader:
        for batch in reader:
            columns = dict(zip(schema.names, batch.columns, strict=True))
            for name in ("event", "group"):
                replace = pc.replace_substring_regex  # pyright: ignore[reportAttributeAccessIssue]
                columns[name] = replace(columns[name], "^'", "")
            yield pa.record_batch(list(columns.values()), schema=schema)


def _read_parquet(
    file: IO[bytes], name: str, parse_row: Callable[[MappingOf[str, Any]], T]
) -> tuple[Metadata, list[T]]:
    _require_pyarrow()
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    try:
        parquet = pq.ParquetFile(file, page_checksum_verification=True)
        attributes = parquet.schema_arrow.metadata or {}
        metadata = _check_metadata(json.loads(attributes.get(_PANDAS_ATTRS, b"{}")), name)
        batches = parquet.iter_batches(_PARQUET_ROWS)
        rows = [parse_row(cells) for batch in batches for cells in batch.to_pylist()]
        if len(rows) == parquet.metadata.num_rows:
            return metadata, rows
        reason = f"{len(rows)} of {parquet.metadata.num_rows} rows"
    except ParseError:
        raise
    except KeyError as error:
        raise ParseError(f"expected the column {error} of a recording", name) from None
    except (pa.ArrowException, OSError, ValueError, TypeError, RecursionError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        reason = (str(error).splitlines() or ["damaged"])[0]
    raise ParseError(f"expected a recording as Parquet ({reason})", name)
