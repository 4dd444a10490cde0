"""
Colours of backings, kinds and series, declared once for all plots.

Based on those of Okabe and Ito, which people with colour blindness can distinguish. Colours that
occur in one plot also differ in lightness, so that they can be distinguished in grey.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from smapskit.model.backing import Backing
from smapskit.model.kinds import MappingKind

FOREGROUND: Final = "foreground"
"""In place of a colour: that of text, which is light on a dark background."""

_ORANGE: Final = "#E69F00"
_BLUE: Final = "#0072B2"
_GREEN: Final = "#14AC80"
_PINK: Final = "#B5659A"
_RUST: Final = "#A63603"
_GREY: Final = "#D8D8D8"
_NAVY: Final = "#00447C"
_SKY: Final = "#8CCBF2"
_PURPLE: Final = "#4A1030"
_YELLOW: Final = "#F7EE8A"

OF_BACKINGS: Final[dict[Backing | None, str]] = {
    Backing.ANONYMOUS: _ORANGE,
    Backing.FILE: _BLUE,
    Backing.SHMEM: _GREEN,
    Backing.DEVICE: _PINK,
    Backing.HUGETLB: _RUST,
    Backing.SPECIAL: FOREGROUND,
    None: _GREY,
}


class KindGroup(NamedTuple):
    """Kinds that have one colour: there are more kinds than colours."""

    name: str
    colour: str
    kinds: tuple[MappingKind, ...]


KIND_GROUPS: Final = (
    KindGroup(
        "malloc",
        _ORANGE,
        (
            MappingKind.MAIN_HEAP,
            MappingKind.MALLOC_ARENA,
            MappingKind.MALLOC_CHUNK,
            MappingKind.ALLOCATOR,
        ),
    ),
    KindGroup(
        "runtime",
        _RUST,
        (
            MappingKind.JVM_HEAP,
            MappingKind.JVM_OTHER,
            MappingKind.GO_HEAP,
            MappingKind.GO_RUNTIME,
            MappingKind.JAVASCRIPT_HEAP,
            MappingKind.RUNTIME_HEAP,
        ),
    ),
    KindGroup(
        "stack",
        _PINK,
        (MappingKind.MAIN_STACK, MappingKind.THREAD_STACK, MappingKind.SIGNAL_STACK),
    ),
    KindGroup("code", _NAVY, (MappingKind.CODE, MappingKind.JIT_CODE)),
    KindGroup("program data", _SKY, (MappingKind.PROGRAM_DATA, MappingKind.BSS)),
    KindGroup("mapped file", _BLUE, (MappingKind.MAPPED_FILE,)),
    KindGroup("shared memory", _GREEN, (MappingKind.SHARED_MEMORY,)),
    KindGroup(
        "device, guest, huge pages",
        _PURPLE,
        (MappingKind.DEVICE_MEMORY, MappingKind.GUEST_MEMORY, MappingKind.HUGE_PAGES),
    ),
    KindGroup("other anonymous", _YELLOW, (MappingKind.NAMED, MappingKind.OTHER_ANONYMOUS)),
    KindGroup(
        "no access",
        _GREY,
        (MappingKind.GUARD, MappingKind.RESERVED, MappingKind.SHADOW_MEMORY),
    ),
    KindGroup("kernel, unknown", FOREGROUND, (MappingKind.KERNEL, MappingKind.UNKNOWN)),
)
KIND_GROUP_OF: Final = {kind: group for group in KIND_GROUPS for kind in group.kinds}

OF_SERIES: Final = (
    _ORANGE,
    _BLUE,
    _SKY,
    _RUST,
    _GREEN,
    _YELLOW,
    _PINK,
    _NAVY,
)
"""The colours of series without a colour of their own, in order."""
OF_OTHERS: Final = _GREY
"""The colour of everything that is not drawn separately."""
OF_LINES: Final = (FOREGROUND, _BLUE, "#D55E00")
"""The colours of lines, in order; their dashes differ as well."""
