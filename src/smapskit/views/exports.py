"""
Snapshots for other programs: JSON by one schema, CSV that is safe to open in a spreadsheet.

docs/schema.json describes the JSON; a test holds the two together.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable
from collections.abc import Mapping as MappingOf
from typing import Any, Final

import attrs

from smapskit.model.mapping import COUNTERS, MAPPING_FIELDS, Mapping, Totals
from smapskit.model.snapshot import Snapshot
from smapskit.text import UNPRINTABLE

SCHEMA_VERSION: Final = 1
# Permissions such as ---p begin like a formula, and are none.
_FORMULA = re.compile(r"(?![r-][w-][x-][sp]\Z)[=+\-@\t\r']")
# Spreadsheets split at "," or at ";", whichever their locale has.
_QUOTED = re.compile(r'[,;"\r\n]')
# What a terminal or a program that reads UTF-8 stumbles over, and the sign of an escape.
_ESCAPED = re.compile(rf"[\\{UNPRINTABLE}]")


def to_json(
    snapshots: Iterable[Snapshot], groups: Iterable[MappingOf[Any, Totals]] | None = None
) -> str:
    """
    One JSON document of one or several snapshots.

    Args:
        snapshots: of any processes and times.
        groups: for each of them, totals to give in place of its mappings.
    """
    shown = list(snapshots)
    documents = [_about(snapshot) for snapshot in shown]
    if groups is None:
        for document, snapshot in zip(documents, shown, strict=True):
            document["mappings"] = [_mapping(mapping) for mapping in snapshot]
    else:
        for document, grouped in zip(documents, groups, strict=True):
            document["groups"] = [
                {"group": None if key is None else _text(str(key)), **_totals(sums)}
                for key, sums in grouped.items()
            ]
    whole = {"schema": SCHEMA_VERSION, "unit": "kB", "snapshots": documents}
    return json.dumps(whole) + "\n"


def to_csv(
    snapshots: Iterable[Snapshot], groups: Iterable[MappingOf[Any, Totals]] | None = None
) -> str:
    """
    A row a mapping under the names of its attributes, with the pid before them.

    Addresses and offset are hex; what is unknown is empty. In names, a backslash and what
    a terminal could take as a command, or is no UTF-8, stand as a backslash and the byte in
    octal, as the kernel writes a newline; a cell that a spreadsheet would take for a formula
    begins with an apostrophe, and so does one that has one itself. Cells with a semicolon are
    quoted.

    Args:
        snapshots: of any processes and times.
        groups: for each of them, totals to give in place of its mappings, one row per group.
    """
    shown = list(snapshots)
    if groups is not None:
        return _groups_csv(shown, groups)
    extra = list(dict.fromkeys(name for s in shown for mapping in s for name in mapping.extra))
    names = [name for name in MAPPING_FIELDS if name != "extra"]
    at = names.index("pathname") + 1
    names[at:at] = ["backing", "sharing"]
    lines = [csv_row(["pid", *names, *map(cell, extra)])]
    for snapshot in shown:
        for mapping in snapshot:
            values = _mapping(mapping)
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


def csv_row(cells: Iterable[object]) -> str:
    """
    One line of CSV (RFC 4180), None as an empty cell.

    The csv module cannot quote cells with a semicolon alone, which spreadsheets of many
    locales would split.
    """
    # No function call per number: a recording by mapping has 600,000 numbers in a sample.
    shown = [
        "" if cell is None else _quoted(cell) if isinstance(cell, str) else str(cell)
        for cell in cells
    ]
    return ",".join(shown) + "\n"


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if _QUOTED.search(text) else text


def _about(snapshot: Snapshot) -> dict[str, Any]:
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
    """Valid Unicode: what is no UTF-8 as the replacement character."""
    return re.sub("[\ud800-\udfff]", "\ufffd", text)


def cell(value: object) -> object:
    """A value as a CSV cell that no spreadsheet takes for a formula."""
    return guarded(_ESCAPED.sub(_in_octal, value)) if isinstance(value, str) else value


def guarded(text: str) -> str:
    """`text` with an apostrophe before what a spreadsheet would take for a formula."""
    return f"'{text}" if _FORMULA.match(text) else text


def _in_octal(character: re.Match[str]) -> str:
    return "".join(f"\\{byte:03o}" for byte in character[0].encode("utf-8", "surrogateescape"))
