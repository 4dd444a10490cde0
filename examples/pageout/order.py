"""Decide the fifth claim: the order in which the pages of the file are evicted."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from functools import cached_property

import attrs
import numpy as np
import pandas as pd
from judge import Claim, Finding
from numpy.typing import NDArray
from page_run import IN_MEMORY, PageRun
from patterns import ORDER, PATTERNS

from smapskit import PageState

Numbers = NDArray[np.int64]

TEXT = (
    "The order of eviction is determined: arrival with a second chance (CLOCK); LRU only where "
    "each page is touched once"
)
_SMALL = 128
"""MiB: below this limit eviction comes in a few large steps, and some bounds are wider."""
_RESIDUE = 0.02
"""The share of pages whose order is not judged: at the end they are evicted and read again."""


@attrs.frozen(eq=False)
class Order:
    """
    When the pages of the file arrived, were touched, and were evicted.

    Times are numbers of samples, those of last touches are in ms. The pages that count are those
    in memory when allocation begins that were touched since they arrived; arrival and last touch
    are those before that time. A page that is evicted and read again counts as evicted the first
    time.
    """

    run: PageRun

    @cached_property
    def states(self) -> NDArray[np.uint8]:
        """One row per sample with the `PageState` of each page."""
        return self.run.states()

    @cached_property
    def in_memory(self) -> NDArray[np.bool_]:
        """One row per sample: whether each page is in memory, mapped or not."""
        there: NDArray[np.bool_] = (self.states & np.uint8(IN_MEMORY)) != 0
        return there

    @cached_property
    def start(self) -> int:
        """
        The last sample before allocation begins.

        Raises:
            ValueError: the run ended before that.
        """
        if "allocating" not in self.run.phases:
            raise ValueError("the run ended before it allocated")
        begin = self.run.phases["allocating"]
        return max(0, int(np.searchsorted(self.run.recording.seconds, begin, "right")) - 1)

    @cached_property
    def arrival(self) -> Numbers:
        """The sample in which each page arrived in memory."""
        there = self.in_memory[: self.start + 1]
        return _last_true(there[1:] & ~there[:-1]) + 1

    @cached_property
    def last_touch(self) -> Numbers:
        """When each page was last touched before allocation, in ms."""
        return self.run.last_touch.astype(np.int64)

    @cached_property
    def pages(self) -> Numbers:
        """The numbers of the pages that count."""
        last_touch = _last_true(self.run.touches()[: self.start + 1])
        return np.flatnonzero(self.in_memory[self.start] & (last_touch >= self.arrival))

    @cached_property
    def eviction(self) -> Numbers:
        """The first sample without each page; the number of samples for those never evicted."""
        count = len(self.in_memory)
        latest = _last_true(~self.in_memory[self.start :][::-1])
        return np.where(latest >= 0, count - 1 - latest, count)

    @cached_property
    def half(self) -> int:
        """
        The first sample without half of the pages.

        Raises:
            ValueError: the run ended before that.
        """
        return self.sample_without(0.5)

    def sample_without(self, share: float) -> int:
        """
        Return the first sample without a share of the pages.

        Raises:
            ValueError: the run ended before that.
        """
        gone = np.sort(self.eviction[self.pages])
        if not len(gone):
            raise ValueError("no page of the file was in memory when it allocated")
        sample = int(gone[min(int(len(gone) * share), len(gone) - 1)])
        if sample >= len(self.in_memory):
            raise ValueError(f"the run ended before {share:.0%} of the pages were evicted")
        return sample

    def correlation(self, times: Numbers) -> float:
        """Return Spearman's rank correlation of eviction with other times of pages."""
        end = self.sample_without(1 - _RESIDUE)
        pages = self.pages[self.eviction[self.pages] <= end]
        return correlate(self.eviction[pages], times[pages])

    def lru_half(self) -> float:
        """Return the share of the half that survives which LRU would have kept."""
        survives = self.eviction[self.pages] > self.half
        touch, count = self.last_touch[self.pages], int(survives.sum())
        if not count:
            raise ValueError("no page survived half of the others")
        limit = np.sort(touch)[-count]
        is_kept, is_tied = touch > limit, touch == limit
        # Of pages that were touched in the same sample, LRU could have kept any.
        share_of_tied = (count - is_kept.sum()) / is_tied.sum()
        kept = (survives & is_kept).sum() + (survives & is_tied).sum() * share_of_tied
        return float(kept / count)

    def share(self, name: str, sample: int) -> float:
        """Return the smallest share of a region of that name that is in memory in a sample."""
        there = self.in_memory[sample]
        return min(
            float(there[each.first : each.end].mean())
            for each in self.run.regions
            if each.name == name
        )

    def share_while_full(self, name: str) -> float:
        """Return the smallest share of a region from when memory is full until allocation."""
        if "level" not in self.run.phases:
            raise ValueError("the run ended before memory was full")
        begin = int(np.searchsorted(self.run.recording.seconds, self.run.phases["level"]))
        return min(self.share(name, sample) for sample in range(begin, self.start + 1))

    def active_share(self, name: str, sample: int) -> float:
        """Return the share of a region that is on the active list."""
        active = (self.states[sample] & np.uint8(PageState.ACTIVE)) != 0
        (region,) = (each for each in self.run.regions if each.name == name)
        return float(active[region.first : region.end].mean())


def _last_true(rows: NDArray[np.bool_]) -> Numbers:
    """Return for each column the last row that is true; -1 for none."""
    last = np.full(rows.shape[1], -1)
    for number, row in enumerate(rows):  # row by row: columns are not contiguous
        last[row] = number
    return last


def correlate(one: Numbers, other: Numbers) -> float:
    """Return Spearman's rank correlation; NaN if one of both is constant."""
    if len(one) < 2 or np.ptp(one) == 0 or np.ptp(other) == 0:  # noqa: PLR2004
        return float("nan")
    return float(pd.Series(one).rank().corr(pd.Series(other).rank()))


def judge_order(order: Order) -> Claim:
    """Decide the fifth claim for one run."""
    run = order.run
    try:
        findings = _BOUNDS.get(run.pattern, _no_bounds)(order)
        if run.pattern != "advice":  # its locked pages are never evicted
            names = {finding.name for finding in findings}
            findings += [finding for finding in _figures(order) if finding.name not in names]
    except ValueError as error:
        return Claim(TEXT, (), remark=str(error))
    is_judged = ORDER in PATTERNS[run.pattern].claims
    if run.pattern == "twice" and not _has_active_list(run):
        is_judged = False
    claim = Claim(TEXT, tuple(findings), is_judged=is_judged)
    if claim.holds or not is_judged:
        claim = attrs.evolve(claim, remark=_REMARKS.get(run.pattern, ""))
    return claim


def judge_agreement(orders: Sequence[Order]) -> Claim:
    """Decide whether runs of one pattern evict their pages in the same order."""
    text = "Runs of one pattern evict in the same order"
    runs = [order.run for order in orders]
    try:
        arrival = [order.correlation(order.arrival) for order in orders]
        pairs = [_agreement(one, other) for one, other in itertools.combinations(orders, 2)]
    except ValueError as error:
        return Claim(text, (), remark=str(error))
    return Claim(
        text,
        (
            Finding("smallest rank correlation of two runs", min(pairs), 0.95, 1, ".3f"),
            Finding("range of the correlation with arrival", float(np.ptp(arrival)), format=".3f"),
        ),
        is_judged=ORDER in PATTERNS[runs[0].pattern].claims,
    )


def _agreement(one: Order, other: Order) -> float:
    """Return the rank correlation of the evictions of the pages that count in both."""
    pages = np.intersect1d(one.pages, other.pages)
    return correlate(one.eviction[pages], other.eviction[pages])


def _figures(order: Order) -> list[Finding]:
    """Return what is measured of each pattern, without bounds."""
    return [
        _rho("rank correlation with arrival", order.correlation(order.arrival)),
        _rho("rank correlation with last touch", order.correlation(order.last_touch)),
        _share("of the surviving half, LRU would have kept", order.lru_half()),
        Finding("pages", len(order.pages), format=",d"),
    ]


def _sequential(order: Order) -> list[Finding]:
    minimum = 0.98 if _is_small(order.run) else 0.99
    return [
        _rho("rank correlation with arrival", order.correlation(order.arrival), minimum),
        _share("of the surviving half, LRU would have kept", order.lru_half(), 0.95),
    ]


def _hot(order: Order) -> list[Finding]:
    by_touch = order.correlation(order.last_touch)
    difference = by_touch - order.correlation(order.arrival)
    findings = [
        _share("hot region in memory, while memory is full", order.share_while_full("hot"), 0.95),
        _share(
            "cold region in memory, before allocation",
            order.share("cold", order.start),
            maximum=0.05,
        ),
        _share("hot region, when half is gone", order.share("hot", order.half), 0.95),
    ]
    if not _is_small(order.run):
        findings += [
            _rho("rank correlation with last touch", by_touch, 0.9),
            _rho("correlation with last touch - with arrival", difference, 0.3),
        ]
    if order.run.has_lists:
        active = order.active_share("hot", order.start)
        findings.append(_share("hot region on the active list", active))
    return findings


def _shuffled(order: Order) -> list[Finding]:
    return [
        _rho("rank correlation with last touch", order.correlation(order.last_touch), -0.05, 0.05),
        _rho("rank correlation with arrival", order.correlation(order.arrival), 0.95),
    ]


def _twice(order: Order) -> list[Finding]:
    return [
        _share("A (read twice) in memory, when half is gone", order.share("A", order.half), 0.9),
        _share(
            "B (read once) in memory, when half is gone", order.share("B", order.half), maximum=0.05
        ),
    ]


def _advice(order: Order) -> list[Finding]:
    half = order.half
    return [
        *(
            _share(f"{name} in memory, when half is gone", order.share(name, half), 0.95)
            for name in ("no advice", "mlock")
        ),
        *(
            _share(f"{name} in memory, when half is gone", order.share(name, half), maximum=0.05)
            for name in ("SEQUENTIAL", "RANDOM", "COLD", "PAGEOUT")
        ),
    ]


def _no_bounds(_order: Order) -> list[Finding]:
    return []


_BOUNDS: dict[str, Callable[[Order], list[Finding]]] = {
    "sequential": _sequential,
    "hot": _hot,
    "shuffled": _shuffled,
    "twice": _twice,
    "advice": _advice,
}
_REMARKS = {
    "sequential": "Each page was touched once: both orders are the same, so this is LRU too.",
    "hot": "The second chance: pages that are touched between two examinations stay.",
    "shuffled": "The last touch does not matter: this is not LRU.",
    "twice": "By read(2), the second access moves a page to the active list. On a kernel with the "
    "multi-generational LRU this is not so, and it is not judged.",
    "advice": "What a program advises changes the order.",
    "dirty": "The order depends on when the kernel writes the pages to the disk.",
    "random": "Most of memory is read-ahead that was never touched.",
    "reread": "Pages are read again while they are evicted.",
}
"""What the findings mean, if they hold or decide nothing."""


def _is_small(run: PageRun) -> bool:
    return bool(run.notes["plan"]["limit"] / (1 << 20) < _SMALL)


def _has_active_list(run: PageRun) -> bool:
    generations = run.notes.get("lru_gen")
    return generations is None or not int(generations, 16) & 1


def _rho(name: str, value: float, minimum: float = -np.inf, maximum: float = np.inf) -> Finding:
    return Finding(name, value, minimum, maximum, ".3f")


def _share(name: str, value: float, minimum: float = -np.inf, maximum: float = np.inf) -> Finding:
    return Finding(name, value, minimum, maximum, ".1%")
