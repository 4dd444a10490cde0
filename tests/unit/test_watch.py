"""What `watch` shows: growth since the start or a mark, values over time, the chart, lines."""

from __future__ import annotations

import itertools

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.paths import FIXTURES, RECORDED
from support.records import mapping
from support.watch_samples import listed, summed

import smapskit
from smapskit import Mapping, Recording
from smapskit.watch import chart
from smapskit.watch.feed import Replay, samples_of
from smapskit.watch.growth import NEW, ORDERS, REMOVED, Order, Row, growth, matches
from smapskit.watch.history import MAX_POINTS, MAX_RECENT, History, Point
from smapskit.watch.keys import KEYS
from smapskit.watch.lines import format_line
from smapskit.watch.samples import Listing
from smapskit.watch.session import Session

BASH = smapskit.load(FIXTURES / "bash" / "smaps.txt")
HEAP = mapping(0x10000, size=64, name="[heap]", rss=40, pss=40, swap=0)
LIBRARY = mapping(0x50000, size=32, perms="r-xp", name="/lib/libc.so.6", rss=8, pss=1, swap=0)


def grown(each: Mapping, rss: int) -> Mapping:
    """Return a mapping with a larger range at its end, and another RSS."""
    return attrs.evolve(each, end=each.end + 4096, size=each.size + 4, rss=rss, pss=rss)


class TestSamples:
    @pytest.mark.parametrize("by", ["kind", "backing", "sharing", "perms", "pathname"])
    def test_sums_are_those_of_group_by(self, by: smapskit.GroupName) -> None:
        groups = listed(0, BASH.mappings).contents
        assert isinstance(groups, Listing)
        expected = smapskit.group_by(BASH, by)
        found = groups.groups(by)
        assert [*found] == [*expected]
        for key, sums in expected.items():
            assert (found[key].rss, found[key].pss, found[key].swap, found[key].count) == (
                (sums.rss, sums.pss, sums.swap, sums.count)
            )
        assert groups.totals.rss == BASH.totals().rss
        assert groups.totals.size == BASH.totals().size

    def test_a_value_that_is_not_reported_is_not_known(self) -> None:
        sample = listed(0, [attrs.evolve(HEAP, swap=None, pss=None)])
        assert sample.values == (40, None, None)

    def test_the_snapshot_has_every_counter(self) -> None:
        sample = listed(0, BASH.mappings)
        assert isinstance(sample.contents, Listing)
        assert sample.contents.snapshot(7, "bash", sample.time).mappings == BASH.mappings


class TestGrowth:
    def test_of_kinds(self) -> None:
        before, after = listed(0, [HEAP, LIBRARY]), listed(1, [grown(HEAP, 60), LIBRARY])
        rows = {row.name: row for row in growth(before, after, "kind")}
        assert (rows["main heap"].values, rows["main heap"].changes) == ((60, 60, 0), (20, 20, 0))
        assert rows["code"].changes == (0, 0, 0)

    def test_of_mappings_that_grew_came_and_went(self) -> None:
        new = mapping(0x90000, name="", rss=4, pss=4, swap=8)
        before, after = listed(0, [HEAP, LIBRARY]), listed(1, [grown(HEAP, 60), new])
        rows = growth(before, after, "mapping")
        found = {(row.name, row.state): (row.values, row.changes) for row in rows}
        assert found == {
            ("[heap]", ""): ((60, 60, 0), (20, 20, 0)),
            ("(anonymous)", NEW): ((4, 4, 8), (4, 4, 8)),
            ("/lib/libc.so.6", REMOVED): ((0, 0, 0), (-8, -1, 0)),
        }
        assert {row.place for row in rows} == {
            "000000010000 rw-p",
            "000000090000 rw-p",
            "000000050000 r-xp",
        }

    def test_parts_of_a_mapping_that_was_split_count_against_it(self) -> None:
        first = attrs.evolve(HEAP, end=HEAP.start + 4096, size=4, rss=4, pss=4)
        rest = attrs.evolve(HEAP, start=first.end, size=60, perms="r--p", rss=30, pss=30)
        (row,) = growth(listed(0, [HEAP]), listed(1, [first, rest]), "mapping")
        assert (row.values, row.changes, row.state) == ((34, 34, 0), (-6, -6, 0), "")

    def test_what_is_not_known_has_no_change(self) -> None:
        before = listed(0, [attrs.evolve(HEAP, swap=None)])
        for by in ("kind", "mapping"):
            (row,) = growth(before, listed(1, [HEAP]), by)
            assert (row.values, row.changes) == ((40, 40, 0), (0, 0, None))

    @given(st.data())
    def test_changes_add_up_to_that_of_the_process(self, data: st.DataObject) -> None:
        def some() -> list[Mapping]:
            kept = [each for each in BASH[:6] if data.draw(st.booleans())]
            return [attrs.evolve(each, rss=data.draw(st.integers(0, 9))) for each in kept]

        before, after = listed(0, some()), listed(1, some())
        expected = (after.values[0] or 0) - (before.values[0] or 0)
        for by in ("kind", "mapping", "pathname"):
            rows = growth(before, after, by)
            assert sum(row.changes[0] or 0 for row in rows) == expected

    def test_names_are_printable(self) -> None:
        hostile = mapping(0x1000, name="/tmp/\x1b[31m[red]\u202e\udcff", rss=4)
        (row,) = growth(listed(0, [hostile]), listed(1, [hostile]), "mapping")
        assert row.name == "/tmp/?[31m[red]??"


class TestOrder:
    ROWS = (
        Row("a", (1, None, 5), (1, None, -5)),
        Row("b", (9, 3, 0), (0, 1, 0)),
        Row("c", (5, 4, None), (7, 0, None)),
    )

    def test_the_first_order_is_what_grew_most(self) -> None:
        assert [row.name for row in ORDERS[0].sort(self.ROWS)] == ["c", "a", "b"]

    @pytest.mark.parametrize(
        ("order", "names"),
        [
            (Order(0), "bca"),
            (Order(1), "cba"),
            (Order(1, is_change=True), "bca"),
            (Order(2), "abc"),
            (Order(2, is_change=True), "bac"),
            (Order(None), "abc"),
        ],
    )
    def test_the_largest_first_and_what_is_not_known_last(self, order: Order, names: str) -> None:
        assert "".join(row.name for row in order.sort(self.ROWS)) == names

    def test_every_column_and_the_name_can_be_chosen(self) -> None:
        assert len(set(ORDERS)) == len(ORDERS) == 7

    def test_filter(self) -> None:
        row = Row("/usr/lib/libSSL.so", (1, 1, 1), (0, 0, 0), "", 0x7F00, "r-xp")
        assert all(matches(row, text) for text in ("libssl", "r-xp", "7f00", ""))
        assert not matches(row, "heap")


class TestSession:
    def test_growth_since_the_start_a_mark_and_the_start_again(self) -> None:
        session = Session()
        for second, rss in enumerate((40, 50, 70)):
            session.add(listed(second, [attrs.evolve(HEAP, rss=rss)]))
            if second == 1:
                session.set_mark()
        assert (session.base_name, session.changes[0]) == ("mark", 20)
        session.clear_mark()
        assert (session.base_name, session.changes[0]) == ("start", 30)
        (row,) = session.rows("kind", ORDERS[0])
        assert row.changes[0] == 30

    def test_growth_restarts_after_exec(self) -> None:
        session = Session()
        session.add(listed(0, [HEAP]))
        session.set_mark()
        session.add(listed(1, [LIBRARY], "another", is_exec=True))
        session.add(listed(2, [attrs.evolve(LIBRARY, rss=10)], "another"))
        assert (session.base_name, session.changes[0]) == ("exec", 2)
        session.clear_mark()
        assert (session.base_name, session.changes[0]) == ("exec", 2)
        assert [text for _, text in session.events] == ["mark", "exec: another"]
        assert [row.name for row in session.rows("kind", ORDERS[0])] == ["code"]

    def test_status_has_no_rows_and_no_pss(self) -> None:
        session = Session()
        session.add(summed(0, 10))
        assert session.rows("kind", ORDERS[0]) == []
        assert session.values[1] is None
        session.add(listed(1, [HEAP]))
        session.add(summed(2, 44))
        assert session.values == (44, 40, 0)  # the PSS is that of the sample before
        assert session.changes == (4, 0, 0)
        (row,) = session.rows("kind", ORDERS[0])
        assert row.values == (40, 40, 0)

    def test_rows_are_computed_by_the_thread_that_reads(self) -> None:
        session = Session()
        session.add(listed(0, [HEAP]))
        sample = listed(1, [grown(HEAP, 50)])
        session.prepare(sample, "mapping")
        prepared = session._rows
        session.add(sample)
        (row,) = session.rows("mapping", ORDERS[0])
        assert row.changes[0] == 10
        assert session._rows is prepared

    def test_memory_is_bounded(self) -> None:
        session = Session()
        sample = attrs.evolve(listed(0, [HEAP]), event="again")
        for second in range(3 * MAX_POINTS):
            session.add(attrs.evolve(sample, seconds=second))
        assert len(session.history.recent) == MAX_RECENT
        assert len(session.history.whole) <= MAX_POINTS
        assert len(session.events) <= 200


class TestHistory:
    @given(st.lists(st.integers(0, 1000), min_size=1, max_size=300))
    def test_no_peak_is_lost(self, sizes: list[int]) -> None:
        history = History()
        repeated = list(itertools.chain.from_iterable([size] * 40 for size in sizes))
        for second, size in enumerate(repeated):
            history.add(second, (size, None, 0))
        assert len(history.whole) <= MAX_POINTS
        assert max(point.values[0] or 0 for point in history.whole) == max(sizes)
        assert history.whole[-1].seconds == len(repeated) - 1
        assert all(point.values[1] is None for point in history.whole)


class TestChart:
    def points(self, *values: tuple[int | None, int | None, int | None]) -> list[Point]:
        return [Point(second, each) for second, each in enumerate(values)]

    def text(self, rows: list[list[chart.Run]]) -> list[str]:
        letters = {"pss": "P", "shared": "S", "rss": "R", "swap": "W", "": "."}
        return [
            "".join(letters[cell.part or cell.behind] * count for cell, count in row)
            for row in rows
        ]

    def test_a_column_is_a_stack_of_pss_shared_and_swap(self) -> None:
        rows = chart.draw([(3, 1, 1), (2, None, 0), (None, None, None)], 4, 4)
        assert self.text(rows) == ["W..", "S..", "SR.", "PR."]

    def test_the_height_of_a_column_is_exact_to_an_eighth(self) -> None:
        for size in range(33):
            rows = chart.draw([(size, size, 0)], 4, 32)
            eighths = 0
            for ((cell, _),) in rows:
                eighths += 8 if cell.behind == "pss" else " ▁▂▃▄▅▆▇".index(cell.character)
            assert eighths == size

    def test_a_cell_with_two_parts_shows_both(self) -> None:
        (((cell, _),),) = chart.draw([(8, 3, 0)], 1, 8)
        assert cell == ("▃", "pss", "shared")

    @pytest.mark.parametrize("most", [0, 1, 79, 81, 100, 999, 1000, 1024, 80_000, 1 << 30])
    def test_the_top_is_not_below_any_column(self, most: int) -> None:
        top = chart.top_of([(most, 0, 0)])
        assert most <= top <= max(2 * most, 1)

    def test_a_pause_is_a_gap(self) -> None:
        points = [Point(second, (5, 5, 0)) for second in (0, 1, 2, 12, 13)]
        window = chart.window_of(points, 14, 1, is_recent=True)
        columns = chart.columns_of(points, window, 14)
        shown = [column[0] is not None for column in columns]
        assert shown[:3] == [True] * 3
        assert shown[6:11] == [False] * 5
        assert shown[-1]

    def test_pss_of_rare_reads_lasts_until_the_next(self) -> None:
        points = self.points(*[(9, 4 if second % 5 == 0 else None, 0) for second in range(20)])
        window = chart.window_of(points, 20, 1, is_recent=True)
        assert all(column == (9, 4, 0) for column in chart.columns_of(points, window, 20))

    def test_a_peak_is_shown_where_columns_have_many_samples(self) -> None:
        points = self.points(*[(99 if second == 500 else 5, 1, 0) for second in range(1000)])
        window = chart.window_of(points, 70, 1, is_recent=False)
        columns = chart.columns_of(points, window, 70)
        assert columns[35] == (99, 1, 0)
        assert sum(column[0] == 99 for column in columns) == 1

    def test_the_window_grows_then_moves(self) -> None:
        points = self.points(*[(1, 1, 0)] * 100)
        assert chart.window_of(points[:10], 50, 1, is_recent=True) == (0, 49)
        assert chart.window_of(points, 50, 1, is_recent=True) == (50, 99)
        assert chart.window_of(points, 50, 1, is_recent=False) == (0, 99)

    def test_the_axis_has_times_and_events(self) -> None:
        line = chart.axis(chart.Window(0, 99), 100, [(50, "mark"), (60, "exec: x"), (999, "late")])
        assert (line.startswith("0:00"), line.endswith("1:39")) == (True, True)
        assert (line[50], line[60], len(line)) == ("m", "!", 100)

    def test_the_scale_has_the_top_and_the_middle(self) -> None:
        assert chart.scale(6, 300 << 10) == ["300M", "", "", "150M", "", ""]

    def test_durations(self) -> None:
        assert [chart.duration(s) for s in (0, 5.9, 754, 3723)] == [
            "0:00",
            "0:05",
            "12:34",
            "1:02:03",
        ]


class TestLines:
    def test_values_changes_and_who_grew(self) -> None:
        session = Session()
        session.add(listed(0, [HEAP, LIBRARY]))
        session.add(listed(1, [grown(HEAP, 1240), LIBRARY]))
        assert format_line(session, "kind") == (
            "2026-01-02T03:04:06Z RSS 1,248 (+1,200), PSS 1,241 (+1,200), Swap 0 (0); "
            "main heap +1,200"
        )

    def test_what_is_not_read_is_not_repeated(self) -> None:
        session = Session()
        session.add(listed(0, [HEAP]))
        session.add(summed(1, 50))
        assert (
            format_line(session, "kind") == "2026-01-02T03:04:06Z RSS 50 (+10), PSS -, Swap 0 (0)"
        )

    def test_an_event_is_on_the_line_and_printable(self) -> None:
        session = Session()
        session.add(listed(0, [HEAP], "bad\n\x1b[2J", is_exec=True))
        assert format_line(session, "kind").endswith("; exec: bad??[2J")


class TestReplay:
    RECORDING = Recording.load(RECORDED / "sequential.csv")

    def test_samples_have_the_sums_of_the_recording(self) -> None:
        samples = samples_of(self.RECORDING)
        expected = self.RECORDING.totals()
        assert [sample.seconds for sample in samples] == [*expected]
        assert [sample.values[0] for sample in samples] == [sums.rss for sums in expected.values()]

    def test_growth_is_by_the_groups_of_the_recording(self) -> None:
        first, *_, last = samples_of(self.RECORDING)
        rows = {row.name: row for row in growth(first, last, "file")}
        assert set(rows) == {"the mapped file", "all else"}
        assert sum(row.changes[0] or 0 for row in rows.values()) == (
            (last.values[0] or 0) - (first.values[0] or 0)
        )

    def test_every_marker_is_an_event(self) -> None:
        events = [sample.event for sample in samples_of(self.RECORDING) if sample.event]
        assert "; ".join(events).split("; ") == [text for _, text in self.RECORDING.markers]

    def test_a_recording_without_groups(self) -> None:
        row = self.RECORDING.samples[0]
        recording = attrs.evolve(self.RECORDING, rows=(row,), by=None)
        (sample,) = samples_of(recording)
        assert [each.name for each in growth(sample, sample, "kind")] == ["all mappings"]

    def test_exec_in_a_recording(self) -> None:
        row = self.RECORDING.samples[0]
        marker = attrs.evolve(row, marker="exec: other program", group="")
        recording = attrs.evolve(self.RECORDING, rows=(marker, row))
        (sample,) = samples_of(recording)
        assert (sample.command, sample.is_exec) == ("other program", True)

    def test_an_empty_recording_is_rejected(self) -> None:
        with pytest.raises(ValueError, match="with samples"):
            samples_of(Recording(()))

    def test_it_advances_in_the_time_of_the_recording(self) -> None:
        replay = Replay(self.RECORDING)
        assert (replay.position, replay.interval) == (1, 0.25)
        passed = replay.advance(1.1)
        assert len(passed) == 4
        while not replay.is_at_end:
            passed += replay.advance(1.0)
        assert passed == replay.samples[1:]
        assert replay.advance(1.0) == []

    def test_seeking(self) -> None:
        replay = Replay(self.RECORDING)
        assert len(replay.seek(10)) == replay.position == 10
        replay.advance(0.25)
        assert replay.position == 11
        assert len(replay.seek(-5)) == replay.position == 1
        assert len(replay.seek(10**9)) == len(replay.samples)
        assert replay.is_at_end


def test_each_key_has_one_action() -> None:
    names = [name for key in KEYS for names in key.actions for name in names.split(",")]
    assert len(names) == len(set(names))
