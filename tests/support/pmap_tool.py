"""The installed pmap as an oracle: its tables, and the values that change while it runs."""

from __future__ import annotations

import os
import re
import subprocess

import attrs

from smapskit.formats.pmap.dialects import LayoutName
from smapskit.model.mapping import Mapping, kernel_fields
from smapskit.model.snapshot import Snapshot

LAYOUTS: dict[str, LayoutName] = {
    "": "short",
    "-x": "extended",
    "-d": "device",
    "-X": "X",
    "-XX": "XX",
}
# pmap itself maps libraries: each of their pages has one more user while it runs.
CHANGED_BY_PMAP = ("pss", "pss_dirty", "shared_clean", "private_clean")
# Values of a stopped process that other processes and the kernel change.
CHANGED_BY_OTHERS = (*CHANGED_BY_PMAP, "referenced")


def printed(options: str, *operands: object, locale: str = "C") -> str:
    """Return what pmap prints."""
    run = subprocess.run(
        ["pmap", *options.split(), *map(str, operands)],
        capture_output=True,
        check=False,
        env={**os.environ, "LC_ALL": locale},
    )
    return run.stdout.decode("utf-8", "surrogateescape")


def in_ascii(table: str) -> str:
    """
    Return a table with `?` for each byte of a character that is not printable ASCII.

    pmap up to 4.0.4 prints `?`, except in -X and -XX; later ones and smapskit print UTF-8.
    """
    return re.sub(
        r"[^\n\x20-\x7e]",
        lambda character: "?" * len(character[0].encode("utf-8", "surrogateescape")),
        table,
    )


def named(table: Snapshot, with_header: str) -> Snapshot:
    """Return a table of -X with names for the values that pmap changes, from another header."""
    if not any("column 2" in row.extra for row in table):
        return table
    names = with_header.split("\n")[1].split()[5:]
    columns = {
        field.attribute: f"column {names.index(name) + 1}"
        for name, field in kernel_fields(Mapping).items()
        if field.attribute in CHANGED_BY_PMAP and name in names
    }
    rows = [attrs.evolve(m, **{a: m.extra[column] for a, column in columns.items()}) for m in table]
    return attrs.evolve(table, mappings=tuple(rows))


def changed_as_in(snapshot: Snapshot, table: Snapshot) -> Snapshot:
    """Return the snapshot with the values that pmap changed while it ran, from its table."""
    rows = zip(snapshot, table, strict=True)
    return attrs.evolve(
        snapshot,
        mappings=tuple(
            attrs.evolve(m, **{name: getattr(row, name) for name in CHANGED_BY_PMAP})
            for m, row in rows
        ),
    )


def up_to_unnamed_flags(snapshot: Snapshot) -> Snapshot:
    """
    Return the snapshot with the flags that pmap -XX prints.

    The kernel writes `??` for a flag without a name, as 6.1 does for VM_LOCKONFAULT; procps 4
    prints neither it nor what follows.
    """
    return attrs.evolve(
        snapshot,
        mappings=tuple(
            attrs.evolve(m, vm_flags=m.vm_flags[: m.vm_flags.index("??")])
            if m.vm_flags is not None and "??" in m.vm_flags
            else m
            for m in snapshot
        ),
    )


def with_truncated_names(snapshot: Snapshot) -> Snapshot:
    """Return the snapshot with names truncated to 127 bytes, as procps 4.0.2 to 4.0.7 do in -X."""
    return attrs.evolve(
        snapshot,
        mappings=tuple(
            attrs.evolve(m, pathname=os.fsdecode(os.fsencode(m.pathname)[:127])) for m in snapshot
        ),
    )


def at_rest(snapshot: Snapshot) -> tuple[object, ...]:
    """Return the content of a snapshot without the values that other processes change."""
    moved: dict[str, None] = dict.fromkeys(CHANGED_BY_PMAP)
    return snapshot.command, *(attrs.evolve(m, **moved) for m in snapshot)
