"""Many captures as one frame, read by all the cores of one machine."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from smapskit.captures import frames_of
from smapskit.errors import SmapskitError

if TYPE_CHECKING:
    from pandas import DataFrame

    from smapskit.frames import Unit

_BATCH = 64
"""Captures that one process reads in less time than others take to start."""


def load_frames(
    paths: Iterable[str | os.PathLike[str]],
    unit: Unit = "kB",
    *,
    workers: int | None = None,
    limit: int | None = None,
    each: Callable[[int], object] | None = None,
) -> DataFrame:
    """
    Read many captures, of any format that `load` reads, into one frame.

    A capture that can't be read is never fatal: what is wrong with it stands in
    `attrs["unreadable"]`, by its path.

    Args:
        paths: of the captures.
        unit: as in `to_frame`.
        workers: processes to share the work; as many as there are cores where None.
        limit: as in `load`.
        each: called with how many are done, now and then, to show progress.

    Returns:
        As `concat`, with a further column `source`, the path; pid and time are missing where
        a capture does not say them.
    """
    import pandas as pd  # noqa: PLC0415  for whoever asks for a frame

    from smapskit import frames  # noqa: PLC0415

    names = [os.fspath(path) for path in paths]
    batches = [names[at : at + _BATCH] for at in range(0, len(names), _BATCH)]
    parts: list[DataFrame] = []
    unreadable: dict[str, str] = {}
    done = 0
    with _pool(workers if len(batches) > 1 else 1) as pool:
        read = partial(_read, unit=unit, limit=limit)
        answers = map(read, batches) if pool is None else pool.map(read, batches)
        for batch, (part, reasons) in zip(batches, answers, strict=True):
            parts += [] if part is None else [part]
            unreadable |= reasons
            done += len(batch)
            if each is not None:
                each(done)
    frame = frames.joined(parts, unit)
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
    paths: list[str], unit: Unit, limit: int | None
) -> tuple[DataFrame | None, dict[str, str]]:
    """One frame of some captures, and why the others of them are not in it."""
    from smapskit import frames  # noqa: PLC0415

    found: list[DataFrame] = []
    unreadable: dict[str, str] = {}
    for path in paths:
        try:
            found += frames_of(path, unit, limit=limit)
        except (SmapskitError, OSError) as error:
            unreadable[path] = str(error)
        except MemoryError:
            unreadable[path] = f"{path}: not enough memory to read it"
    if not found:
        return None, unreadable
    frame = frames.concat(found, unit)
    frame["source"] = [part.attrs["source"] for part in found for _ in range(len(part))]
    return frame, unreadable
