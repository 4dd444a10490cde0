"""
What the memory of a Linux process is made of.

smaps, maps and pmap text become typed `Mapping` records, classed as anonymous or
file-backed and shared or private, which add up, compare and print as pmap's tables.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from smapskit.version import __version__

if TYPE_CHECKING:
    from smapskit.aggregate import Change, Difference, Kind, diff, group_by, shared_rss, totals
    from smapskit.captures import load, load_all, load_rollup, load_rollup_all
    from smapskit.classify import Backing, Sharing
    from smapskit.errors import (
        AccessDenied,
        ParseError,
        ProcessNotFound,
        SmapskitError,
        Unsupported,
    )
    from smapskit.flags import VM_FLAGS
    from smapskit.fleet import load_frames
    from smapskit.frames import concat, parse_frame
    from smapskit.machine import read_all
    from smapskit.pmap.read import parse_pmap, parse_pmaps
    from smapskit.pmap.write import format_pmap
    from smapskit.process import read, read_frame, read_maps, read_rollup
    from smapskit.recording import Recording, record, sample
    from smapskit.records import Device, Mapping, Permissions, Rollup, Totals, Usage
    from smapskit.smaps.parse import (
        iter_mappings,
        parse_maps,
        parse_maps_all,
        parse_rollup,
        parse_rollup_all,
        parse_smaps,
        parse_smaps_all,
    )
    from smapskit.smaps.write import format_smaps
    from smapskit.snapshot import Snapshot

__all__ = [
    "VM_FLAGS",
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
    "load_frames",
    "load_rollup",
    "load_rollup_all",
    "parse_frame",
    "parse_maps",
    "parse_maps_all",
    "parse_pmap",
    "parse_pmaps",
    "parse_rollup",
    "parse_rollup_all",
    "parse_smaps",
    "parse_smaps_all",
    "read",
    "read_all",
    "read_frame",
    "read_maps",
    "read_rollup",
    "record",
    "sample",
    "shared_rss",
    "totals",
]

# Where each name is at home: it is loaded when it is first asked for, so that whoever parses
# does not wait for what records, and nobody waits for pandas who wants no frame.
_HOMES = {
    "aggregate": "Change Difference Kind diff group_by shared_rss totals",
    "captures": "load load_all load_rollup load_rollup_all",
    "classify": "Backing Sharing",
    "errors": "AccessDenied ParseError ProcessNotFound SmapskitError Unsupported",
    "pmap.read": "parse_pmap parse_pmaps",
    "pmap.write": "format_pmap",
    "process": "read read_frame read_maps read_rollup",
    "recording": "Recording record sample",
    "records": "Device Mapping Permissions Rollup Totals Usage",
    "smaps.parse": (
        "iter_mappings parse_maps parse_maps_all parse_rollup parse_rollup_all parse_smaps "
        "parse_smaps_all"
    ),
    "smaps.write": "format_smaps",
    "snapshot": "Snapshot",
    "flags": "VM_FLAGS",
    "frames": "concat parse_frame",
    "fleet": "load_frames",
    "machine": "read_all",
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    if name in ("frames", "plots"):  # rooms with more in them than stands here
        return importlib.import_module(f"{__name__}.{name}")
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(f"{__name__}.{home}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
