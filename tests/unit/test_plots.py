"""Plots of snapshots, differences and recordings: labels and values, not pixels."""

from __future__ import annotations

import itertools
import pickle
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import pytest
from support.paths import FIXTURES
from unit.test_output import ODD

import smapskit
from smapskit import Mapping, MappingKind, Note, Recording, Snapshot, Totals, Unsupported, cli
from smapskit.sources.recording import Sample
from smapskit.views import colours

pytest.importorskip("matplotlib")
import matplotlib.style
from matplotlib.colors import to_hex, to_rgb

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from smapskit.model.totals import GroupName

ALL_KINDS = smapskit.load(FIXTURES / "all_mapping_kinds" / "smaps.txt")
JVM = smapskit.load(FIXTURES / "runtimes" / "jvm-g1.smaps.gz")
MAPS = smapskit.load(FIXTURES / "all_mapping_kinds" / "maps.txt")


def widths(axes: Axes) -> list[float]:
    return [float(patch.get_width()) for patch in axes.patches]  # type: ignore[attr-defined]


def tick_labels(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.get_yticklabels()]


def texts(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def message(figure: Figure) -> str:
    _title, text = figure.texts
    return text.get_text()


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for each in figure.legends for text in each.get_texts()]


def mapping(number: int, rss: int, name: str = "", size: int = 4) -> Mapping:
    start = number << 24
    return Mapping(start=start, end=start + (size << 10), perms="rw-p", pathname=name, rss=rss)


class TestSnapshot:
    @pytest.mark.parametrize("by", ["backing", "kind", "sharing", "perms", "pathname"])
    def test_bars_are_rss_in_mib_on_a_linear_axis(self, by: GroupName) -> None:
        snapshot = attrs.evolve(JVM, pid=7, command="java -jar x")
        figure = snapshot.plot(by)
        resident, share, _ = figure.axes
        assert figure.get_suptitle() == "Memory of process 7: java -jar x"
        assert (resident.get_xlabel(), resident.get_xscale()) == ("RSS (MiB)", "linear")
        assert f"by {by}" in resident.get_title(loc="left")
        groups = sorted(snapshot.group_by(by).values(), key=lambda t: t.rss or 0, reverse=True)
        expected = [(totals.rss or 0) / 1024 for totals in groups[:12]]
        assert widths(resident)[: len(expected)] == pytest.approx(expected)
        total = snapshot.totals()
        assert sum(widths(resident)) == pytest.approx((total.rss or 0) / 1024)
        assert len(tick_labels(resident)) == min(len(groups), 13)
        assert share.get_xscale() == "linear"

    def test_a_share_of_one_percent_is_one_hundredth_of_its_frame(self) -> None:
        resident, share, _ = Snapshot((mapping(1, 10, size=1000),)).plot().axes
        assert widths(share) == [100, 1]
        assert texts(share) == ["1% of 1,000 kB"]
        assert texts(resident) == ["10 kB  100%"]

    def test_labels_of_groups_and_others(self) -> None:
        resident = JVM.plot("kind").axes[0]
        labels = tick_labels(resident)
        kinds = JVM.group_by("kind")
        assert labels[0] == MappingKind.JVM_HEAP
        assert labels[-1] == f"{len(kinds) - 12} others"
        assert set(labels[:-1]) <= {str(kind) for kind in kinds}

    @pytest.mark.parametrize("by", ["backing", "kind", "pathname"])
    def test_the_address_space_has_one_cell_per_mapping_and_a_legend(self, by: GroupName) -> None:
        figure = ALL_KINDS.plot(by)
        space = figure.axes[-1]
        (cells,) = space.collections
        values: Any = np.ma.asanyarray(cells.get_array())
        assert values.count() == len(ALL_KINDS)
        assert tick_labels(space)[0] == f"{min(m.start for m in ALL_KINDS):x}"
        assert f"{len(ALL_KINDS)} mappings" in space.get_title(loc="left")
        if by == "kind":
            names = [colours.KIND_GROUP_OF[kind].name for kind in ALL_KINDS.group_by("kind")]
        else:
            names = [str(backing or "(unknown)") for backing in ALL_KINDS.group_by("backing")]
        assert sorted(legend(figure)) == sorted(set(names))

    def test_a_large_gap_between_mappings_is_a_blank_cell(self) -> None:
        far = attrs.evolve(mapping(1, 1), start=1 << 40, end=(1 << 40) + 4096)
        (cells,) = Snapshot((mapping(1, 1), far)).plot().axes[-1].collections
        values: Any = np.ma.asanyarray(cells.get_array())
        assert [bool(m) for m in np.ma.getmaskarray(values).ravel()[:4]] == [
            False,
            True,
            False,
            True,
        ]

    @pytest.mark.slow
    def test_65000_mappings_are_one_collection(self) -> None:
        many = Snapshot(tuple(mapping(n, n % 4, f"[anon:{n % 9}]") for n in range(65_000)))
        for by in ("backing", "kind"):
            figure = many.plot(by)
            artists = [a for axes in figure.axes for a in (*axes.collections, *axes.patches)]
            assert len(artists) < 50

    def test_without_counters_bars_are_sizes(self) -> None:
        size, _ = MAPS.plot().axes
        assert size.get_xlabel() == "Size (MiB)"
        assert "no RSS is reported" in size.get_title(loc="left")
        assert sum(widths(size)) == pytest.approx(MAPS.totals().size / 1024)

    def test_a_group_without_counters_has_no_value(self) -> None:
        unknown = attrs.evolve(mapping(2, 0, "/dev/shm/x"), rss=None)
        resident = Snapshot((mapping(1, 4), unknown)).plot("pathname").axes[0]
        assert texts(resident) == ["4 kB  100%", "not reported"]

    def test_an_empty_snapshot_has_the_reason(self) -> None:
        figure = Snapshot((), pid=2, notes=(Note.KERNEL_THREAD,)).plot()
        assert figure.axes == []
        assert message(figure) == f"No mappings; {Note.KERNEL_THREAD}"
        assert "was selected" in message(ALL_KINDS.filter(lambda _: False).plot())

    def test_any_name_can_be_plotted(self, tmp_path: Path) -> None:
        picture = tmp_path / "x.svg"
        ODD.plot("pathname").savefig(picture)
        assert "<script" not in picture.read_text()

    def test_without_the_extra(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delitem(sys.modules, "smapskit.views.notebook_figure", raising=False)
        monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
        with pytest.raises(Unsupported, match=r"pip install '\.\[plot\]'"):
            ALL_KINDS.plot()


class TestDifference:
    def test_the_ten_that_grew_most(self) -> None:
        before = Snapshot(tuple(mapping(n, 100, f"/{n}") for n in range(1, 15)))
        after = [mapping(n, 100 + 10 * n, f"/{n}") for n in range(1, 14)]
        shrunk, added = mapping(14, 1, "/14"), mapping(20, 512, "[heap]")
        figure = smapskit.diff(before, [*after, shrunk, added]).plot()
        (axes,) = figure.axes
        assert axes.get_xlabel() == "RSS (MiB)"
        grown = [512, *(10 * n for n in range(13, 4, -1))]
        assert widths(axes) == pytest.approx([kb / 1024 for kb in grown])
        assert tick_labels(axes)[:2] == ["[heap]\n14000000", "/13\nd000000"]
        assert texts(axes)[:2] == ["+512 kB (added)", "+130 kB to 230 kB"]
        assert axes.get_title(loc="left") == (
            "10 mappings of 14 that grew: +1.3 MiB. All mappings: +1.3 MiB"
        )

    def test_nothing_grew(self) -> None:
        difference = smapskit.diff([mapping(1, 2048)], [mapping(1, 0)])
        assert message(difference.plot()) == "No mapping grew. The change of RSS is -2.0 MiB."

    def test_without_counters_by_size(self) -> None:
        (axes,) = smapskit.diff([], MAPS).plot().axes
        assert axes.get_xlabel() == "Size (MiB)"


BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def sample(seconds: float, rss: int | None, group: str = "") -> Sample:
    time = BEGIN + timedelta(seconds=seconds)
    return Sample(time, seconds, 0.1, group, Totals(count=1, size=9, rss=rss, shared_rss=rss))


GROUPED = Recording(
    (
        *(sample(0, 1024, "file"), sample(0, 2048, "anonymous")),
        *(sample(1, 2048, "file"), sample(1, 5120, "anonymous")),
        *(sample(2, None, "file"), sample(2, None, "anonymous")),
        *(sample(3, 1024, "file"), sample(3, 4096, "anonymous"), sample(3, 1024, "shmem")),
    ),
    pid=7,
    by="backing",
)


class TestRecording:
    def test_groups_are_stacked_and_their_top_is_the_total(self) -> None:
        figure = GROUPED.plot()
        (axes,) = figure.axes
        assert figure.get_suptitle() == "RSS of process 7 by backing"
        assert [str(layer.get_label()) for layer in axes.collections] == [
            "anonymous",
            "file",
            "shmem",
        ]
        assert to_hex(np.asarray(axes.collections[0].get_facecolor())[0]) == "#e69f00"
        (total,) = axes.lines
        assert np.asarray(total.get_ydata()).tolist() == pytest.approx(
            [3, 7, float("nan"), 6], nan_ok=True
        )
        top = axes.collections[1].get_paths()[0].vertices
        assert np.asarray(top)[:, 1].max() == 7

    def test_the_smallest_of_many_groups_are_one_layer(self) -> None:
        rows = [sample(0, 1024 * n, f"/lib{n}") for n in range(1, 12)] + [sample(0, 1, "")]
        (axes,) = Recording(tuple(rows), by="pathname").plot().axes
        names = [str(layer.get_label()) for layer in axes.collections]
        assert names == [*(f"/lib{n}" for n in range(11, 3, -1)), "4 others"]
        assert np.asarray(axes.lines[0].get_ydata()).max() == pytest.approx(66 + 1 / 1024)

    def test_labels_of_markers_are_above_the_curves(self) -> None:
        recording = GROUPED.add_marker(1, "deployed").add_marker(1.01, "again")
        figure = recording.add_marker(2.5, "x" * 99).plot()
        (axes,) = figure.axes
        figure.draw_without_rendering()
        assert texts(axes) == ["deployed (and 1 more)", f"{'x' * 25}..."]
        assert all(text.get_window_extent().y0 >= axes.bbox.y1 for text in axes.texts)

    def test_the_axis_reaches_the_limit(self, tmp_path: Path) -> None:
        figure = GROUPED.plot(memory_limit=32 << 10)
        (axes,) = figure.axes
        assert axes.get_ylim()[1] > 32
        assert "limit: 32 MiB" in legend(figure)
        GROUPED.save(tmp_path / "run.csv")
        words = ["plot", str(tmp_path / "run.csv"), "--memory-limit", "32M"]
        assert cli.main([*words, "-o", str(tmp_path / "run.svg")]) == 0
        assert (tmp_path / "run.svg").stat().st_size > 0

    def test_long_recordings_have_minutes_and_hours(self) -> None:
        labels = [
            Recording((sample(0, 1), sample(last, 1))).plot().axes[0].get_xlabel()
            for last in (60, 3600, 86_400, 86_400 * 7)
        ]
        assert labels == ["time (s)", "time (min)", "time (h)", "time (days)"]

    def test_no_samples(self) -> None:
        assert "no samples" in message(Recording(()).plot())


FIGURES: dict[str, Callable[[], Figure]] = {
    "backing": ALL_KINDS.plot,
    "kind": lambda: ALL_KINDS.plot("kind"),
    "difference": lambda: smapskit.diff([], ALL_KINDS).plot(),
    "stack": lambda: GROUPED.add_marker(1, "x").plot(memory_limit=9000),
    "lines": lambda: Recording((sample(0, 1), sample(1, 2))).plot(),
    "empty": lambda: Snapshot(()).plot(),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", FIGURES)
class TestAllFigures:
    def test_can_be_pickled(self, name: str) -> None:
        figure = FIGURES[name]()
        copy = pickle.loads(pickle.dumps(figure))
        assert copy.get_suptitle() == figure.get_suptitle()
        copy.draw_without_rendering()

    def test_nothing_is_cut(self, name: str) -> None:
        figure = FIGURES[name]()
        figure.draw_without_rendering()
        width, height = figure.bbox.width, figure.bbox.height
        for artist in (*figure.legends, *figure.texts, *figure.axes):
            box = artist.get_tightbbox()
            if box is None or not box.width:
                continue
            assert -1 <= box.x0 <= box.x1 <= width + 1, artist
            assert -1 <= box.y0 <= box.y1 <= height + 1, artist

    def test_follows_a_dark_style(self, name: str) -> None:
        with matplotlib.style.context("dark_background"):
            figure = FIGURES[name]()
        assert to_hex(figure.get_facecolor()) == "#000000"
        used = [to_hex(patch.get_edgecolor()) for axes in figure.axes for patch in axes.patches]
        used += [to_hex(line.get_color()) for axes in figure.axes for line in axes.lines]
        assert "#000000" not in used

    def test_a_notebook_shows_twice_the_resolution(self, name: str) -> None:
        figure: Any = FIGURES[name]()
        png, size = figure._repr_png_()
        pixels = int.from_bytes(png[16:20]), int.from_bytes(png[20:24])
        assert pixels == pytest.approx((2 * size["width"], 2 * size["height"]), abs=2)


class TestColours:
    def test_every_backing_and_kind_has_one(self) -> None:
        assert set(colours.OF_BACKINGS) == {*smapskit.Backing, None}
        assert set(colours.KIND_GROUP_OF) == set(MappingKind)
        assert sum(len(group.kinds) for group in colours.KIND_GROUPS) == len(MappingKind)

    @pytest.mark.parametrize(
        "chosen",
        [
            [*colours.OF_BACKINGS.values()],
            [group.colour for group in colours.KIND_GROUPS],
            [*colours.OF_SERIES, colours.OF_OTHERS],
        ],
        ids=["backings", "kinds", "series"],
    )
    def test_can_be_distinguished_in_grey(self, chosen: list[str]) -> None:
        levels = sorted(map(lightness, set(chosen) - {colours.FOREGROUND}))
        assert len(levels) >= len(chosen) - 1
        assert all(high - low >= 5 for low, high in itertools.pairwise([0, *levels, 100]))


def lightness(colour: str) -> float:
    """Return L* of CIE 1976, 0 for black to 100 for white."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    luminance = sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
    return 116 * float(luminance ** (1 / 3)) - 16
