"""
Parse, classify, total and compare the memory mappings of Linux processes.

Text of smaps, maps and pmap becomes typed `Mapping` records: classified as anonymous or
file-backed, shared or private; totalled, compared, recorded, and exported to pandas.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from smapskit.version import __version__

if TYPE_CHECKING:
    from smapskit.analysis.context import Context
    from smapskit.analysis.explain import explain, unchecked_rules
    from smapskit.analysis.findings import Confidence, Figure, Finding, Severity
    from smapskit.errors import (
        AccessDenied,
        ParseError,
        ProcessNotFound,
        SmapskitError,
        Unsupported,
    )
    from smapskit.formats.pmap.read import parse_pmap, parse_pmaps
    from smapskit.formats.pmap.write import format_pmap
    from smapskit.formats.smaps.parse import (
        iter_mappings,
        parse_maps,
        parse_maps_all,
        parse_rollup,
        parse_rollup_all,
        parse_smaps,
        parse_smaps_all,
    )
    from smapskit.formats.smaps.write import format_smaps
    from smapskit.model.backing import NAME_RULES, Backing, Sharing
    from smapskit.model.check import Inconsistency, InconsistencyKind
    from smapskit.model.diff import Change, ChangeKind, Difference, diff
    from smapskit.model.kinds import KIND_RULES, KindSource, KindVerdict, MappingKind, kinds
    from smapskit.model.mapping import Device, Mapping, Permissions, Rollup, Usage
    from smapskit.model.notes import Note
    from smapskit.model.page_recording import PageRecording, PageState, RecordedRange
    from smapskit.model.page_runs import PageRuns
    from smapskit.model.pages import (
        FrameFlag,
        Frames,
        MappingPages,
        PageCounts,
        PageFlag,
        PageRange,
        Pages,
    )
    from smapskit.model.residency import Residency
    from smapskit.model.snapshot import Snapshot
    from smapskit.model.totals import Totals, group_by, shared_rss, totals
    from smapskit.model.vmflags import VM_FLAGS
    from smapskit.model.working_set import WorkingSet
    from smapskit.sources.batch import load_frame
    from smapskit.sources.captures import load, load_all, load_rollup, load_rollup_all
    from smapskit.sources.machine import (
        MachineFindings,
        ProcessFindings,
        explain_system,
        read_context,
    )
    from smapskit.sources.pages.cache import read_residency
    from smapskit.sources.pages.read import read_pages
    from smapskit.sources.pages.sampling import PageSample, PageSampler, record_pages
    from smapskit.sources.pages.storage import load_pages, save_pages
    from smapskit.sources.pages.working_set import working_set
    from smapskit.sources.process import read, read_frame, read_maps, read_rollup
    from smapskit.sources.recording import Recording, Sample, record, sample
    from smapskit.sources.system import (
        GroupUsage,
        ProcessUsage,
        SystemUsage,
        read_system,
        read_system_frame,
    )
    from smapskit.views.exports import to_csv, to_json
    from smapskit.views.frames import concat, parse_frame

__all__ = [
    "KIND_RULES",
    "NAME_RULES",
    "VM_FLAGS",
    "AccessDenied",
    "Backing",
    "Change",
    "ChangeKind",
    "Confidence",
    "Context",
    "Device",
    "Difference",
    "Figure",
    "Finding",
    "FrameFlag",
    "Frames",
    "GroupUsage",
    "Inconsistency",
    "InconsistencyKind",
    "KindSource",
    "KindVerdict",
    "MachineFindings",
    "Mapping",
    "MappingKind",
    "MappingPages",
    "Note",
    "PageCounts",
    "PageFlag",
    "PageRange",
    "PageRecording",
    "PageRuns",
    "PageSample",
    "PageSampler",
    "PageState",
    "Pages",
    "ParseError",
    "Permissions",
    "ProcessFindings",
    "ProcessNotFound",
    "ProcessUsage",
    "RecordedRange",
    "Recording",
    "Residency",
    "Rollup",
    "Sample",
    "Severity",
    "Sharing",
    "SmapskitError",
    "Snapshot",
    "SystemUsage",
    "Totals",
    "Unsupported",
    "Usage",
    "WorkingSet",
    "__version__",
    "concat",
    "diff",
    "explain",
    "explain_system",
    "format_pmap",
    "format_smaps",
    "group_by",
    "iter_mappings",
    "kinds",
    "load",
    "load_all",
    "load_frame",
    "load_pages",
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
    "read_context",
    "read_frame",
    "read_maps",
    "read_pages",
    "read_residency",
    "read_rollup",
    "read_system",
    "read_system_frame",
    "record",
    "record_pages",
    "sample",
    "save_pages",
    "shared_rss",
    "to_csv",
    "to_json",
    "totals",
    "unchecked_rules",
    "working_set",
]

# Imported on first access, so that `import smapskit` loads neither attrs nor pandas.
_LAZY_IMPORTS = {
    "analysis.context": "Context",
    "analysis.explain": "explain unchecked_rules",
    "analysis.findings": "Confidence Figure Finding Severity",
    "errors": "AccessDenied ParseError ProcessNotFound SmapskitError Unsupported",
    "formats.pmap.read": "parse_pmap parse_pmaps",
    "formats.pmap.write": "format_pmap",
    "formats.smaps.parse": (
        "iter_mappings parse_maps parse_maps_all parse_rollup parse_rollup_all parse_smaps "
        "parse_smaps_all"
    ),
    "formats.smaps.write": "format_smaps",
    "model.backing": "NAME_RULES Backing Sharing",
    "model.check": "Inconsistency InconsistencyKind",
    "model.diff": "Change ChangeKind Difference diff",
    "model.kinds": "KIND_RULES KindSource KindVerdict MappingKind kinds",
    "model.mapping": "Device Mapping Permissions Rollup Usage",
    "model.notes": "Note",
    "model.page_recording": "PageRecording PageState RecordedRange",
    "model.page_runs": "PageRuns",
    "model.pages": "FrameFlag Frames MappingPages PageCounts PageFlag PageRange Pages",
    "model.residency": "Residency",
    "model.snapshot": "Snapshot",
    "model.totals": "Totals group_by shared_rss totals",
    "model.vmflags": "VM_FLAGS",
    "model.working_set": "WorkingSet",
    "sources.batch": "load_frame",
    "sources.captures": "load load_all load_rollup load_rollup_all",
    "sources.machine": "MachineFindings ProcessFindings explain_system read_context",
    "sources.pages.cache": "read_residency",
    "sources.pages.read": "read_pages",
    "sources.pages.sampling": "PageSample PageSampler record_pages",
    "sources.pages.storage": "load_pages save_pages",
    "sources.pages.working_set": "working_set",
    "sources.process": "read read_frame read_maps read_rollup",
    "sources.recording": "Recording Sample record sample",
    "sources.system": "GroupUsage ProcessUsage SystemUsage read_system read_system_frame",
    "views.exports": "to_csv to_json",
    "views.frames": "concat parse_frame",
}
_MODULE_OF = {name: module for module, names in _LAZY_IMPORTS.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(f"{__name__}.{module}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
