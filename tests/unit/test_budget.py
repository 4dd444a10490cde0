"""The budget of a recording, with a simulated process and clock."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable

import attrs
import pytest

from smapskit.sources.recording.budget import Budget, estimate_seconds

GIB = 1 << 20  # in kB


@attrs.frozen
class Run:
    reads: list[tuple[float, str, float]]
    """When each read began, its source and how long it took."""
    length: float

    def share(self, until: float | None = None) -> float:
        until = self.length if until is None else until
        return sum(each[2] for each in self.reads if each[0] <= until) / until

    @property
    def sources(self) -> Counter[str]:
        return Counter(source for _, source, _ in self.reads)


def simulate(
    share: float,
    interval: float,
    length: float,
    cost: Callable[[float], float],
    rss: int = 4 * GIB,
    status: float = 0.0002,
) -> Run:
    """Read a process on a grid, as a recording does; `cost` returns the seconds of smaps."""
    budget = Budget(share, interval)
    reads = []
    tick = 0
    while tick * interval <= length:
        now = tick * interval
        budget.spend_on_status(status, now)
        reads.append((now, "status", status))
        if budget.allows_smaps(rss, now):
            budget.spend_on_smaps(rss, cost(now), now)
            reads.append((now, "smaps", cost(now)))
        earliest = math.ceil(budget.next_status() / interval - 1e-9)
        tick = max(tick + 1, earliest)
    return Run(reads, length)


class TestBudget:
    @pytest.mark.parametrize("share", [0.001, 0.01, 0.1])
    @pytest.mark.parametrize("interval", [0.1, 1.0, 10.0])
    @pytest.mark.parametrize("cost", [0.0005, 0.093, 3.0])
    def test_the_share_is_at_most_the_budget(
        self, share: float, interval: float, cost: float
    ) -> None:
        run = simulate(share, interval, 3600, lambda _: cost)
        # The first sample is paid for by the interval that follows it; a first estimate may be
        # wrong once.
        surplus = interval * share + max(0, cost - estimate_seconds(4 * GIB))
        assert sum(each[2] for each in run.reads) <= share * 3600 + surplus

    def test_the_budget_is_used(self) -> None:
        run = simulate(0.01, 1.0, 3600, lambda _: 0.093)
        assert run.share() > 0.009
        assert run.sources["status"] == 3601

    def test_no_large_process_is_read_before_it_is_paid_for(self) -> None:
        run = simulate(0.01, 1.0, 60, lambda _: 0.093)
        first = next(now for now, source, _ in run.reads if source == "smaps")
        assert first >= 8
        assert run.share(first) <= 0.0101 + 0.01 / first

    def test_a_small_process_is_read_in_full_from_the_first_sample(self) -> None:
        run = simulate(0.01, 1.0, 60, lambda _: 0.002, rss=10_000)
        assert run.sources == {"status": 61, "smaps": 61}

    def test_idle_time_is_not_saved_for_a_burst(self) -> None:
        # Cheap for an hour, then each read takes a second.
        run = simulate(0.01, 10.0, 7200, lambda now: 0.001 if now < 3600 else 1.0, rss=10_000)
        late = [now for now, source, cost in run.reads if source == "smaps" and cost == 1.0]
        gaps = [later - earlier for earlier, later in itertools.pairwise(late)]
        assert late
        assert min(gaps) >= 50  # the first estimate is that of cheap reads, smoothed
        assert min(gaps[1:]) >= 95

    def test_status_alone_is_read_more_rarely_if_it_is_too_expensive(self) -> None:
        run = simulate(0.001, 0.1, 600, lambda _: 93.0, rss=4000 * GIB, status=0.002)
        assert run.share() <= 0.00105
        assert 100 < run.sources["status"] < 400

    def test_groups_are_sampled_more_rarely(self) -> None:
        budget = Budget(0.01, 1.0)
        budget.spend_on_smaps(0, 0.05, 0.0)
        assert budget.next_smaps() >= 5

    @pytest.mark.parametrize("share", [0, -0.1, 1.1, math.nan, math.inf])
    def test_a_share_that_is_not_one(self, share: float) -> None:
        with pytest.raises(ValueError, match="expected a budget above 0 and up to 1"):
            Budget(share, 1.0)
