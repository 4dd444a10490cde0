"""
What tables show, declared once for the terminal, notebooks, CSV and plots.

pmap's own layouts are not declared here: they are pmap's (see `formats.pmap.dialects`).
"""

from __future__ import annotations

from typing import Final

from smapskit.text import sanitize

HEADINGS: Final = {
    "size": "Size",
    "rss": "RSS",
    "pss": "PSS",
    "uss": "USS",
    "dirty": "Dirty",
    "swap": "Swap",
    "anonymous": "Anonymous",
    "shared_rss": "RSS of shared mappings",
    "count": "Mappings",
    "backing": "Backing",
    "sharing": "Sharing",
    "kind": "Kind",
    "perms": "Perms",
    "pathname": "Pathname",
}
"""The heading of each column, by its attribute of Usage, Mapping or Totals. Sizes are in kB."""

OF_GROUPS: Final = ("size", "rss", "pss", "uss", "dirty", "swap")
"""The values of a group of mappings."""
OF_MAPPINGS: Final = ("size", "rss", "pss", "dirty", "swap")
"""The values of a mapping in a notebook."""
OF_CHANGES: Final = ("size", "rss", "pss", "dirty", "swap")
"""The values of a change between two snapshots."""
OF_PROCESSES: Final = ("pss", "uss", "rss", "swap")
"""The values of a process, or of a group over all processes."""
OF_RECORDINGS: Final = ("rss", "shared_rss", "anonymous")
"""The values that are plotted over time."""
FAMILY_HEADINGS: Final = (
    "Processes",
    "PSS",
    "USS",
    "Shared",
    "Own min",
    "median",
    "max",
    "One more",
    "Swap",
)
"""The columns of a family before its name."""

UNKNOWN: Final = "-"
"""A value that the source does not report."""


def label(key: object) -> str:
    """Return the name of a group for a person: `(anonymous)` for no name."""
    if key is None:
        return "(unknown)"
    return sanitize(str(key)) or "(anonymous)"
