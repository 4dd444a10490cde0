"""The installed pmap as an oracle: what it prints, and what of that moves while it prints."""

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
# pmap itself maps libraries: each page of them has one user more while it runs.
MOVED_BY_PMAP = ("pss", "pss_dirty", "shared_clean", "private_clean")
# What other processes and the kernel change in a process that is stopped.
MOVED_BY_OTHERS = (*MOVED_BY_PMAP, "referenced")


def printed(options: str, *operands: object, locale: str = "C") -> str:
    """What pmap prints."""
    run = subprocess.run(
        ["pmap", *options.split(), *map(str, operands)],
        capture_output=True,
        check=False,
        env={**os.environ, "LC_ALL": locale},
    )
    return run.stdout.decode("utf-8", "surrogateescape")


def in_ascii(table: str) -> str:
    """
    A table with `?` for each byte of what is not printable ASCII.

    pmap up to 4.0.4 prints so, but not in -X and -XX; later ones, and smapskit, print UTF-8.
    """
    return re.sub(
        r"[^\n\x20-\x7e]",
        lambda character: "?" * len(character[0].encode("utf-8", "surrogateescape")),
        table,
    )


def named(table: Snapshot, with_header: str) -> Snapshot:
    """A table of -X; without its header line, what pmap moves is named by that of another."""
    if not any("column 2" in row.extra for row in table):
        return table
    names = with_header.split("\n")[1].split()[5:]
    columns = {
        field.attribute: f"column {names.index(name) + 1}"
        for name, field in kernel_fields(Mapping).items()
        if field.attribute in MOVED_BY_PMAP and name in names
    }
    rows = [attrs.evolve(m, **{a: m.extra[column] for a, column in columns.items()}) for m in table]
    return attrs.evolve(table, mappings=tuple(rows))


def moved_as_in(snapshot: Snapshot, table: Snapshot) -> Snapshot:
    """The snapshot with the figures that pmap's running moved, as its own table has them."""
    rows = zip(snapshot, table, strict=True)
    return attrs.evolve(
        snapshot,
        mappings=tuple(
            attrs.evolve(m, **{name: getattr(row, name) for name in MOVED_BY_PMAP})
            for m, row in rows
        ),
    )


def with_cut_names(snapshot: Snapshot) -> Snapshot:
    """The snapshot with names of 127 bytes at most, as procps 4.0.2 to 4.0.7 cut them in -X."""
    return attrs.evolve(
        snapshot,
        mappings=tuple(
            attrs.evolve(m, pathname=os.fsdecode(os.fsencode(m.pathname)[:127])) for m in snapshot
        ),
    )


def at_rest(snapshot: Snapshot) -> tuple[object, ...]:
    """What a snapshot says, without what other processes' coming and going moves."""
    moved: dict[str, None] = dict.fromkeys(MOVED_BY_PMAP)
    return snapshot.command, *(attrs.evolve(m, **moved) for m in snapshot)
