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
    from smapskit.errors import (
        AccessDenied,
        ParseError,
        ProcessNotFound,
        SmapskitError,
        Unsupported,
    )
    from smapskit.formats.pmap.read import parse_pmap, parse_pmaps
    from smapskit.formats.pmap.write import format_pmap
    from smapskit.formats.smaps.parse import iter_mappings, parse_maps, parse_rollup, parse_smaps
    from smapskit.formats.smaps.write import format_smaps
    from smapskit.model.backing import Backing, Sharing
    from smapskit.model.diff import Change, Difference, Kind, diff, group_by, shared_rss, totals
    from smapskit.model.mapping import Device, Mapping, Permissions, Rollup, Totals, Usage
    from smapskit.model.snapshot import Snapshot
    from smapskit.model.vmflags import VM_FLAGS
    from smapskit.sources.batch import load_frames
    from smapskit.sources.captures import load, load_all, load_rollup
    from smapskit.sources.process import read, read_frame, read_maps, read_rollup
    from smapskit.sources.recording import Recording, record, sample
    from smapskit.sources.system import read_all
    from smapskit.views.frames import concat, parse_frame

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
    "parse_frame",
    "parse_maps",
    "parse_pmap",
    "parse_pmaps",
    "parse_rollup",
    "parse_smaps",
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
    "model.diff": "Change Difference Kind diff group_by shared_rss totals",
    "sources.captures": "load load_all load_rollup",
    "model.backing": "Backing Sharing",
    "errors": "AccessDenied ParseError ProcessNotFound SmapskitError Unsupported",
    "formats.pmap.read": "parse_pmap parse_pmaps",
    "formats.pmap.write": "format_pmap",
    "sources.process": "read read_frame read_maps read_rollup",
    "sources.recording": "Recording record sample",
    "model.mapping": "Device Mapping Permissions Rollup Totals Usage",
    "formats.smaps.parse": "iter_mappings parse_maps parse_rollup parse_smaps",
    "formats.smaps.write": "format_smaps",
    "model.snapshot": "Snapshot",
    "model.vmflags": "VM_FLAGS",
    "views.frames": "concat parse_frame",
    "sources.batch": "load_frames",
    "sources.system": "read_all",
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    if name in ("frames", "plots"):  # rooms with more in them than stands here
        return importlib.import_module(f"{__name__}.views.{name}")
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(f"{__name__}.{home}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
