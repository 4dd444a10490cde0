"""The screen of `watch`, on textual. What it shows is computed elsewhere."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import ClassVar, Final, Protocol

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual import events
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.message import Message
from textual.screen import ModalScreen
from textual.strip import Strip
from textual.widget import Widget
from textual.widgets import Input, Static

from smapskit.errors import SmapskitError
from smapskit.text import sanitize
from smapskit.views.cells import TableStyle, cut_middle, pad
from smapskit.views.columns import HEADINGS
from smapskit.watch import chart
from smapskit.watch.feed import Replay
from smapskit.watch.growth import NEW, ORDERS, REMOVED, Row
from smapskit.watch.keys import KEYS
from smapskit.watch.samples import VALUES, WatchSample
from smapskit.watch.session import Session

GROUPINGS: Final = (
    "kind",
    "mapping",
    "backing",
    "pathname",
    "sharing",
    "perms",
)
"""In the order of the key that changes them."""
SPEEDS: Final = (0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300, 3600)
"""Seconds of a recording per second."""
_SIZES = TableStyle(human=True)
_CELL = 7
_MIN_NAME = 24
_AXIS = 6
_TICK = 0.1
"""Seconds between two steps of a replay."""
_TICKS_OF_LATE_HAND_OVER = 0.5
_TERMINATED: Final = 128 + signal.SIGTERM
_PARTS: Final = {
    "pss": "#0072B2",
    "shared": "#8CCBF2",
    "rss": "#9AA0A6",
    "swap": "#E69F00",
}
"""The colours of the parts of the chart."""


class Feed(Protocol):
    """What a live process is read by, see `LiveFeed`."""

    pid: int
    interval: float
    end: str

    def pause(self) -> None:
        """Read nothing until `resume`."""

    def resume(self) -> None:
        """Read again."""

    def stop(self) -> None:
        """End the samples before the next read."""


class Chart(Widget):
    """Memory over time."""

    def __init__(self, session: Session, interval: float) -> None:
        super().__init__()
        self.is_recent = True
        self._session = session
        self._interval = interval
        self._lines: list[Strip] = []

    def redraw(self, session: Session) -> None:
        """Draw the samples of a session."""
        self._session = session
        self._lines = []
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """Return one line: of the chart, or the axis below it."""
        if not self._lines or len(self._lines) != self.size.height:
            self._lines = list(self._draw(self.size.width - _AXIS - 1, self.size.height - 1))
        return self._lines[y] if y < len(self._lines) else Strip.blank(self.size.width)

    def _draw(self, width: int, height: int) -> Iterator[Strip]:
        history = self._session.history
        points = list(history.recent if self.is_recent else history.whole)
        if not points or width < 1 or height < 1:
            return
        window = chart.window_of(points, width, self._interval, is_recent=self.is_recent)
        columns = chart.columns_of(points, window, width)
        top = chart.top_of(columns)
        label = Style(dim=True)
        cells = chart.draw(columns, height, top)
        for name, row in zip(chart.scale(height, top), cells, strict=True):
            segments = [Segment(f"{pad(name, _AXIS)} ", label)]
            segments += [Segment(cell.character, _style(cell)) for cell in row]
            yield Strip(segments).simplify()
        yield self._axis(window, width)

    def _axis(self, window: chart.Window, width: int) -> Strip:
        left = chart.duration(max(window.begin, 0))
        right = chart.duration(window.end)
        line = list(left + "─" * (width - len(left) - len(right)) + right)
        for seconds, text in self._session.events:
            column = window.column(seconds, width)
            if column is not None:
                line[column] = "m" if text == "mark" else "!"
        return Strip([Segment(" " * (_AXIS + 1)), Segment("".join(line[:width]), Style(dim=True))])

    def on_resize(self) -> None:
        """Draw again."""
        self._lines = []


def _style(cell: chart.Cell) -> Style:
    return Style(color=_PARTS.get(cell.part), bgcolor=_PARTS.get(cell.behind))


class Table(Widget):
    """The rows that grew, of which those that fit are drawn."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[Row] = []
        self.first = 0
        """The number of the first visible row."""
        self._order = ORDERS[0]
        self._heading = ""

    def show(self, rows: list[Row], order: int, heading: str) -> None:
        """Show rows; the heading is that of the names."""
        self.rows, self._order, self._heading = rows, ORDERS[order], heading
        self.scroll_to_row(self.first)

    def scroll_to_row(self, first: int) -> None:
        """Make a row the first visible_rows one, if there are enough after it."""
        self.first = max(0, min(first, len(self.rows) - self.visible_rows))
        self.refresh()

    @property
    def visible_rows(self) -> int:
        """How many rows fit."""
        return max(self.size.height - 1, 1)

    @property
    def _value_columns(self) -> int:
        """How many values there is space for."""
        return max(1, min(len(VALUES), (self.size.width - _MIN_NAME) // (2 * _CELL)))

    def render_line(self, y: int) -> Strip:
        """Return the heading or a row."""
        if y == 0:
            return self._heading_line()
        number = self.first + y - 1
        if number >= len(self.rows):
            return Strip.blank(self.size.width)
        return self._row_line(self.rows[number])

    def _heading_line(self) -> Strip:
        segments = []
        for value, name in enumerate(VALUES[: self._value_columns]):
            for is_change, text in enumerate((HEADINGS[name], "change")):
                is_sorted = self._order == (value, bool(is_change))
                style = Style(bold=True, reverse=is_sorted)
                segments += [Segment(" "), Segment(pad(text, _CELL - 1), style)]
        name_style = Style(bold=True, reverse=self._order.value is None)
        segments += [Segment(" "), Segment(self._heading, name_style)]
        return Strip(segments)

    def _row_line(self, row: Row) -> Strip:
        segments = []
        for value, change in list(zip(row.values, row.changes, strict=True))[: self._value_columns]:
            segments.append(Segment(pad(_SIZES.size(value), _CELL), _dim_if(not value)))
            text = _change(change)
            segments.append(Segment(pad(text, _CELL), _change_style(change)))
        room = self.size.width - len(segments) * _CELL - 1
        place = f"{row.place} " if row.place else ""
        suffix = f" ({row.state})" if row.state else ""
        name = cut_middle(row.name, max(room - len(place) - len(suffix), 3))
        style = Style(bold=row.state == NEW, dim=row.state == REMOVED)
        segments += [Segment(f" {place}", Style(dim=True)), Segment(name, style)]
        segments.append(Segment(suffix, Style(dim=True)))
        return Strip(segments)

    def on_resize(self) -> None:
        """Keep the rows inside."""
        self.scroll_to_row(self.first)

    def on_mouse_scroll_down(self) -> None:
        """Scroll."""
        self.scroll_to_row(self.first + 3)

    def on_mouse_scroll_up(self) -> None:
        """Scroll."""
        self.scroll_to_row(self.first - 3)


def _change(kb: int | None) -> str:
    return "" if kb is None else _SIZES.change(kb)


def _change_style(kb: int | None) -> Style:
    if not kb:
        return Style(dim=True)
    return Style(color="#E0533D" if kb > 0 else "#14AC80")


def _dim_if(is_dim: bool) -> Style:
    return Style(dim=True) if is_dim else Style()


class TextScreen(ModalScreen[None]):
    """A text over the screen."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,e,question_mark,h", "dismiss")]

    def __init__(self, title: str, text: str) -> None:
        super().__init__()
        self._title = title
        self._text = text

    def compose(self) -> ComposeResult:
        """Create the widgets."""
        with VerticalScroll() as scroll:
            scroll.border_title = self._title
            scroll.border_subtitle = "escape closes this"
            yield Static(Text(self._text))

    async def action_dismiss(self, result: None = None) -> None:
        """Close it."""
        self.dismiss(result)


class Sampled(Message):
    """A sample has been read."""

    def __init__(self, sample: WatchSample) -> None:
        super().__init__()
        self.sample = sample


class Ended(Message):
    """There are no more samples."""


class WatchApp(App[None]):
    """
    The program: a live process, whose samples another thread reads, or a replayed recording.

    Args:
        name: of what is watched, such as "12345" or a file.
        first: the first sample.
        by: how to group at first.
        explain: returns a report about the last sample with mappings.
        save: writes that sample to a file and returns its name.
        live: the feed of a process, and the samples after the first one; None for a replay.
        replay: None for a process.
    """

    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(key.keys, key.action, key.short, show=False) for key in KEYS),
        Binding("ctrl+c", "quit", show=False, priority=True),
    ]
    CSS = """
    Screen { layout: vertical; }
    #heading, #caption, #message, #hints, #legend { height: 1; }
    #heading { text-style: bold; background: $panel; }
    Chart { height: 33%; min-height: 4; }
    Table { height: 1fr; }
    #caption { color: $text-muted; }
    #hints { color: $text-muted; background: $panel; }
    Input { height: 1; border: none; padding: 0; display: none; }
    TextScreen { align: center middle; }
    TextScreen VerticalScroll {
        width: 88; max-width: 100%; height: auto; max-height: 100%;
        border: round $primary; background: $surface; padding: 0 1;
    }
    """

    def __init__(
        self,
        name: str,
        first: WatchSample,
        by: str,
        explain: Callable[[WatchSample | None], str],
        save: Callable[[WatchSample | None], Path],
        *,
        live: tuple[Feed, Iterator[WatchSample]] | None = None,
        replay: Replay | None = None,
    ) -> None:
        super().__init__()
        self._subject = sanitize(name)
        self._explain = explain
        self._save = save
        self._live = live
        self._replay = replay
        self._by: str = by
        self._order = 0
        self._filter = ""
        self._speed = SPEEDS.index(1)
        self._is_paused = False
        self._message = ""
        self._has_taken = threading.Event()
        self.session = Session()
        self.session.add(first)
        interval = live[0].interval if live is not None else replay.interval if replay else 1.0
        self._heading = Static(id="heading")
        self._legend = Static(id="legend")
        self._chart = Chart(self.session, interval)
        self._caption = Static(id="caption")
        self._table = Table()
        self._status = Static(id="message")
        self._input = Input(placeholder="show rows that contain")
        self._hints = Static(id="hints")

    def compose(self) -> ComposeResult:
        """Create the widgets."""
        yield self._heading
        yield self._legend
        yield self._chart
        yield self._caption
        yield self._table
        yield self._status
        yield self._input
        yield self._hints

    def on_mount(self) -> None:
        """Begin to read or to replay."""
        hints = "  ".join(f"{key.shown.split(',')[0]} {key.short}" for key in KEYS if key.short)
        self._hints.update(Text(hints, no_wrap=True, overflow="ellipsis"))
        self.set_focus(None)
        self._show()
        with suppress(NotImplementedError, RuntimeError, ValueError):  # not the main thread
            loop = asyncio.get_running_loop()
            loop.add_signal_handler(signal.SIGTERM, lambda: self.exit(return_code=_TERMINATED))
        if self._live is not None:
            threading.Thread(target=self._read, args=self._live, daemon=True).start()
        else:
            self.set_interval(_TICK, self._step)

    def on_unmount(self) -> None:
        """Stop reading."""
        if self._live is not None:
            self._live[0].stop()

    def on_resize(self, event: events.Resize) -> None:
        """Fit the lines to the new width."""
        self._show(event.size.width)

    # ---- samples ---------------------------------------------------------------------------

    def _read(self, feed: Feed, samples: Iterator[WatchSample]) -> None:
        """Read in a thread of its own; the next sample is read when the last one is shown."""
        for sample in samples:
            self.session.prepare(sample, self._by)
            self._has_taken.clear()
            if not self.post_message(Sampled(sample)):
                feed.stop()
            while not self._has_taken.wait(_TICKS_OF_LATE_HAND_OVER):
                if not self.is_running:
                    feed.stop()
                    break
        self.post_message(Ended())

    def on_sampled(self, message: Sampled) -> None:
        """Show a sample that has been read."""
        self._add(message.sample)
        self._show()
        self._has_taken.set()

    def on_ended(self) -> None:
        """Say that no more samples come; the last one stays."""
        if self._live is not None:
            self.session.end = f"{self._live[0].end}: these are the last values"
            self._show()

    def _add(self, sample: WatchSample) -> None:
        self.session.add(sample)
        if sample.is_exec:
            self._message = f"{sample.event}; growth is counted since then"
        elif sample.event:
            self._message = sample.event

    def _step(self) -> None:
        """Advance the replay."""
        if self._replay is None or self._is_paused or self._replay.is_at_end:
            return
        samples = self._replay.advance(_TICK * SPEEDS[self._speed])
        if samples:
            for sample in samples:
                self._add(sample)
            self._show()

    def _seek(self, position: int) -> None:
        """Show the replay at a number of samples."""
        if self._replay is None:
            self._say("only a recording has another time to go to")
            return
        before = self._replay.position
        samples = self._replay.seek(position)
        if self._replay.position < before:
            self.session = Session()
        else:
            samples = samples[before:]
        self._message = ""
        for sample in samples:
            self._add(sample)
        self._show()

    # ---- what is shown ---------------------------------------------------------------------

    def _show(self, width: int | None = None) -> None:
        """Show the last sample."""
        if not self._table.is_mounted:
            return
        session = self.session
        rows = session.rows(self._by, ORDERS[self._order], self._filter)
        self._heading.update(self._heading_text(width or self.size.width))
        self._legend.update(self._legend_text())
        self._chart.redraw(session)
        self._table.show(rows, self._order, HEADINGS.get(self._by, self._by.capitalize()))
        self._caption.update(self._caption_text(rows))
        self._show_message()

    def _heading_text(self, width: int) -> Text:
        latest = self.session.latest
        command = "" if latest is None else sanitize(latest.command)
        state = self._state()
        name = cut_middle(f"{self._subject} {command}", max(width - len(state) - 2, 0))
        return Text(f"{pad(name, width - len(state) - 1, left=True)} {state}", no_wrap=True)

    def _state(self) -> str:
        if self._replay is not None:
            now = self.session.latest.seconds if self.session.latest else 0.0
            first = self._replay.samples[0].seconds
            place = f"{chart.duration(now - first)} of {chart.duration(self._replay.length)}"
            if self._replay.is_at_end:
                return f"recording, end, {place}"
            how = "paused" if self._is_paused else f"x{SPEEDS[self._speed]:g}"
            return f"recording, {how}, {place}"
        if self.session.end is not None:
            return "ended"
        interval = self._live[0].interval if self._live else 0
        return "paused" if self._is_paused else f"live, every {interval:g} s"

    def _legend_text(self) -> Text:
        text = Text(no_wrap=True)
        if self.session.latest is None:
            return text
        values, changes = self.session.latest.values, self.session.changes
        for number, name in enumerate(VALUES):
            has_pss = values[VALUES.index("pss")] is not None
            part = "shared" if name == "rss" and has_pss else name
            text.append(" ■ ", Style(color=_PARTS[part]))
            text.append(f"{HEADINGS[name]} ")
            text.append(_SIZES.size(values[number]), Style(bold=True))
            if changes and changes[number] is not None:
                text.append(f" {_change(changes[number])}", _change_style(changes[number]))
            text.append("  ")
        if self.session.latest.source == "status":
            text.append("of status", Style(dim=True))
        return text

    def _caption_text(self, rows: list[Row]) -> Text:
        session = self.session
        if session.base is None or session.listed is None or session.latest is None:
            return Text("the mappings have not been read yet", no_wrap=True)
        first = self._table.first
        last = min(first + self._table.visible_rows, len(rows))
        ago = chart.duration(session.latest.seconds - session.base.seconds)
        parts = [
            f"since {session.base_name} ({ago})",
            f"by {ORDERS[self._order].title}",
            f"{first + 1}-{last} of {len(rows):,}" if rows else "no rows",
        ]
        if self._filter:
            parts.append(f"with {sanitize(self._filter)!r}")
        if session.listed is not session.latest:
            age = session.latest.seconds - session.listed.seconds
            parts.append(f"mappings of {age:.0f} s ago")
        return Text(f" {', '.join(parts)}", no_wrap=True, overflow="ellipsis")

    def _show_message(self) -> None:
        end = self.session.end
        text = self._message or (sanitize(end) if end else "")
        style = Style(reverse=True) if text else Style()
        shown = Text(f" {text} " if text else "", style, no_wrap=True, overflow="ellipsis")
        self._status.update(shown)

    def _say(self, text: str) -> None:
        """Show a message until the next key."""
        self._message = sanitize(text)
        self._show_message()

    # ---- keys ------------------------------------------------------------------------------

    def on_key(self) -> None:
        """Remove the message of the last key."""
        if self._message:
            self._say("")

    def action_mark(self) -> None:
        """Count growth since now."""
        self.session.set_mark()
        self._show()

    def action_unmark(self) -> None:
        """Count growth since the start."""
        self.session.clear_mark()
        self._show()

    def action_group(self) -> None:
        """Group by the next key."""
        if self._replay is not None:
            self._say("a recording has the groups with which it was recorded")
            return
        at = [*GROUPINGS].index(self._by)
        self._by = GROUPINGS[(at + 1) % len(GROUPINGS)]
        self._table.first = 0
        self._show()

    def action_order(self, step: int) -> None:
        """Sort by the next column, or the one before."""
        self._order = (self._order + step) % len(ORDERS)
        self._table.first = 0
        self._show()

    def action_filter(self) -> None:
        """Ask for the text that rows must contain."""
        self._input.value = self._filter
        self._input.display = True
        self._status.display = False
        self._input.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter while the text is typed."""
        if self._input.display:
            self._filter = event.value
            self._show()

    def on_input_submitted(self) -> None:
        """Keep the filter."""
        self._close_input()

    def action_unfilter(self) -> None:
        """Remove the filter."""
        self._filter = ""
        self._close_input()

    def _close_input(self) -> None:
        self._input.display = False
        self._status.display = True
        self.set_focus(None)
        self._show()

    def action_pause(self) -> None:
        """Read nothing, or continue."""
        self._is_paused = not self._is_paused
        if self._live is not None:
            (self._live[0].pause if self._is_paused else self._live[0].resume)()
        self._show()

    def action_zoom(self) -> None:
        """Show all samples in the chart, or the last ones."""
        self._chart.is_recent = not self._chart.is_recent
        self._show()
        self._say(f"the chart shows {'the last' if self._chart.is_recent else 'all'} samples")

    def action_scroll(self, rows: int) -> None:
        """Scroll by rows."""
        self._table.scroll_to_row(self._table.first + rows)
        self._show()

    def action_page(self, pages: int) -> None:
        """Scroll by pages."""
        self.action_scroll(pages * self._table.visible_rows)

    def action_seek(self, samples: int) -> None:
        """Move a replay by samples."""
        self._seek(0 if self._replay is None else self._replay.position + samples)

    def action_jump(self, tenths: int) -> None:
        """Move a replay by tenths of the recording."""
        if self._replay is None:
            self._seek(0)
            return
        size = max(1, len(self._replay.samples) // 10)
        self._seek(self._replay.position + tenths * size)

    def action_ends(self, is_end: int) -> None:
        """Move a replay to its first or last sample."""
        self._seek(len(self._replay.samples) if self._replay is not None and is_end else 1)

    def action_speed(self, step: int) -> None:
        """Replay faster or slower."""
        if self._replay is None:
            self._say("only a recording has a speed")
            return
        self._speed = max(0, min(self._speed + step, len(SPEEDS) - 1))
        self._show()

    def action_keys(self) -> None:
        """List all keys."""
        width = max(len(key.shown) for key in KEYS)
        lines = [f"{key.shown:<{width}}  {key.meaning}" for key in KEYS]
        self.push_screen(TextScreen("keys", "\n".join(lines)))

    def action_explain(self) -> None:
        """Show what is unusual."""
        self._say("explaining...")
        self._start(self._explain, lambda text: self.push_screen(TextScreen("explain", text)))

    def action_save(self) -> None:
        """Save the mappings."""
        self._start(self._save, lambda path: self._say(f"saved in {path}"))

    def _start(
        self,
        function: Callable[[WatchSample | None], object],
        then: Callable[[str], object],
    ) -> None:
        """Call a slow function in a thread, then another one with its result, as text."""

        def call(sample: WatchSample | None) -> None:
            try:
                result = str(function(sample))
            except (SmapskitError, OSError) as error:
                reason = getattr(error, "strerror", None) or str(error)
                self.call_from_thread(self._say, reason)
                return
            self.call_from_thread(self._say, "")
            self.call_from_thread(then, result)

        self.run_worker(partial(call, self.session.listed), thread=True, exclusive=True)
