"""Many captures as one frame, read by all the cores of one machine."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from smapskit.captures import frames_of
from smapskit.errors import SmapskitError

if TYPE_CHECKING:
    from pandas import DataFrame

    from smapskit.frames import Unit

_FEW = 32
"""Captures that one process reads in less time than others take to start."""


def load_frames(
    paths: Iterable[str | os.PathLike[str]],
    unit: Unit = "kB",
    *,
    workers: int | None = None,
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
        each: called with their number after each capture, to show progress.

    Returns:
        As `concat`, with a further column `source`, the path; pid and time are missing where
        a capture does not say them.
    """
    import pandas as pd  # noqa: PLC0415  for whoever asks for a frame

    from smapskit import frames  # noqa: PLC0415

    names = [os.fspath(path) for path in paths]
    found: list[DataFrame] = []
    unreadable: dict[str, str] = {}
    with _pool(workers if len(names) > _FEW else 1) as pool:
        jobs: list[tuple[str, Unit]] = [(name, unit) for name in names]
        answers: Iterable[Any] = (
            map(_read, jobs) if pool is None else pool.map(_read, jobs, chunksize=8)
        )
        for number, (name, answer) in enumerate(zip(names, answers, strict=True), 1):
            if isinstance(answer, str):
                unreadable[name] = answer
            else:
                found += answer
            if each is not None:
                each(number)
    frame = frames.concat(found, unit)
    frame["source"] = pd.Categorical(
        [part.attrs["source"] for part in found for _ in range(len(part))]
    )
    frame.attrs["unreadable"] = unreadable
    return frame


@contextmanager
def _pool(workers: int | None) -> Iterator[Executor | None]:
    if workers == 1:
        yield None
        return
    with ProcessPoolExecutor(workers) as pool:
        yield pool


def _read(job: tuple[str, Unit]) -> list[DataFrame] | str:
    path, unit = job
    try:
        return frames_of(path, unit)
    except (SmapskitError, OSError) as error:
        return str(error)
