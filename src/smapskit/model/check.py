"""Contradictions within a snapshot, and between a snapshot and the kernel's own sums."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

import attrs

from smapskit.model.mapping import COUNTERS, Mapping, Rollup
from smapskit.model.totals import Totals

_ROUNDED_DOWN: Final = ("pss", "pss_dirty", "swap_pss", "locked")
"""Counters that smaps rounds down in each record, and smaps_rollup only once."""


class InconsistencyKind(enum.StrEnum):
    """What two values that should agree have in common."""

    ORDER = "order"
    """A mapping that follows one at a higher address."""
    OVERLAP = "overlap"
    """A mapping that overlaps the one before it."""
    RSS = "rss"
    """An Rss that is not the sum of its four parts."""
    ROLLUP = "rollup"
    """A sum that differs from smaps_rollup."""
    PAGES = "pages"
    """A number of pages that differs from smaps (`Pages.check`)."""


@attrs.frozen
class Inconsistency:
    """Two values of a snapshot that contradict each other; `str()` returns a sentence."""

    kind: InconsistencyKind
    mapping: Mapping | None
    """The mapping concerned; None for a sum over all of them."""
    text: str

    def __str__(self) -> str:
        return self.text


def check(
    mappings: Sequence[Mapping], totals: Totals, rollup: Rollup | None
) -> list[Inconsistency]:
    """Return what contradicts itself: see `Snapshot.check`."""
    found = [] if rollup is None else list(_compare_with_rollup(totals, rollup))
    for before, after in pairwise(mappings):
        if after.start < before.start:
            text = f"{after.start:x}-{after.end:x} follows a mapping at a higher address"
            found.append(Inconsistency(InconsistencyKind.ORDER, after, text))
        elif after.start < before.end:
            text = f"{after.start:x}-{after.end:x} overlaps the mapping before it"
            found.append(Inconsistency(InconsistencyKind.OVERLAP, after, text))
    found += [fault for mapping in mappings for fault in _compare_rss(mapping)]
    return found


def _compare_rss(mapping: Mapping) -> Iterator[Inconsistency]:
    parts = (
        mapping.shared_clean,
        mapping.shared_dirty,
        mapping.private_clean,
        mapping.private_dirty,
    )
    known = [part for part in parts if part is not None]
    if mapping.rss is not None and len(known) == len(parts) and mapping.rss != sum(known):
        text = (
            f"{mapping.start:x}-{mapping.end:x} has Rss {mapping.rss} kB, "
            f"but the sum of its four parts is {sum(known)} kB"
        )
        yield Inconsistency(InconsistencyKind.RSS, mapping, text)


def _compare_with_rollup(totals: Totals, rollup: Rollup) -> Iterator[Inconsistency]:
    for name in COUNTERS:
        summed, reported = getattr(totals, name), getattr(rollup, name)
        tolerance = totals.count if name in _ROUNDED_DOWN else 0
        if summed is None or reported is None or 0 <= reported - summed <= tolerance:
            continue
        text = f"the sum of {name} is {summed} kB, smaps_rollup reports {reported} kB"
        yield Inconsistency(InconsistencyKind.ROLLUP, None, text)
