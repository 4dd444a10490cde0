"""
What the memory of a Linux process is made of.

smaps, maps and pmap text become typed `Mapping` records, classed as anonymous or
file-backed and shared or private, which add up, compare and print as pmap's tables.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from smapskit.aggregate import Change, Difference, Kind, diff, group_by, shared_rss, totals
from smapskit.captures import load, load_all, load_rollup
from smapskit.classify import Backing, Sharing
from smapskit.errors import (
    AccessDenied,
    ParseError,
    ProcessNotFound,
    SmapskitError,
    Unsupported,
)
from smapskit.pmap import format_pmap, parse_pmap, parse_pmaps
from smapskit.process import read, read_frame, read_maps, read_rollup
from smapskit.recording import Recording, record, sample
from smapskit.records import Device, Mapping, Permissions, Rollup, Totals, Usage
from smapskit.smaps import format_smaps, iter_mappings, parse_maps, parse_rollup, parse_smaps
from smapskit.snapshot import Snapshot
from smapskit.version import __version__

if TYPE_CHECKING:
    from smapskit.frames import concat, parse_frame

__all__ = [
    "AccessDenied",
    "Backing",
    "Change",
    "Device",
    "Difference",
    "Kind",
    "Mapping",
    "ParseError",
    "Permissions",
    "ProcessNotFound",
    "Recording",
    "Rollup",
    "Sharing",
    "SmapskitError",
    "Snapshot",
    "Totals",
    "Unsupported",
    "Usage",
    "__version__",
    "concat",
    "diff",
    "format_pmap",
    "format_smaps",
    "group_by",
    "iter_mappings",
    "load",
    "load_all",
    "load_rollup",
    "parse_frame",
    "parse_maps",
    "parse_pmap",
    "parse_pmaps",
    "parse_rollup",
    "parse_smaps",
    "read",
    "read_frame",
    "read_maps",
    "read_rollup",
    "record",
    "sample",
    "shared_rss",
    "totals",
]


def __getattr__(name: str) -> Any:
    # What needs pandas is loaded by whoever asks for it.
    if name in ("concat", "parse_frame"):
        from smapskit import frames  # noqa: PLC0415

        return getattr(frames, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
