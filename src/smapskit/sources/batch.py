"""Read many captures into one frame, on all cores of a machine."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from smapskit.errors import SmapskitError
from smapskit.sources.captures import load_capture_frames

if TYPE_CHECKING:
    from pandas import DataFrame

    from smapskit.views.frames import Unit

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
    """
    import pandas as pd  # noqa: PLC0415  loaded where a frame is requested

    from smapskit.views import frames  # noqa: PLC0415

    names = [os.fspath(path) for path in paths]
    batches = [names[at : at + _BATCH] for at in range(0, len(names), _BATCH)]
    parts: list[DataFrame] = []
    unreadable: dict[str, str] = {}
    done = 0
    with _pool(workers if len(batches) > 1 else 1) as pool:
        read = partial(_read, unit=unit, strict=strict, limit=limit)
        results = map(read, batches) if pool is None else pool.map(read, batches)
        for batch, (part, reasons) in zip(batches, results, strict=True):
            parts += [] if part is None else [part]
            unreadable |= reasons
            done += len(batch)
            if progress is not None:
                progress(done)
    frame = frames.concat_frames(parts, unit)
    frame["source"] = pd.Categorical(frame["source"] if parts else [])
    frame.attrs["unreadable"] = unreadable
    return frame


@contextmanager
def _pool(workers: int | None) -> Iterator[Executor | None]:
    if workers == 1:
        yield None
        return
    with ProcessPoolExecutor(workers) as pool:
        yield pool


def _read(
    paths: list[str], unit: Unit, *, strict: bool, limit: int | None
) -> tuple[DataFrame | None, dict[str, str]]:
    """Return one frame of some captures, and the reason by path for those not in it."""
    from smapskit.views import frames  # noqa: PLC0415

    found: list[DataFrame] = []
    unreadable: dict[str, str] = {}
    for path in paths:
        try:
            found += load_capture_frames(path, unit, strict=strict, limit=limit)
        except (SmapskitError, OSError, ValueError) as error:  # ValueError: a NUL in the path
            unreadable[path] = str(error)
        except MemoryError:
            unreadable[path] = f"{path}: not enough memory to read it"
    if not found:
        return None, unreadable
    frame = frames.concat(found, unit)
    frame["source"] = [part.attrs["source"] for part in found for _ in range(len(part))]
    return frame, unreadable
