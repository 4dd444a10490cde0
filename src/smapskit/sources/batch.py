"""Read many captures into one frame, on all cores of a machine."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import attrs

from smapskit.errors import SmapskitError
from smapskit.sources.captures import ColumnLoader

if TYPE_CHECKING:
    from pandas import DataFrame

    from smapskit.views.frames import EncodedRows, Unit

_BATCH = 64
"""Captures per task: reading them takes longer than passing the task to a process."""


def load_frame(
    paths: Iterable[str | os.PathLike[str]],
    unit: Unit = "kB",
    *,
    strict: bool = True,
    workers: int | None = None,
    limit: int | None = None,
    progress: Callable[[int], object] | None = None,
) -> DataFrame:
    """
    Read many captures, of any format that `load` reads, into one frame.

    A capture that cannot be read is never fatal: `attrs["unreadable"]` has the reason by path.

    Args:
        paths: of the captures.
        unit: as in `to_frame`.
        strict: as in `load`.
        workers: number of processes; None for as many as there are cores.
        limit: as in `load`.
        progress: called with the number of captures read, from time to time.

    Returns:
        As `concat`, with a further column `source`, the path. pid and time are missing where a
        capture does not contain them.

    Raises:
        TypeError: `paths` is one path.
    """
    if isinstance(paths, str | bytes | os.PathLike):
        raise TypeError(f"expected paths of captures, got one path; use [{paths!r}]")
    import pandas as pd  # noqa: PLC0415  loaded where a frame is requested

    from smapskit.views import frames  # noqa: PLC0415

    names = [os.fspath(path) for path in paths]
    batches = [names[at : at + _BATCH] for at in range(0, len(names), _BATCH)]
    builder = frames.FrameBuilder()
    processes: list[_Process] = []
    unreadable: dict[str, str] = {}
    done = 0
    with _pool(workers if len(batches) > 1 else 1) as pool:
        read = partial(_read, strict=strict, limit=limit)
        results = map(read, batches) if pool is None else pool.map(read, batches)
        for batch, result in zip(batches, results, strict=True):
            builder.extend(result.rows)
            processes += result.processes
            unreadable |= result.unreadable
            done += len(batch)
            if progress is not None:
                progress(done)
    counts = [process.count for process in processes]
    frame = builder.frame(unit)
    frame["source"] = pd.Categorical([process.source for process in processes]).repeat(counts)
    frame.index = frames.process_index(
        [process.pid for process in processes], [None] * len(processes), counts
    )
    frame.attrs = {"unit": unit, "unreadable": unreadable}
    return frame


@contextmanager
def _pool(workers: int | None) -> Iterator[Executor | None]:
    if workers == 1:
        yield None
        return
    with ProcessPoolExecutor(workers) as pool:
        yield pool


@attrs.frozen
class _Process:
    """A process in a capture."""

    source: str
    pid: int | None
    count: int
    """Number of its mappings."""


@attrs.frozen
class _Batch:
    """What some captures contain."""

    rows: EncodedRows
    processes: list[_Process]
    unreadable: dict[str, str]
    """The reason by path for captures that are not in the rows."""


def _read(paths: list[str], *, strict: bool, limit: int | None) -> _Batch:
    """Read some captures."""
    from smapskit.views import frames  # noqa: PLC0415

    builder = frames.FrameBuilder()
    loader = ColumnLoader(strict=strict, limit=limit)
    processes: list[_Process] = []
    unreadable: dict[str, str] = {}
    for path in paths:
        try:
            found = loader.load(path)
        except (SmapskitError, OSError, ValueError) as error:  # ValueError: a NUL in the path
            unreadable[path] = str(error)
            continue
        except MemoryError:
            unreadable[path] = f"{path}: not enough memory to read it"
            continue
        for pid, parts in found:
            for columns in parts:
                builder.add(columns)
            builder.end_process()
            processes.append(_Process(path, pid, sum(map(len, parts))))
    return _Batch(builder.encoded(), processes, unreadable)
