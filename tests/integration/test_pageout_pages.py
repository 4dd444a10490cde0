"""The order of eviction in the page-out experiment: verdicts on recorded and planted runs."""

from __future__ import annotations

import functools
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import cgroup
import experiment
import numpy as np
import order
import page_graph
import page_run
import pytest
import run
from integration.test_pageout_example import EXAMPLE, MIB, needs_group
from matplotlib.legend import Legend
from numpy.typing import NDArray
from support.marks import needs_root
from support.paths import RECORDED
from support.subjects import unmeasured

from smapskit import PageRecording, PageRuns, PageState, save_pages

pytestmark = pytest.mark.slow

JUDGED = ("sequential", "hot", "shuffled", "twice", "advice")
CACHED = int(PageState.CACHED)


@functools.cache
def load(name: str) -> page_run.PageRun:
    return page_run.PageRun.load(RECORDED / f"pages-{name}.npz")


@functools.cache
def found_in(name: str) -> order.Order:
    return order.Order(load(name))


def verdict(planted: page_run.PageRun) -> str:
    return order.judge_order(order.Order(planted)).verdict


def with_states(of: page_run.PageRun, states: NDArray[np.uint8]) -> page_run.PageRun:
    """Return a run with other states of its pages."""
    first = min(each.start for each in of.recording.ranges) // of.recording.page_size
    changes = states.copy()
    changes[1:] ^= states[:-1]
    runs = tuple(PageRuns.of_array(first, row) for row in changes)
    return attrs.evolve(of, recording=attrs.evolve(of.recording, changes=runs))


def with_order(of: page_run.PageRun, pages: NDArray[np.int64]) -> page_run.PageRun:
    """Return a run in which its pages are evicted in another order, at the same times."""
    found = found_in(of.pattern)
    states = found.states.copy()
    by_eviction = found.pages[np.argsort(found.eviction[found.pages], kind="stable")]
    states[found.start + 1 :, pages] = found.states[found.start + 1 :, by_eviction]
    return with_states(of, states)


# ---- recorded runs -----------------------------------------------------------------------


@pytest.mark.parametrize("name", [*JUDGED, "shuffled-2"])
def test_the_recorded_runs_show_the_claim(name: str) -> None:
    assert verdict(load(name)) == "shown"


def test_a_run_that_writes_is_not_judged() -> None:
    claim = order.judge_order(found_in("dirty"))
    assert claim.verdict == "not judged"
    assert [finding.mark for finding in claim.findings] == [" "] * len(claim.findings)


def test_last_touch_decides_where_each_page_is_touched_once_only() -> None:
    for name, by_arrival, by_last_touch in [
        ("sequential", 0.999, 0.999),
        ("hot", 0.32, 0.97),
        ("shuffled", 0.998, 0.0),
    ]:
        found = found_in(name)
        assert found.correlation(found.arrival) == pytest.approx(by_arrival, abs=0.1)
        assert found.correlation(found.last_touch) == pytest.approx(by_last_touch, abs=0.05)


def test_runs_with_another_random_order_evict_in_the_same_order() -> None:
    one, other = found_in("shuffled"), found_in("shuffled-2")
    both = np.intersect1d(one.pages, other.pages)
    touches = order.correlate(one.last_touch[both], other.last_touch[both])
    assert abs(touches) < 0.05
    assert order.judge_agreement([one, other]).verdict == "shown"
    reverse = order.Order(with_order(load("shuffled"), one.pages[::-1]))
    assert order.judge_agreement([one, reverse]).verdict == "not shown"


# ---- planted runs ------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["sequential", "hot", "shuffled", "twice"])
def test_pages_evicted_at_random_do_not_show_the_claim(name: str) -> None:
    pages = found_in(name).pages
    assert verdict(with_order(load(name), np.random.default_rng(1).permutation(pages))) == (
        "not shown"
    )


@pytest.mark.parametrize("name", ["sequential", "shuffled"])
def test_the_reverse_order_does_not_show_the_claim(name: str) -> None:
    found = found_in(name)
    newest_first = found.pages[np.argsort(-found.arrival[found.pages], kind="stable")]
    assert verdict(with_order(load(name), newest_first)) == "not shown"


def test_true_lru_does_not_show_the_claim() -> None:
    found = found_in("shuffled")
    by_touch = found.pages[np.argsort(found.last_touch[found.pages], kind="stable")]
    planted = with_order(load("shuffled"), by_touch)
    assert verdict(planted) == "not shown"
    lru = order.Order(planted)
    assert lru.correlation(lru.last_touch) > 0.99
    assert lru.lru_half() > 0.95


def test_arrival_without_a_second_chance_does_not_show_the_claim() -> None:
    found = found_in("hot")
    by_arrival = found.pages[np.argsort(found.arrival[found.pages], kind="stable")]
    assert verdict(with_order(load("hot"), by_arrival)) == "not shown"


@pytest.mark.parametrize(
    ("name", "one", "other"),
    [("hot", "hot", "cold"), ("twice", "A", "B"), ("advice", "mlock", "COLD")],
)
def test_regions_that_changed_places_do_not_show_the_claim(name: str, one: str, other: str) -> None:
    found = found_in(name)
    regions = {each.name: slice(each.first, each.end) for each in load(name).regions}
    states = found.states.copy()
    states[:, regions[one]] = found.states[:, regions[other]]
    states[:, regions[other]] = found.states[:, regions[one]]
    planted = with_states(load(name), states)
    touched = planted.touches()
    touched[:, regions[other]] |= touched[:, regions[one]]  # they count as touched
    packed = np.packbits(touched, axis=1)
    assert verdict(attrs.evolve(planted, touched=packed)) == "not shown"


def test_a_region_that_was_lost_for_one_sample_was_not_kept() -> None:
    found = found_in("hot")
    (hot,) = (each for each in load("hot").regions if each.name == "hot")
    states = found.states.copy()
    states[found.start - 5, hot.first : hot.end : 2] = 0
    assert verdict(with_states(load("hot"), states)) == "not shown"


@pytest.mark.parametrize("samples", ["start", "half"])
def test_a_run_that_ended_early_shows_nothing(samples: str) -> None:
    found = found_in("shuffled")
    last = getattr(found, samples) + 2
    recording = attrs.evolve(
        found.run.recording,
        changes=found.run.recording.changes[:last],
        seconds=found.run.recording.seconds[:last],
        read_seconds=found.run.recording.read_seconds[:last],
    )
    short = attrs.evolve(
        found.run,
        recording=recording,
        touched=found.run.touched[:last],
        anonymous=found.run.anonymous[:last],
    )
    claim = order.judge_order(order.Order(short))
    assert claim.verdict == "not shown"
    assert claim.remark == "the run ended before 98% of the pages were evicted"
    page_graph.draw_pages(order.Order(short))
    page_graph.draw_order([order.Order(short)])


def test_a_run_that_did_not_allocate_shows_nothing() -> None:
    recording = attrs.evolve(load("hot").recording, markers=((0.0, "reading"), (3.0, "ended")))
    claim = order.judge_order(order.Order(attrs.evolve(load("hot"), recording=recording)))
    assert (claim.verdict, claim.remark) == ("not shown", "the run ended before it allocated")


def test_pages_that_are_never_evicted_show_nothing() -> None:
    found = found_in("sequential")
    states = found.states.copy()
    states[found.start :] = states[found.start]  # as if the file were charged to another group
    assert verdict(with_states(load("sequential"), states)) == "not shown"


def test_read_twice_is_not_judged_where_the_kernel_has_generations() -> None:
    of = load("twice")
    recording = attrs.evolve(of.recording, notes={**of.notes, "lru_gen": "0x0007"})
    assert verdict(attrs.evolve(of, recording=recording)) == "not judged"
    recording = attrs.evolve(of.recording, notes={**of.notes, "lru_gen": "0x0000"})
    assert verdict(attrs.evolve(of, recording=recording)) == "shown"


# ---- small runs, computed by hand --------------------------------------------------------


def small(eviction: list[int], last_touch: list[int], arrival: list[int]) -> order.Order:
    """Return a run of some pages and ten samples; allocation begins with the fifth one."""
    count, samples = len(eviction), 10
    rows = np.arange(samples)[:, None]
    there = (rows >= np.array(arrival)) & (rows < np.array(eviction))
    template = load("sequential")
    plan = {**template.notes["plan"], "file_size": count * 4096}
    (span,) = template.recording.ranges
    recording = PageRecording(
        seconds=np.arange(samples) / 10,
        read_seconds=np.zeros(samples),
        changes=(),
        ranges=(attrs.evolve(span, start=0, end=count * 4096),),
        page_size=4096,
        interval=0.1,
        markers=((0.0, "reading"), (0.4, "allocating")),
        notes={**template.notes, "plan": plan},
    )
    touched = np.packbits(there & (rows == np.array(arrival)), axis=1)
    planted = page_run.PageRun(
        recording, touched, np.array(last_touch, np.int32), np.zeros(samples)
    )
    return order.Order(with_states(planted, there.astype(np.uint8) * np.uint8(CACHED)))


def test_correlations_and_lru_half_of_four_pages() -> None:
    found = small(eviction=[6, 7, 8, 9], last_touch=[30, 10, 40, 20], arrival=[1, 2, 3, 4])
    assert found.start == 4
    assert found.eviction.tolist() == [6, 7, 8, 9]
    assert found.arrival.tolist() == [1, 2, 3, 4]
    assert found.correlation(found.arrival) == pytest.approx(1)
    assert found.correlation(found.last_touch) == pytest.approx(0)
    # Half is gone with the third page, at sample 8; LRU would have kept page 2, not page 3.
    assert found.half == 8
    assert found.lru_half() == 0
    lru = small(eviction=[7, 6, 9, 8], last_touch=[20, 10, 40, 30], arrival=[1, 1, 2, 2])
    assert lru.correlation(lru.last_touch) == pytest.approx(1)
    assert lru.lru_half() == 1


def test_pages_touched_at_the_same_time_count_in_part() -> None:
    found = small(eviction=[6, 6, 6, 9], last_touch=[10, 20, 20, 20], arrival=[1, 1, 1, 1])
    assert found.lru_half() == pytest.approx(1 / 3)


def test_a_page_that_returned_counts_as_evicted_and_arrived() -> None:
    found = small(eviction=[6, 7, 8, 9], last_touch=[1, 2, 3, 4], arrival=[0, 1, 2, 3])
    states = found.states.copy()
    states[2, 0] = 0  # page 0 arrived again in sample 3
    states[8, 1] = CACHED  # page 1 returned after its eviction
    again = order.Order(with_states(found.run, states))
    assert again.arrival.tolist() == [3, 1, 2, 3]
    assert again.eviction.tolist() == [6, 7, 8, 9]
    assert again.pages.tolist() == [1, 2, 3]  # page 0 was not touched since


# ---- files and pictures ------------------------------------------------------------------


def test_a_run_is_saved_and_loaded(tmp_path: Path) -> None:
    load("hot").save(tmp_path / "run.npz")
    loaded = page_run.PageRun.load(tmp_path / "run.npz")
    assert [path.name for path in tmp_path.iterdir()] == ["run.npz"]
    assert (loaded.states() == load("hot").states()).all()
    assert (loaded.touches() == load("hot").touches()).all()
    assert (loaded.last_touch == load("hot").last_touch).all()
    assert (loaded.notes, loaded.phases) == (load("hot").notes, load("hot").phases)


def test_other_recordings_of_pages_are_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save_pages(load("hot").recording, tmp_path / "other.npz")
    attrs.evolve(load("hot"), touched=load("hot").touched[:5]).save(tmp_path / "short.npz")
    (tmp_path / "text.npz").write_text("text")
    for name, message in [
        ("other", "expected a recording that this experiment made"),
        ("short", "expected touched of the shape"),
        ("text", "expected a recording of pages"),
    ]:
        words = ["run.py", "--replay", str(tmp_path / f"{name}.npz"), "--out", str(tmp_path / "o")]
        monkeypatch.setattr(sys, "argv", words)
        assert run.main() == 1
        assert message in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


def titles(of: page_run.PageRun) -> list[str]:
    """Return the titles of the panels of a picture, and the texts above them."""
    figure = page_graph.draw_pages(order.Order(of))
    legends = [each for axes in figure.axes for each in axes.get_children()]
    found = [each.get_title().get_text() for each in legends if isinstance(each, Legend)]
    texts = [*(text for text in found if text), *(text.get_text() for text in figure.texts)]
    return [" ".join(text.split()) for text in texts]


@pytest.mark.parametrize(
    ("name", "panels"),
    [
        ("hot", ["In memory", "The kernel's list", "Memory, of 256 MiB"]),
        ("dirty", ["In memory", "The kernel's list", "Written", "Memory, of 256 MiB"]),
        ("twice", ["In memory", "Memory, of 256 MiB"]),
    ],
)
def test_panels_of_a_picture(name: str, panels: list[str]) -> None:
    found = titles(load(name))
    assert len(found) == len(panels) + 2
    for title, expected in zip(found, panels, strict=False):
        assert title.startswith(expected)


@pytest.mark.parametrize(
    "reason",
    [
        "page frame numbers are hidden: they require CAP_SYS_ADMIN",
        "the multi-generational LRU of this kernel has no active list",
    ],
)
def test_without_lists_their_panel_is_hidden_and_the_reason_is_printed(reason: str) -> None:
    recording = attrs.evolve(load("hot").recording, unknown={"active": reason})
    hidden = attrs.evolve(load("hot"), recording=recording)
    found = titles(hidden)
    assert not [title for title in found if "list each page" in title]
    assert reason in found[-1]
    assert verdict(hidden) == "shown"


def test_the_title_has_the_result_only_if_it_is_shown() -> None:
    assert titles(load("hot"))[-2].endswith(": it stays")
    pages = found_in("hot").pages
    assert not titles(with_order(load("hot"), pages[::-1]))[-2].endswith(": it stays")


@pytest.mark.slow
def test_replay_of_several_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ("shuffled", "shuffled-2", "hot")
    paths = [str(RECORDED / f"pages-{name}.npz") for name in names]
    monkeypatch.setattr(sys, "argv", ["run.py", "--replay", *paths, "--out", str(tmp_path)])
    assert run.main() == 0
    output = capsys.readouterr().out
    assert output.count("each page is touched once: SHOWN") == 3
    assert (
        "2 runs of the pattern shuffled\n* Runs of one pattern evict in the same order: SHOWN"
        in (output)
    )
    assert "classic LRU lists, read-ahead 8192 kB" in output
    assert {path.name for path in tmp_path.iterdir()} == {
        *("1", "2", "3"),
        *(f"pageout-order{suffix}" for suffix in (".png", ".svg", ".pdf")),
    }


def test_a_replay_that_does_not_show_it_ends_with_status_4(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pages = found_in("shuffled").pages
    with_order(load("shuffled"), pages[::-1]).save(tmp_path / "wrong.npz")
    words = ["run.py", "--replay", str(tmp_path / "wrong.npz"), "--out", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", words)
    assert run.main() == 4
    assert "each page is touched once: NOT SHOWN" in capsys.readouterr().out


# ---- plans and errors --------------------------------------------------------------------


@pytest.mark.parametrize("value", ["0", "-1", "101", "two"])
def test_a_wrong_number_of_runs(
    value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["run.py", f"--runs={value}"])
    with pytest.raises(SystemExit):
        run.main()
    assert "expected a number from 1 to 100" in capsys.readouterr().err


@needs_group
def test_plans_that_a_pattern_does_not_allow_are_rejected(tmp_path: Path) -> None:
    def refusal(**values: Any) -> str:
        with pytest.raises(cgroup.CannotRun) as caught:
            experiment.check(experiment.Plan(folder=tmp_path, limit=64 * MIB, **values))
        return str(caught.value)

    assert "requires a file of at least 48 MiB" in refusal(pattern="shuffled", file_size=40 * MIB)
    (tmp_path / "mine").write_bytes(bytes(64 * MIB))
    for pattern in ("dirty", "advice"):
        assert "omit --file" in refusal(pattern=pattern, file=tmp_path / "mine", file_size=64 * MIB)


@needs_group
@needs_root
def test_a_user_who_may_not_lock_enough_cannot_make_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = experiment.Plan(folder=tmp_path, limit=64 * MIB, pattern="advice")
    experiment.check(plan)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(resource, "getrlimit", lambda _name: (MIB, MIB))
    with pytest.raises(cgroup.CannotRun, match="locks 6 MiB, but this user may lock 1"):
        experiment.check(plan)


# ---- live runs ---------------------------------------------------------------------------


def make(tmp_path: Path, *words: str, before: tuple[str, ...] = ()) -> Callable[[], str]:
    """Make a run with the options and return its output; fail unless all is shown."""
    command = [*before, sys.executable, str(EXAMPLE / "run.py"), "--folder", str(tmp_path)]
    command += ["--pages", "--out", str(tmp_path / "out"), *words]
    # Coverage would add memory of its own to the workload.
    ran = subprocess.run(command, capture_output=True, text=True, check=False, env=unmeasured())
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return lambda: ran.stdout


@needs_group
@pytest.mark.parametrize("pattern", JUDGED)
def test_a_run_shows_the_claim(pattern: str, tmp_path: Path) -> None:
    swaps = Path("/proc/swaps").read_text().splitlines()[1:]
    output = make(tmp_path, "--pattern", pattern)()
    assert "each page is touched once: SHOWN" in output
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    after = Path("/proc/swaps").read_text().splitlines()[1:]
    assert [line.split()[0] for line in after] == [line.split()[0] for line in swaps]


@needs_group
def test_two_runs_agree(tmp_path: Path) -> None:
    output = make(tmp_path, "--pattern", "shuffled", "--runs", "2")()
    assert "Runs of one pattern evict in the same order: SHOWN" in output
    one, two = (page_run.PageRun.load(tmp_path / "out" / n / "pageout.npz") for n in ("1", "2"))
    assert (one.notes["plan"]["seed"], two.notes["plan"]["seed"]) == (1, 2)
    assert one.notes["read_ahead_kb"] is not None


@needs_group
@needs_root
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="requires setpriv of util-linux")
def test_an_ordinary_user_gets_the_ages_but_not_the_lists(tmp_path: Path) -> None:
    # Root without the capabilities that show page frame numbers and the files of mappings.
    without = ("setpriv", "--bounding-set=-sys_admin,-checkpoint_restore")
    make(tmp_path, "--pattern", "hot", before=without)
    found = page_run.PageRun.load(tmp_path / "out" / "pageout.npz")
    assert "CAP_SYS_ADMIN" in found.recording.unknown["active"]
    assert "cached" not in found.recording.unknown
    assert not found.has_lists
    assert not [title for title in titles(found) if "list each page" in title]
