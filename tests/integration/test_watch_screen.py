"""The screen of `watch`: every key, at two sizes, live and replaying. Requires textual."""

from __future__ import annotations

import asyncio
import queue
import re
import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from support.paths import RECORDED, ROOT
from support.records import mapping
from support.watch_samples import listed, summed

import smapskit
from smapskit import Mapping, Recording
from smapskit.errors import SmapskitError
from smapskit.watch import actions
from smapskit.watch.feed import Replay
from smapskit.watch.samples import WatchSample

pytest.importorskip("textual", reason="requires textual")

from textual.pilot import Pilot

from smapskit.watch.screen import GROUPINGS, TextScreen, WatchApp

pytestmark = pytest.mark.slow

# Not compared with stored SVG pictures: their text depends on the release of textual and of rich.
SIZES = [(80, 24), (160, 50)]
HEAP = mapping(0x10000, size=4096, name="[heap]", rss=1024, pss=1024, swap=0)
CODE = mapping(0x900000, size=64, perms="r-xp", name="/lib/libc.so.6", rss=60, pss=6, swap=0)
HOSTILE = mapping(0x990000, name="/tmp/[red]x[/] \x1b[2J\u202e [@click=app.quit]q", rss=4)
MANY = [mapping(0x100000 + 8192 * n, name=f"/data/{n:03}", rss=4, pss=4, swap=0) for n in range(90)]


class FakeFeed:
    """A process whose samples a test provides."""

    pid = 4242
    interval = 1.0

    def __init__(self) -> None:
        self.end = ""
        self.calls: list[str] = []
        self._samples: queue.Queue[WatchSample | None] = queue.Queue()

    def samples(self) -> Iterator[WatchSample]:
        while (sample := self._samples.get()) is not None:
            yield sample

    def put(self, sample: WatchSample) -> None:
        self._samples.put(sample)

    def finish(self, end: str) -> None:
        self.end = end
        self._samples.put(None)

    def pause(self) -> None:
        self.calls.append("pause")

    def resume(self) -> None:
        self.calls.append("resume")

    def stop(self) -> None:
        self._samples.put(None)


def text_of(app: WatchApp) -> str:
    """Return what the screen shows, line by line."""
    width, height = app.size
    strips = app.screen._compositor.render_strips()[:height]
    lines = ["".join(segment.text for segment in strip) for strip in strips]
    return "\n".join(line[:width].rstrip() for line in lines)


async def shows(pilot: Pilot[None], text: str) -> str:
    """Wait until the screen shows a text; return the screen."""
    app = pilot.app
    assert isinstance(app, WatchApp)
    for _ in range(200):
        await pilot.pause(0.01)
        if text in text_of(app):
            return text_of(app)
    raise AssertionError(f"no {text!r} in:\n{text_of(app)}")


def save(sample: WatchSample | None, folder: Path) -> Path:
    return actions.save(sample, 4242, folder)


Steps = Callable[[Pilot[None], FakeFeed], Coroutine[Any, Any, None]]


def run_live(
    first: WatchSample, steps: Steps, size: tuple[int, int] = (80, 24), folder: Path = Path()
) -> WatchApp:
    """Run the program on samples that the steps provide."""
    feed = FakeFeed()
    app = WatchApp(
        str(feed.pid),
        first,
        "kind",
        lambda sample: actions.explain_sample(sample, 2**31 - 1),
        lambda sample: save(sample, folder),
        live=(feed, feed.samples()),
    )

    async def run() -> None:
        async with app.run_test(size=size) as pilot:
            await pilot.pause()
            await steps(pilot, feed)

    asyncio.run(run())
    return app


def run_replay(
    recording: Recording,
    steps: Callable[[Pilot[None]], Coroutine[Any, Any, None]],
    size: tuple[int, int] = (80, 24),
) -> WatchApp:
    """Replay a recording, paused at its first sample."""
    replay = Replay(recording)
    app = WatchApp(
        "run.csv",
        replay.samples[0],
        recording.by or "mappings",
        lambda _: actions.explain_recording(recording, "run.csv"),
        lambda sample: save(sample, Path()),
        replay=replay,
    )

    async def run() -> None:
        async with app.run_test(size=size) as pilot:
            await pilot.press("p")
            await pilot.press("home")
            await steps(pilot)

    asyncio.run(run())
    return app


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
class TestLive:
    def test_values_and_growth(self, size: tuple[int, int]) -> None:
        async def steps(pilot: Pilot[None], feed: FakeFeed) -> None:
            feed.put(listed(1, [attrs.evolve(HEAP, rss=3072, pss=3072), CODE]))
            text = await shows(pilot, "+2.0M")
            first, legend, *_ = text.splitlines()
            assert first.startswith("4242 program")
            assert first.endswith("live, every 1 s")
            assert " ".join(legend.split()) == "■ RSS 3.1M +2.0M ■ PSS 3.0M +2.0M ■ Swap 0 0"
            rows = [line.split() for line in text.splitlines()]
            assert ["3.0M", "+2.0M", "3.0M", "+2.0M", "0", "0", "main", "heap"] in rows
            assert ["60K", "0", "6K", "0", "0", "0", "code"] in rows
            assert "since start (0:01), by change of RSS, 1-2 of 2" in text
            assert text.splitlines()[-1].endswith("q quit")

        run_live(listed(0, [HEAP, CODE]), steps, size)

    def test_mark_and_unmark(self, size: tuple[int, int]) -> None:
        async def steps(pilot: Pilot[None], feed: FakeFeed) -> None:
            feed.put(listed(1, [attrs.evolve(HEAP, rss=2048)]))
            await shows(pilot, "+1.0M")
            await pilot.press("m")
            text = await shows(pilot, "since mark (0:00)")
            assert "+1.0M" not in text
            await pilot.press("M")
            await shows(pilot, "+1.0M")

        run_live(listed(0, [HEAP]), steps, size)

    def test_groups(self, size: tuple[int, int]) -> None:
        async def steps(pilot: Pilot[None], _feed: FakeFeed) -> None:
            for by in [*GROUPINGS[1:], GROUPINGS[0]]:
                await pilot.press("b")
                await shows(pilot, f"change {by.capitalize()}")
                if by == "mapping":
                    await shows(pilot, "000000010000 rw-p [heap]")

        run_live(listed(0, [HEAP, CODE]), steps, size)

    def test_order(self, size: tuple[int, int]) -> None:
        async def steps(pilot: Pilot[None], _feed: FakeFeed) -> None:
            text = ""
            for title in ("RSS", "change of PSS", "PSS", "change of Swap", "Swap", "name"):
                await pilot.press("o")
                text = await shows(pilot, f"by {title}, ")
            assert text.index("code") < text.index("main heap")
            await pilot.press("O")
            await shows(pilot, "by Swap, ")

        run_live(listed(0, [HEAP, CODE]), steps, size)

    def test_filter(self, size: tuple[int, int]) -> None:
        async def steps(pilot: Pilot[None], _feed: FakeFeed) -> None:
            await pilot.press("slash", "q", "m", "backspace", "backspace", *"HEAP")
            text = await shows(pilot, "1-1 of 1, with 'HEAP'")
            assert "code" not in text
            await pilot.press("enter")
            assert pilot.app.focused is None
            await pilot.press("escape")
            assert "code" in await shows(pilot, "1-2 of 2")

        run_live(listed(0, [HEAP, CODE]), steps, size)

    def test_scrolling(self, size: tuple[int, int]) -> None:
        async def steps(pilot: Pilot[None], _feed: FakeFeed) -> None:
            await pilot.press("b")
            text = await shows(pilot, "/data/000")
            shown = text.count("/data/")
            await pilot.press("down")
            assert "/data/000" not in await shows(pilot, f"2-{shown + 1} of 90")
            await pilot.press("pagedown")
            await shows(pilot, f"{shown + 2}-{2 * shown + 1} of 90")
            await pilot.press("pageup", "up")
            await shows(pilot, f"1-{shown} of 90")

        run_live(listed(0, MANY), steps, size)

    def test_explain(self, size: tuple[int, int]) -> None:
        async def steps(pilot: Pilot[None], _feed: FakeFeed) -> None:
            await pilot.press("e")
            text = await shows(pilot, "process 2147483647, program")
            assert "Not checked" in text or "finding" in text or "nothing unusual" in text
            await pilot.press("escape")
            await shows(pilot, "main heap")
            assert not isinstance(pilot.app.screen, TextScreen)

        run_live(listed(0, [HEAP, CODE]), steps, size)

    def test_keys(self, size: tuple[int, int]) -> None:
        async def steps(pilot: Pilot[None], _feed: FakeFeed) -> None:
            await pilot.press("question_mark")
            text = await shows(pilot, "end the program; also ctrl+c")
            assert "count growth since now" in text
            await pilot.press("q")
            await shows(pilot, "main heap")

        run_live(listed(0, [HEAP]), steps, size)

    def test_exec_and_end(self, size: tuple[int, int]) -> None:
        async def steps(pilot: Pilot[None], feed: FakeFeed) -> None:
            feed.put(listed(1, [CODE], "other [b]program[/b]", is_exec=True))
            text = await shows(pilot, "exec: other [b]program[/b]; growth is counted since then")
            assert text.startswith("4242 other [b]program[/b]")
            assert "since exec (0:00)" in text
            await pilot.press("z")
            feed.finish("process 4242 ended")
            await pilot.press("z", "up")
            text = await shows(pilot, "process 4242 ended: these are the last values")
            assert text.splitlines()[0].endswith("ended")
            assert "60K" in text

        run_live(listed(0, [HEAP]), steps, size)

    def test_hostile_names_are_text(self, size: tuple[int, int]) -> None:
        async def steps(pilot: Pilot[None], feed: FakeFeed) -> None:
            await pilot.press("b")
            wide = "[red]x[/] ?[2J? [@click=app.quit]q"
            text = await shows(pilot, wide if pilot.app.size.width > 80 else "/tmp/[re...p.quit]q")
            assert "\x1b" not in text
            feed.put(listed(1, [HOSTILE], "[/red] \x07[bold", is_exec=True))
            await shows(pilot, "4242 [/red] ?[bold")
            feed.finish("[/red] ended")
            await pilot.press("up")
            await shows(pilot, "[/red] ended: these")
            await pilot.press("e")
            await shows(pilot, "process 2147483647, [/red] ?[bold")

        run_live(listed(0, [HOSTILE]), steps, size)


class TestLiveOnly:
    def test_pause(self) -> None:
        async def steps(pilot: Pilot[None], feed: FakeFeed) -> None:
            await pilot.press("space")
            await shows(pilot, "paused")
            await pilot.press("p")
            await shows(pilot, "live, every 1 s")
            assert feed.calls == ["pause", "resume"]

        run_live(listed(0, [HEAP]), steps)

    def test_save(self, tmp_path: Path) -> None:
        async def steps(pilot: Pilot[None], _feed: FakeFeed) -> None:
            await pilot.press("s")
            await shows(pilot, "saved in ")
            await pilot.press("s")
            await shows(pilot, "File exists")

        run_live(listed(0, [HEAP, CODE]), steps, (160, 50), tmp_path)
        (file,) = tmp_path.iterdir()
        assert file.name == "4242-20260102T030405.000000.smaps"
        assert [m.rss for m in smapskit.load(file)] == [1024, 60]

    def test_status_keeps_the_rows(self) -> None:
        async def steps(pilot: Pilot[None], feed: FakeFeed) -> None:
            feed.put(summed(3, 2048))
            text = await shows(pilot, "PSS and rows 3.0 s old")
            assert "RSS 2.0M" in text
            assert "main heap" in text
            assert "PSS 1.0M" in text

        run_live(listed(0, [HEAP]), steps)

    def test_the_first_read_may_be_of_status(self) -> None:
        async def steps(pilot: Pilot[None], _feed: FakeFeed) -> None:
            await pilot.press("e")
            await shows(pilot, "no mappings have been read yet")

        run_live(summed(0, 2048), steps)

    @pytest.mark.parametrize("key", ["q", "ctrl+c"])
    def test_quit(self, key: str) -> None:
        async def steps(pilot: Pilot[None], _feed: FakeFeed) -> None:
            await pilot.press("slash" if key == "ctrl+c" else "m")  # also while text is entered
            await pilot.press(key)
            await pilot.pause()

        app = run_live(listed(0, [HEAP]), steps)
        assert app.return_code == 0
        assert not app.is_running

    def test_a_narrow_terminal(self) -> None:
        async def steps(pilot: Pilot[None], _feed: FakeFeed) -> None:
            await pilot.resize_terminal(30, 10)
            text = await shows(pilot, "RSS")
            assert max(map(len, text.splitlines())) <= 30

        run_live(listed(0, [HEAP, CODE, *MANY]), steps)


class TestReplay:
    RECORDING = Recording.load(RECORDED / "sequential.csv")

    @pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
    def test_to_the_end(self, size: tuple[int, int]) -> None:
        last = list(self.RECORDING.totals().values())[-1]

        async def steps(pilot: Pilot[None]) -> None:
            await pilot.press("end")
            text = await shows(pilot, "recording, end, 0:14 of 0:14")
            assert f"RSS {(last.rss or 0) / 1024:.0f}M" in text
            assert "the mapped file" in text
            assert text.startswith("run.csv pageout workload")

        run_replay(self.RECORDING, steps, size)

    def test_it_plays(self) -> None:
        async def steps(pilot: Pilot[None]) -> None:
            await pilot.press(*["plus"] * 5)  # 60 times as fast
            await pilot.press("p")
            await shows(pilot, "recording, end, 0:14 of 0:14")

        run_replay(self.RECORDING, steps)

    def test_seeking(self) -> None:
        async def steps(pilot: Pilot[None]) -> None:
            app = pilot.app
            assert isinstance(app, WatchApp)

            def seconds() -> float:
                assert app.session.latest is not None
                return app.session.latest.seconds

            times = [sample.seconds for sample in Replay(self.RECORDING).samples]
            await pilot.press("right", "right", "right", "left")
            assert seconds() == times[2]
            await pilot.press("right_square_bracket")
            assert seconds() == times[2 + len(times) // 10]
            assert len(app.session.history.whole) == 3 + len(times) // 10
            await pilot.press("left_square_bracket")
            assert seconds() == times[2]
            await pilot.press("end", "home")
            assert seconds() == times[0]
            assert len(app.session.history.whole) == 1

        run_replay(self.RECORDING, steps)

    def test_speed(self) -> None:
        async def steps(pilot: Pilot[None]) -> None:
            await pilot.press("plus", "plus", "minus", "p")
            await shows(pilot, "recording, x2, ")

        run_replay(self.RECORDING, steps)

    def test_explain_and_what_a_recording_does_not_have(self) -> None:
        async def steps(pilot: Pilot[None]) -> None:
            await pilot.press("e")
            text = await shows(pilot, "The kernel took back")
            await pilot.press("end")
            scrolled = await shows(pilot, "Wrong if")
            assert scrolled.splitlines()[1] != text.splitlines()[1]
            await pilot.press("escape", "s")
            await shows(pilot, "a recording has only sums")
            await pilot.press("b")
            await shows(pilot, "a recording has the groups")

        run_replay(self.RECORDING, steps)

    def test_seeking_a_live_process(self) -> None:
        async def steps(pilot: Pilot[None], _feed: FakeFeed) -> None:
            for key in ("left", "end", "home", "right_square_bracket"):
                await pilot.press(key)
                await shows(pilot, "only a recording has another time")
                await pilot.press("up")
            await pilot.press("plus")
            await shows(pilot, "only a recording has a speed")

        run_live(listed(0, [HEAP]), steps)


def test_the_pictures_of_the_documentation_name_nothing_in_the_network(tmp_path: Path) -> None:
    subprocess.run([sys.executable, ROOT / "docs" / "watch_pictures.py", tmp_path], check=True)
    pictures = sorted(tmp_path.iterdir())
    assert [file.name for file in pictures] == ["watch-explain.svg", "watch.svg"]
    for file in pictures:
        text = file.read_text(encoding="utf-8")
        assert set(re.findall(r"https?://[^\"' )]*", text)) == {"http://www.w3.org/2000/svg"}
        assert "Swap" in text or "kernel" in text


def test_saving_a_sample_without_mappings_is_an_error(tmp_path: Path) -> None:
    mappings: list[Mapping] = [HEAP]
    with pytest.raises(SmapskitError, match="only sums"):
        actions.save(None, 1, tmp_path)
    assert actions.save(listed(0, mappings), 1, tmp_path).exists()
