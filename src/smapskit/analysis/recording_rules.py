"""Rules over a recording: how memory changes over time."""

from __future__ import annotations

from functools import partial
from typing import Final

from smapskit.analysis.findings import Confidence, Figure, Severity, format_kb, format_share
from smapskit.analysis.rules import Evidence, Rule, Subject, count, kb, rule, share
from smapskit.analysis.series import Course, Series, clean
from smapskit.analysis.thresholds import Limits
from smapskit.model.totals import Totals

RULES: Final[list[Rule]] = []
"""The rules of this module, in the order of their declaration."""
_explanation = partial(rule, RULES, Subject.RECORDING, severity=Severity.EXPLANATION)
_problem = partial(rule, RULES, Subject.RECORDING)


@_problem(
    "steady-growth",
    confidence=Confidence.LIKELY,
    title="Memory grew by {growth} in {seconds}, in nearly all steps, and still grows.",
    condition="over at least {samples} samples, dirty pages and swap grew by at least {growth} and "
    "by more than {share}; they rose in at least {rising} of the steps that changed anything, and "
    "more than a tenth of the growth is in the last quarter",
    meaning="The process keeps more and more memory. This is what a leak looks like, and also a "
    "cache that is being filled.",
    advice="Record by kind if this is not done yet (smapskit record --by kind), to see which part "
    "grows. Record longer: a cache stops growing. Then find who allocates: heaptrack for C and "
    "C++, memray or tracemalloc for Python, a heap dump for Java, pprof for Go.",
    disproof="A longer recording levels off.",
    needs=("shared_dirty", "private_dirty"),
)
def _steady_growth(course: Course, limits: Limits) -> Evidence | None:
    used = course.in_use()
    if len(course) < limits["samples"] or used.growth < limits["growth"]:
        return None
    if used.growth <= limits["share"] * used.points[0][1]:
        return None
    if used.rising_share() < limits["rising"] or not _still_grows(used):
        return None
    figures = (
        kb("growth", used.growth),
        Figure("seconds", round(used.seconds, 1), "s"),
        Figure("rate", round(used.growth / used.seconds, 1), "kB/s"),
        Figure("rising", round(used.rising_share(), 4), "share"),
        Figure("began", round(used.beginning_of_growth(), 1), "s"),
    )
    detail, confidence = _largest_group(course, used, limits["dominant"])
    return Evidence(used.growth, figures, detail=detail, confidence=confidence)


def _still_grows(used: Series) -> bool:
    quarter = used.half(1).half(1)
    return len(quarter.points) > 1 and quarter.growth > used.growth / 10


def _largest_group(course: Course, used: Series, dominant: float) -> tuple[str, Confidence | None]:
    """Return a sentence about the group that grew most, and how sure that makes the finding."""
    if course.by is None:
        return "The recording has no groups, so that it does not show which part grows.", None
    grown = {name: course.in_use(name).growth for name in course.groups()}
    name = max(grown, key=lambda each: grown[each])
    part = grown[name] / used.growth
    began = course.in_use(name).beginning_of_growth()
    sentence = (
        f"{format_kb(grown[name])} of it ({format_share(part)}) is {name or '(anonymous)'}, which "
        f"began to grow at {began:,.1f} s."
    )
    return sentence, None if part > dominant else Confidence.POSSIBLE


@_explanation(
    "saw-tooth",
    confidence=Confidence.LIKELY,
    title="Memory rises and falls: it fell {falls}, within a range of {range}.",
    condition="dirty pages and swap rose and fell at least {falls} times by at least {fall} of "
    "their range, which is at least {range}",
    meaning="Memory is freed again and again: a garbage collector, or tasks that come and go. It "
    "is not a leak.",
    advice="Compare the lowest values over a long time: only if they rise, something is kept. Set "
    "the limit of memory above the highest value.",
    disproof="The lowest values rise from one fall to the next.",
    needs=("shared_dirty", "private_dirty"),
)
def _saw_tooth(course: Course, limits: Limits) -> Evidence | None:
    used = course.in_use()
    if used.range < limits["range"]:
        return None
    falls = used.falls(limits["fall"] * used.range)
    if falls < limits["falls"]:
        return None
    figures = (
        count("falls", falls, "time"),
        kb("range", used.range),
        kb("lowest", min(used.values)),
        kb("highest", max(used.values)),
    )
    return Evidence(used.range, figures)


@_explanation(
    "levelled-off",
    confidence=Confidence.LIKELY,
    title="Memory grew by {growth} at first and stopped growing after {seconds}.",
    condition="over at least {samples} samples, dirty pages and swap grew by at least {growth}; in "
    "the second half of the time they changed by less than {rest} of that",
    meaning="The process loaded its data or filled its caches, and does not grow any more. It is "
    "not a leak, as far as the recording goes.",
    advice="Nothing. To be sure, record longer and under the usual load.",
    disproof="A longer recording under load grows again.",
    needs=("shared_dirty", "private_dirty"),
)
def _levelled_off(course: Course, limits: Limits) -> Evidence | None:
    used = course.in_use()
    if len(course) < limits["samples"] or used.growth < limits["growth"]:
        return None
    rest = used.half(1)
    if len(rest.points) <= 1 or rest.range >= limits["rest"] * used.growth:
        return None
    level = used.points[-1][1] - limits["rest"] * used.growth
    reached = next(seconds for seconds, value in used.points if value >= level)
    figures = (
        kb("growth", used.growth),
        Figure("seconds", round(reached, 1), "s"),
        kb("level", used.points[-1][1]),
    )
    return Evidence(used.growth, figures)


@_explanation(
    "peak",
    title="At its highest, after {seconds}, the process used {peak}; at the end {last}.",
    condition="the highest value of dirty pages and swap is at least {times} times the last one "
    "and {difference} above it, and it is not a saw-tooth",
    meaning="For some time the process needed much more than it does now. A single snapshot does "
    "not show this, but a limit of memory must allow for it.",
    advice="Set limits by the highest value. Markers in the recording, or the time, show what "
    "the process did then.",
    disproof="Nothing: it was measured.",
    needs=("shared_dirty", "private_dirty"),
)
def _peak(course: Course, limits: Limits) -> Evidence | None:
    used = course.in_use()
    seconds, peak = max(used.points, key=lambda point: point[1])
    last = used.points[-1][1]
    if peak - last < limits["difference"] or peak < limits["times"] * last:
        return None
    if used.falls(used.range / 2) > 1:
        return None
    figures = (
        kb("peak", peak),
        kb("last", last),
        Figure("seconds", round(seconds, 1), "s"),
    )
    return Evidence(peak - last, figures)


@_problem(
    "reclaimed",
    confidence=Confidence.LIKELY,
    title="The kernel took back {fall} of file data, {share} of it, while the process used more "
    "memory.",
    condition="clean pages fell by at least {fall} and {share} from their highest value, and dirty "
    "pages and swap grew by at least half as much since",
    meaning="Memory was short: the kernel dropped pages of files to make room. When nothing is "
    "left to drop, memory goes to swap, or a process is killed (out of memory).",
    advice="Look at the limit of the container (memory.max) or the memory of the machine, and at "
    "what grows (record --by kind). Pages that are dropped and read again slow the program down: "
    "see majflt in /proc/PID/stat.",
    disproof="The process unmapped the files itself: then their size fell too.",
    needs=("shared_clean", "private_clean"),
)
def _reclaimed(course: Course, limits: Limits) -> Evidence | None:
    cache, used = course.series(clean), course.in_use()
    highest = max(range(len(cache.points)), key=lambda at: cache.points[at][1])
    fall = cache.points[highest][1] - cache.points[-1][1]
    grown = used.points[-1][1] - used.points[highest][1]
    if fall < limits["fall"] or fall <= limits["share"] * cache.points[highest][1]:
        return None
    if grown < fall / 2:
        return None
    sizes = course.series(_size)
    if sizes.points[-1][1] < sizes.points[highest][1] - fall / 2:  # it was unmapped
        return None
    figures = (
        kb("fall", fall),
        kb("clean_left", cache.points[-1][1]),
        kb("grown", grown),
        share("share", fall, cache.points[highest][1]),
    )
    return Evidence(fall, figures)


@_problem(
    "swap-growth",
    title="{swap} was moved to swap during the recording.",
    condition="Swap rose by at least {swap} above its first value",
    meaning="The machine or the container is short of memory. RSS became smaller, or grew less, "
    "though the process freed nothing.",
    advice="See the finding swapped: find out which process uses the memory "
    "(smapskit explain --all).",
    disproof="Nothing: the kernel reports it.",
    needs=("swap",),
)
def _swap_growth(course: Course, limits: Limits) -> Evidence | None:
    swap = course.series(lambda totals: totals.swap or 0)
    rise = max(swap.values) - swap.points[0][1]
    if rise < limits["swap"]:
        return None
    figures = (kb("swap", rise), kb("last", swap.points[-1][1]))
    return Evidence(rise, figures)


@_problem(
    "mapping-leak",
    confidence=Confidence.LIKELY,
    title="The number of mappings grew by {added} to {last}, in nearly all steps.",
    condition="over at least {samples} samples, the number of mappings grew by at least "
    "{mappings} and rose in at least {rising} of the steps that changed anything",
    meaning="The process maps memory or files without unmapping them, or splits what it has. At "
    "vm.max_map_count (see map-count), mmap and malloc fail.",
    advice="Compare two snapshots (smapskit explain BEFORE AFTER) to see which mappings are new. "
    "perf trace -e mmap,munmap,mprotect --call-graph dwarf -p PID shows the code.",
    disproof="A longer recording levels off.",
)
def _mapping_leak(course: Course, limits: Limits) -> Evidence | None:
    numbers = course.series(lambda totals: totals.count)
    if len(course) < limits["samples"] or numbers.growth < limits["mappings"]:
        return None
    if numbers.rising_share() < limits["rising"]:
        return None
    figures = (
        count("added", numbers.growth, ""),
        count("last", numbers.points[-1][1], ""),
        Figure("rising", round(numbers.rising_share(), 4), "share"),
        Figure("seconds", round(numbers.seconds, 1), "s"),
    )
    return Evidence(max(0, course.series(_size).growth), figures)


def _size(totals: Totals) -> int:
    return totals.size
