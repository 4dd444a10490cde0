"""
Export to other programs: JSON with a versioned schema, CSV that is safe in a spreadsheet.

docs/schema.json and docs/schema-system.json describe the JSON; tests validate it.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator
from collections.abc import Mapping as MappingOf
from typing import Any, Final

import attrs

from smapskit.model.mapping import COUNTERS, MAPPING_FIELDS, Mapping, Usage
from smapskit.model.snapshot import Snapshot
from smapskit.model.totals import Totals
from smapskit.text import UNPRINTABLE, sanitize
from smapskit.views.columns import OF_PROCESSES

SCHEMA_VERSION: Final = 1
SYSTEM_SCHEMA_VERSION: Final = 1
# Permissions such as ---p begin like a formula but are not one.
_FORMULA = re.compile(r"(?![r-][w-][x-][sp]\Z)[=+\-@\t\r']")
# Spreadsheets split at "," or at ";", depending on the locale.
_QUOTED = re.compile(r'[,;"\r\n]')
# Characters that must not reach a terminal or are not UTF-8, and the escape character.
_ESCAPED = re.compile(rf"[\\{UNPRINTABLE}]")


def to_json(
    snapshots: Iterable[Snapshot], groups: Iterable[MappingOf[Any, Totals]] | None = None
) -> str:
    """
    Return one JSON document of one or several snapshots.

    Args:
        snapshots: of any processes and times.
        groups: for each snapshot, the totals to export in place of its mappings.
    """
    exported = list(snapshots)
    documents = [_metadata(snapshot) for snapshot in exported]
    if groups is None:
        for document, snapshot in zip(documents, exported, strict=True):
            document["mappings"] = list(_mappings(snapshot))
    else:
        for document, grouped in zip(documents, groups, strict=True):
            document["groups"] = [
                {"group": None if key is None else _text(str(key)), **_totals(sums)}
                for key, sums in grouped.items()
            ]
    document = {"schema": SCHEMA_VERSION, "unit": "kB", "snapshots": documents}
    return json.dumps(document) + "\n"


def to_csv(
    snapshots: Iterable[Snapshot], groups: Iterable[MappingOf[Any, Totals]] | None = None
) -> str:
    """
    Return one row per mapping, with the pid and the attributes of the mapping as columns.

    Addresses and offset are hex; an unknown value is an empty cell. In names, a backslash and
    every character that must not reach a terminal or is not UTF-8 are written as a backslash and
    the byte in octal, as the kernel writes a newline. An apostrophe precedes a cell that a
    spreadsheet would interpret as a formula, and a cell that begins with an apostrophe. Cells with
    a semicolon are quoted.

    Args:
        snapshots: of any processes and times.
        groups: for each snapshot, the totals to export in place of its mappings.
    """
    exported = list(snapshots)
    if groups is not None:
        return _groups_csv(exported, groups)
    extra = list(dict.fromkeys(name for s in exported for mapping in s for name in mapping.extra))
    names = [name for name in MAPPING_FIELDS if name != "extra"]
    position = names.index("pathname") + 1
    names[position:position] = ["backing", "sharing", "kind", "kind_source"]
    lines = [csv_row(["pid", *names, *map(cell, extra)])]
    for snapshot in exported:
        for mapping, values in zip(snapshot, _mappings(snapshot), strict=True):
            values["pathname"] = mapping.pathname
            values["vm_flags"] = None if mapping.vm_flags is None else " ".join(mapping.vm_flags)
            row = [values[name] for name in names]
            row += [mapping.extra.get(name) for name in extra]
            lines.append(csv_row(map(cell, [snapshot.pid, *row])))
    return "".join(lines)


def _groups_csv(snapshots: Iterable[Snapshot], groups: Iterable[MappingOf[Any, Totals]]) -> str:
    names = list(_totals(Totals(count=0, size=0)))
    lines = [csv_row(["pid", "group", *names])]
    for snapshot, grouped in zip(snapshots, groups, strict=True):
        for key, sums in grouped.items():
            group = None if key is None else cell(str(key))
            lines.append(csv_row([cell(snapshot.pid), group, *_totals(sums).values()]))
    return "".join(lines)


SystemRow = tuple[tuple[Any, Any], Usage]
"""(pid, command line) of a process or (group, number of processes), and its sums."""


def system_to_json(
    rows: Iterable[SystemRow], unreadable: MappingOf[int, str], by: str | None = None
) -> str:
    """
    Return one JSON document of all processes of a machine.

    Args:
        rows: in the order of the document.
        unreadable: the reason by pid for processes that were not read.
        by: what the rows are grouped by; None for one row per process.
    """
    first, second = ("pid", "command") if by is None else (by, "processes")
    documents = [
        {
            first: _key(keys[0]),
            second: _key(keys[1]),
            **{name: getattr(usage, name) for name in OF_PROCESSES},
        }
        for keys, usage in rows
    ]
    document = {
        "schema": SYSTEM_SCHEMA_VERSION,
        "unit": "kB",
        "rows": documents,
        "unreadable": {str(pid): _text(reason) for pid, reason in unreadable.items()},
    }
    return json.dumps(document, indent=1) + "\n"


def system_to_csv(
    rows: Iterable[SystemRow], _unreadable: MappingOf[int, str], by: str | None = None
) -> str:
    """Return one row per process or group: see `system_to_json`. CSV omits unreadable processes."""
    heading = ["pid", "command"] if by is None else [by, "processes"]
    lines = [csv_row([*heading, *OF_PROCESSES])]
    for keys, usage in rows:
        values = [*map(_key, keys), *(getattr(usage, name) for name in OF_PROCESSES)]
        lines.append(csv_row(map(cell, values)))
    return "".join(lines)


def _key(key: object) -> int | str | None:
    return key if key is None or isinstance(key, int) else sanitize(str(key))


def csv_row(cells: Iterable[object]) -> str:
    """
    Return one line of CSV (RFC 4180), with an empty cell for None.

    The csv module cannot quote cells with a semicolon only, which spreadsheets of many locales
    would split.
    """
    # No function call per number: a recording by mapping has 600,000 numbers in a sample.
    texts = [
        "" if cell is None else _quoted(cell) if isinstance(cell, str) else str(cell)
        for cell in cells
    ]
    return ",".join(texts) + "\n"


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if _QUOTED.search(text) else text


def _metadata(snapshot: Snapshot) -> dict[str, Any]:
    return {
        "pid": snapshot.pid,
        "command": None if snapshot.command is None else _text(snapshot.command),
        "time": None if snapshot.time is None else snapshot.time.isoformat(),
        "source": None if snapshot.source is None else _text(snapshot.source),
        "notes": list(snapshot.notes),
        "totals": _totals(snapshot.totals()),
        "shared_rss": snapshot.shared_rss(),
    }


def _totals(totals: Totals) -> dict[str, Any]:
    return {
        "count": totals.count,
        "size": totals.size,
        **{name: getattr(totals, name) for name in (*COUNTERS, "dirty", "uss")},
    }


def _mappings(snapshot: Snapshot) -> Iterator[dict[str, Any]]:
    for mapping, verdict in zip(snapshot, snapshot.kinds(), strict=True):
        values = _mapping(mapping)
        values["kind"] = verdict.kind
        values["kind_source"] = verdict.source
        yield values


def _mapping(mapping: Mapping) -> dict[str, Any]:
    values = attrs.asdict(mapping, recurse=False)
    values["start"] = f"{mapping.start:x}"
    values["end"] = f"{mapping.end:x}"
    values["offset"] = None if mapping.offset is None else f"{mapping.offset:x}"
    values["perms"] = str(mapping.perms)
    values["device"] = None if mapping.device is None else str(mapping.device)
    values["pathname"] = _text(mapping.pathname)
    if values["pathname"] != mapping.pathname:
        raw = mapping.pathname.encode("utf-8", "surrogateescape")
        values["pathname_base64"] = base64.b64encode(raw).decode()
    values["backing"] = mapping.backing
    values["sharing"] = mapping.sharing
    values["vm_flags"] = None if mapping.vm_flags is None else list(mapping.vm_flags)
    values["extra"] = {
        name: _text(value) if isinstance(value, str) else value
        for name, value in mapping.extra.items()
    }
    return values


def _text(text: str) -> str:
    """Return valid Unicode, with the replacement character for bytes that are not UTF-8."""
    return re.sub("[\ud800-\udfff]", "\ufffd", text)


def cell(value: object) -> object:
    """Return a value as a CSV cell that no spreadsheet interprets as a formula."""
    return escape_formula(_ESCAPED.sub(_in_octal, value)) if isinstance(value, str) else value


def escape_formula(text: str) -> str:
    """Return `text`, after an apostrophe if a spreadsheet would interpret it as a formula."""
    return f"'{text}" if _FORMULA.match(text) else text


def _in_octal(character: re.Match[str]) -> str:
    return "".join(f"\\{byte:03o}" for byte in character[0].encode("utf-8", "surrogateescape"))
