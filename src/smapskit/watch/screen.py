"""The screen of `watch`, on textual. What it shows is computed elsewhere."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import lru_cache, partial
from itertools import zip_longest
from pathlib import Path
from typing import ClassVar, Final, Protocol

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.geometry import Region
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
from smapskit.watch.growth import NEW, ORDERS, REMOVED, Order, Row
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
_DIM: Final = Style(dim=True)
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


Line = list[Segment]


class Lines(Widget):
    """Draws lines without markup; of the lines that are shown next, only the changed ones."""

    class Resized(Message):
        """A widget has another size: its lines have to be computed again."""

    def __init__(self, id: str | None = None) -> None:  # noqa: A002  the name in textual
        super().__init__(id=id)
        self._lines: list[Line] = []
        self._base: Style | None = None
        """The colours of the widget; computing them takes as long as drawing a line."""

    def show(self, lines: Sequence[Line]) -> None:
        """Show these lines; those after them are blank."""
        before, self._lines = self._lines, list(lines)
        pairs = zip_longest(before, self._lines)
        changed = [at for at, (old, new) in enumerate(pairs) if old != new]
        if changed:
            self.refresh(*(Region(0, at, self.size.width, 1) for at in changed))

    def render_line(self, y: int) -> Strip:
        """Return a line as wide as the widget."""
        line = self._lines[y] if y < len(self._lines) else []
        self._base = self._base or self.rich_style
        return Strip(line).adjust_cell_length(self.size.width).apply_style(self._base)

    def on_resize(self) -> None:
        """Ask for other lines."""
        self.post_message(self.Resized())


class Chart(Lines):
    """Memory over time."""

    is_recent = True

    def draw(self, session: Session, interval: float) -> None:
        """Draw the samples of a session, and the axis below them."""
        width, height = self.size.width - _AXIS - 1, self.size.height - 1
        points = list(session.history.recent if self.is_recent else session.history.whole)
        if not points or width < 1 or height < 1:
            return
        window = chart.window_of(points, width, interval, is_recent=self.is_recent)
        columns = chart.columns_of(points, window, width)
        top = chart.top_of(columns)
        lines = []
        cells = chart.draw(columns, height, top)
        for label, row in zip(chart.scale(height, top), cells, strict=True):
            line = [Segment(f"{pad(label, _AXIS)} ", _DIM)]
            line += [Segment(cell.character * count, _style(cell)) for cell, count in row]
            lines.append(line)
        axis = chart.axis(window, width, session.events)
        self.show([*lines, [Segment(" " * (_AXIS + 1)), Segment(axis, _DIM)]])


@lru_cache
def _style(cell: chart.Cell) -> Style:
    return Style(color=_PARTS.get(cell.part), bgcolor=_PARTS.get(cell.behind))


class Table(Lines):
    """The rows that grew, of which those that fit are drawn."""

    def __init__(self) -> None:
        super().__init__()
        self.first = 0
        """The number of the first visible row."""
        self.count = 0
        """How many rows there are."""

    def draw(self, rows: Sequence[Row], order: Order, heading: str) -> None:
        """Draw rows below a heading line, in which `heading` is that of the names."""
        self.count = len(rows)
        self.first = max(0, min(self.first, self.count - self.visible_rows))
        shown = rows[self.first : self.first + self.visible_rows]
        self.show([self._heading_line(order, heading), *map(self._row_line, shown)])

    @property
    def visible_rows(self) -> int:
        """How many rows fit."""
        return max(self.size.height - 1, 1)

    @property
    def _value_columns(self) -> int:
        """How many values there is space for."""
        return max(1, min(len(VALUES), (self.size.width - _MIN_NAME) // (2 * _CELL)))

    def _heading_line(self, order: Order, heading: str) -> Line:
        segments = []
        for value, name in enumerate(VALUES[: self._value_columns]):
            for is_change, text in enumerate((HEADINGS[name], "change")):
                style = Style(bold=True, reverse=order == (value, bool(is_change)))
                segments += [Segment(" "), Segment(pad(text, _CELL - 1), style)]
        style = Style(bold=True, reverse=order.value is None)
        return [*segments, Segment(" "), Segment(heading, style)]

    def _row_line(self, row: Row) -> Line:
        segments = []
        for value, change in list(zip(row.values, row.changes, strict=True))[: self._value_columns]:
            segments.append(Segment(pad(_SIZES.size(value), _CELL), None if value else _DIM))
            segments.append(Segment(pad(_change(change), _CELL), _change_style(change)))
        room = self.size.width - len(segments) * _CELL - 1
        place = f"{row.place} " if row.place else ""
        suffix = f" ({row.state})" if row.state else ""
        name = cut_middle(row.name, max(room - len(place) - len(suffix), 3))
        style = Style(bold=row.state == NEW, dim=row.state == REMOVED)
        return [*segments, Segment(f" {place}", _DIM), Segment(name, style), Segment(suffix, _DIM)]


def _change(kb: int | None) -> str:
    return "" if kb is None else _SIZES.change(kb)


def _change_style(kb: int | None) -> Style:
    if not kb:
        return _DIM
    return Style(color="#E0533D" if kb > 0 else "#14AC80")


class TextScreen(ModalScreen[None]):
    """A text over the screen."""

    AUTO_FOCUS = "VerticalScroll"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,e,question_mark,h", "dismiss")]

    def __init__(self, title: str, text: str) -> None:
        super().__init__()
        self._title = title
        self._text = text

    def compose(self) -> ComposeResult:
        """Create the widgets."""
        with VerticalScroll() as scroll:
            scroll.border_title = self._title
            scroll.border_subtitle = "up, down: scroll; escape: close"
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
    AUTO_FOCUS = None
    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(name, action) for key in KEYS for name, action in key.actions.items()),
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
        width: 80; max-width: 100%; height: auto; max-height: 100%;
        border-top: solid $primary; border-bottom: solid $primary; background: $surface;
        scrollbar-size-vertical: 0;
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
        self._interval = live[0].interval if live is not None else replay.interval if replay else 1
        self._heading = Lines("heading")
        self._legend = Lines("legend")
        self._chart = Chart()
        self._caption = Lines("caption")
        self._table = Table()
        self._status = Lines("message")
        self._input = Input(placeholder="show rows that contain")
        self._hints = Lines("hints")

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
        hints = "  ".join(f"{key.shown.partition(',')[0]} {key.short}" for key in KEYS if key.short)
        self._hints.show([[Segment(hints)]])
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

    def on_lines_resized(self) -> None:
        """Fit all lines to their widths."""
        self._show()

    def on_mouse_scroll_down(self) -> None:
        """Scroll the table."""
        self.action_scroll(3)

    def on_mouse_scroll_up(self) -> None:
        """Scroll the table."""
        self.action_scroll(-3)

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
            self._message = f"{sanitize(sample.event)}; growth is counted since then"
        elif sample.event:
            self._message = f"{chart.duration(sample.seconds)} {sanitize(sample.event)}"

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

    def _show(self) -> None:
        """Show the last sample."""
        session, order = self.session, ORDERS[self._order]
        rows = session.rows(self._by, order, self._filter)
        self._heading.show([self._heading_line()])
        self._legend.show([self._legend_line()])
        self._chart.draw(session, self._interval)
        self._table.draw(rows, order, HEADINGS.get(self._by, self._by.capitalize()))
        self._caption.show([[Segment(self._caption_text())]])
        self._show_message()

    def _heading_line(self) -> Line:
        width = self.size.width
        latest = self.session.latest
        command = "" if latest is None else sanitize(latest.command)
        state = self._state()
        name = cut_middle(f"{self._subject} {command}", max(width - len(state) - 2, 0))
        return [Segment(f"{pad(name, width - len(state) - 1, left=True)} {state}")]

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

    def _legend_line(self) -> Line:
        latest = self.session.latest
        if latest is None:
            return []
        changes = self.session.changes or (None,) * len(VALUES)
        line = []
        for name, value, change in zip(VALUES, self.session.values, changes, strict=True):
            is_above_pss = name == "rss" and self.session.values[1] is not None
            colour = _PARTS["shared" if is_above_pss else name]
            line += [Segment(" ■ ", Style(color=colour)), Segment(f"{HEADINGS[name]} ")]
            line += [Segment(_SIZES.size(value), Style(bold=True))]
            line += [Segment(f" {_change(change)}", _change_style(change)), Segment("  ")]
        return line

    def _caption_text(self) -> str:
        session = self.session
        if session.base is None or session.listed is None or session.latest is None:
            return " the mappings are read when the budget (--budget) allows it"
        first, count = self._table.first, self._table.count
        last = min(first + self._table.visible_rows, count)
        ago = chart.duration(session.latest.seconds - session.base.seconds)
        parts = [
            f"since {session.base_name} ({ago})",
            f"by {ORDERS[self._order].title}",
            f"{first + 1}-{last} of {count:,}" if count else "no rows",
        ]
        if self._filter:
            parts.append(f"with {sanitize(self._filter)!r}")
        if session.listed is not session.latest:
            age = session.latest.seconds - session.listed.seconds
            parts.append(f"PSS and rows {age:.1f} s old")
        return f" {', '.join(parts)}"

    def _show_message(self) -> None:
        text = self._message or sanitize(self.session.end or "")
        self._status.show([[Segment(f" {text} ", Style(reverse=True))]] if text else [])

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
        self._table.first += rows
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
