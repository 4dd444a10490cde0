"""Records constructed for tests."""

from __future__ import annotations

from smapskit import Mapping


def mapping(
    start: int, size: int = 4, perms: str = "rw-p", name: str = "", **known: int
) -> Mapping:
    """Construct a mapping of `size` kB; `known` are its counters."""
    return Mapping(start=start, end=start + size * 1024, perms=perms, pathname=name, **known)


SMALL = (
    mapping(0, perms="r-xp", name="/bin/x", rss=1),
    mapping(4096, perms="rw-s", name="/bin/x", rss=2),
    mapping(8192, perms="rw-p", rss=4),
    mapping(12288, perms="r-xp", name="[vdso]", rss=8),
)
"""Four mappings: two of a file, one shared; one anonymous; one of the kernel."""
