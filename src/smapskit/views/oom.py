"""The task table of an OOM report as a DataFrame."""

from __future__ import annotations

from typing import Any, Final

import attrs
import pandas as pd

from smapskit.model.oom import OomReport, OomTask

_COLUMNS: Final = tuple(field.name for field in attrs.fields(OomTask) if field.name != "extra")


def tasks_frame(report: OomReport) -> pd.DataFrame:
    """
    Return one row per process of the task table, in its order, sizes in kB.

    Numbers are Int64, the nullable type; columns that no kernel before 6.8 prints are empty there.
    """
    tasks = report.tasks or ()
    killed = {victim.pid for victim in report.killed}
    frame = pd.DataFrame(
        {name: _column([getattr(task, name) for task in tasks], name) for name in _COLUMNS}
    )
    for name in dict.fromkeys(name for task in tasks for name in task.extra):
        frame[name] = _column([task.extra.get(name) for task in tasks], name)
    frame["memory"] = _column([task.memory for task in tasks], "memory")
    frame["killed"] = pd.array([task.pid in killed for task in tasks], dtype="bool")
    frame.attrs = {"time": report.time, "cgroup": report.cgroup, "unit": "kB"}
    return frame


def _column(values: list[Any], name: str) -> Any:
    # Names may hold bytes that are not UTF-8, which the string type of pandas 3 rejects.
    dtype: Any = object if name == "name" else "Int64"
    return pd.array(values, dtype=dtype)
