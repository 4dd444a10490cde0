"""Counts, tables, documents and files of pages that are made up."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import attrs
import jsonschema
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.paths import ROOT

import smapskit
from smapskit import (
    FrameFlag,
    Frames,
    Mapping,
    PageFlag,
    PageRange,
    PageRecording,
    PageRuns,
    Pages,
    PageState,
    RecordedRange,
    Residency,
)
from smapskit.sources.pages import pagemap, storage
from smapskit.views import page_plots, page_tables
from smapskit.views.cells import TableStyle, display_width
from smapskit.views.page_tables import ASCII, BLOCKS, heat_line

P, F, Z, S, E = (
    PageFlag.PRESENT,
    PageFlag.FILE,
    PageFlag.ZERO,
    PageFlag.SWAPPED,
    PageFlag.EXCLUSIVE,
)


def runs(*parts: tuple[int, int, int]) -> PageRuns:
    first, end, flags = (np.array(column) for column in zip(*parts, strict=True))
    return PageRuns(first.astype(np.int64), end.astype(np.int64), flags.astype(np.uint8))


def mapping(first: int, end: int, pathname: str = "", size: int = 4096, **fields: Any) -> Mapping:
    values = {"perms": "rw-p", "device": "00:00", "pathname": pathname, **fields}
    return Mapping(start=first * size, end=end * size, **values)


def pages(page_size: int = 4096, **changes: Any) -> Pages:
    """Return two mappings of 10 pages and one beyond user space."""
    ranges = tuple(
        PageRange(mapping(first, first + 10, name, page_size), first, first + 10, first < 1000)
        for first, name in ((10, "[heap]"), (30, "/lib"), (1000, "[vsyscall]"))
    )
    content = runs((10, 12, P | E), (12, 13, P | Z), (15, 17, S), (30, 34, P | F), (35, 36, P | E))
    return attrs.evolve(
        Pages(runs=content, ranges=ranges, page_size=page_size, unknown={}), **changes
    )


class TestCounts:
    def test_by_mapping_and_over_all(self) -> None:
        heap, library, beyond = (row.counts for row in pages().by_mapping())
        assert (heap.size, heap.present, heap.resident, heap.zero) == (10, 3, 2, 1)
        assert (heap.anonymous, heap.file, heap.exclusive, heap.swapped, heap.runs) == (
            2,
            0,
            2,
            2,
            1,
        )
        assert (library.resident, library.file, library.anonymous, library.runs) == (5, 4, 1, 2)
        assert beyond == smapskit.PageCounts(size=10)
        total = pages().counts()
        assert (total.size, total.present, total.resident, total.runs) == (30, 8, 7, 3)

    def test_the_huge_zero_page_is_not_huge_memory(self) -> None:
        huge, zero = P | PageFlag.HUGE, P | PageFlag.HUGE | Z
        heap, library, _ = (
            row.counts for row in pages(runs=runs((10, 14, huge), (30, 38, zero))).by_mapping()
        )
        assert (heap.huge, heap.resident) == (4, 4)
        assert (library.huge, library.resident, library.zero) == (0, 0, 8)

    def test_pages_that_the_kernel_does_not_report_are_not_counted_as_0(self) -> None:
        (*_, beyond) = pages().ranges
        assert pages(ranges=(beyond,)).counts() == smapskit.PageCounts(size=10)

    def test_what_is_unknown_is_none(self) -> None:
        found = pages(unknown={"huge": "older kernel", "zero": "older kernel", "exclusive": "no"})
        heap, library, _ = (row.counts for row in found.by_mapping())
        assert (heap.huge, heap.exclusive) == (None, None)
        assert (heap.present, heap.resident, heap.zero, heap.anonymous) == (3, None, None, None)
        # Each page here is exclusive or of a file: none can be the zero page.
        assert (library.present, library.resident, library.zero) == (5, 5, 0)
        assert (found.counts().present, found.counts().resident) == (8, None)

    def test_frames(self) -> None:
        flags = np.array([1, 0, 1, 1, 1, 0, 0, 1], np.uint64) * np.uint64(FrameFlag.ACTIVE)
        frames = Frames(np.arange(8), flags)
        heap, library, _ = (row.counts for row in pages(frames=frames).by_mapping())
        assert (heap.active, library.active, heap.dirty) == (2, 3, 0)
        assert pages().counts().active is None

    def test_pages_of_another_size(self) -> None:
        found = pages(page_size=65536)
        snapshot = smapskit.Snapshot(
            tuple(
                mapping(first, first + 10, name, 65536, rss=rss, swap=swap)
                for first, name, rss, swap in (
                    (10, "[heap]", 128, 128),
                    (30, "/lib", 320, 0),
                    (1000, "[vsyscall]", 0, 0),
                )
            )
        )
        assert found.check(snapshot) == []
        assert "128" in page_tables.format_pages(found).splitlines()[1].split()

    def test_swap_of_shared_memory_may_be_larger_in_smaps(self) -> None:
        shared = mapping(10, 20, "/dev/shm/x", rss=8, swap=40)
        private = mapping(10, 20, "[heap]", rss=8, swap=40)
        of_shared = pages(ranges=(PageRange(shared, 10, 20),))
        assert of_shared.check(smapskit.Snapshot((shared,))) == []
        of_heap = pages(ranges=(PageRange(private, 10, 20),))
        assert [str(each) for each in of_heap.check(smapskit.Snapshot((private,)))] == [
            "a000-14000 has 8 kB of swapped pages, but Swap is 40 kB"
        ]

    def test_hugetlb_pages_are_not_rss(self) -> None:
        huge = mapping(30, 40, "/anon_hugepage (deleted)", rss=0, shared_hugetlb=0)
        huge = attrs.evolve(huge, private_hugetlb=20, vm_flags=("ht",))
        found = pages(ranges=(PageRange(huge, 30, 40),))
        assert found.check(smapskit.Snapshot((huge,))) == []

    def test_arrays_on_request(self) -> None:
        found = pages()
        assert found.flags(9 * 4096, 13 * 4096).tolist() == [0, P | E, P | E, P | Z]
        assert (found.addresses() // 4096).tolist() == [10, 11, 12, 30, 31, 32, 33, 35]


class TestHeatLine:
    @given(
        st.lists(st.booleans(), min_size=1, max_size=100),
        st.integers(1, 40),
        st.sampled_from([BLOCKS, ASCII]),
    )
    def test_each_character_is_the_share_of_its_part(
        self, present: list[bool], width: int, characters: str
    ) -> None:
        content = PageRuns.of_array(7, np.array(present, np.uint8))
        line = heat_line(content, 7, 7 + len(present), width, characters=characters)
        assert len(line) == min(width, len(present))
        bounds = [at * len(present) // len(line) for at in range(len(line) + 1)]
        for character, low, high in zip(line, bounds, bounds[1:], strict=False):
            part = present[low:high]
            assert (character == characters[0]) == (not any(part))
            assert (character == characters[-1]) == all(part)

    def test_levels(self) -> None:
        content = runs((0, 100, 1), (100, 130, 1), (200, 250, 1), (300, 390, 1))
        assert heat_line(content, 0, 500, 5) == "█░▒▓·"
        assert heat_line(content, 0, 500, 5, characters=ASCII) == "#-+*."

    def test_one_page_in_a_terabyte_is_visible(self) -> None:
        line = heat_line(runs((1 << 27, (1 << 27) + 1, 1)), 0, 1 << 28, 32)
        assert line == "·" * 16 + "░" + "·" * 15

    def test_swap_is_shown_where_nothing_is_in_memory(self) -> None:
        line = heat_line(runs((0, 1, 1)), 0, 4, 4, swapped=runs((0, 2, 1)))
        assert line == "█s··"

    def test_lines_of_many_ranges(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(page_tables, "_BATCH", 2)
        content = runs((0, 3, 1), (10, 11, 1), (20, 21, 1), (29, 30, 1))
        bounds = [(0, 4), (4, 5), (10, 12), (20, 30), (40, 90)]
        first, end = (np.array(numbers, np.int64) for numbers in zip(*bounds, strict=True))
        lines = list(page_tables.heat_lines(content, first, end, 5))
        assert lines == ["███·", "·", "█·", "▒···▒", "·····"]
        assert lines == [heat_line(content, *each, 5) for each in bounds]
        assert list(page_tables.heat_lines(content, first[:0], end[:0], 5)) == []


class TestDocuments:
    def test_table(self) -> None:
        assert page_tables.format_pages(pages(), width=5).splitlines() == [
            "Address          Size RSS Swap Huge Active Runs Map   Mapping",
            "000000000000a000   40   8    8    0      -    1 █·ss· [heap]",
            "000000000001e000   40  20    0    0      -    2 ██▒·· /lib",
            "00000000003e8000   40   -    -    -      -    - -     [vsyscall]",
            "total kB          120  28    8    0      -    3",
        ]

    def test_top_of_a_table(self) -> None:
        text = page_tables.format_pages(pages(), 5, style=TableStyle(top=1, human=True))
        assert text.splitlines() == [
            "Address          Size RSS Swap Huge Active Runs Map   Mapping",
            "000000000001e000  40K 20K    0    0      -    2 ██▒·· /lib",
            "                  80K  8K   8K    0      -    1       (2 others)",
            "total            120K 28K   8K    0      -    3",
        ]

    @pytest.mark.parametrize("columns", [80, 120])
    def test_the_map_leaves_space_for_the_name(self, columns: int) -> None:
        name = "/home/利用者/" + "とても長い名前" * 12 + "/library.so"
        large = 1 << 20
        range_ = PageRange(mapping(1, 1 + large, name), 1, 1 + large)
        found = pages(ranges=(range_,), runs=runs((1, 1 + large, P)))
        (heading, row, *_) = page_tables.format_pages(
            found, style=TableStyle(width=columns)
        ).splitlines()
        assert display_width(row) in (columns - 1, columns)
        assert row.endswith(".so")
        assert 8 <= row.count("█") <= 32
        assert columns - heading.index("Mapping") >= 12

    def test_table_of_files(self) -> None:
        found = Residency(path="a\x1b", size=39000, page_size=4096, runs=runs((0, 5, 1)))
        empty = Residency(path="b", size=0, page_size=4096, runs=PageRuns.join(()))
        assert page_tables.format_residencies([found, empty], width=5).splitlines() == [
            "Size Cached  % Dirty Runs Map   File",
            "  39     20 50     -    1 ██▒·· a?",
            "   0      0  -     -    0       b",
            "  39     20 50     -    1       total kB",
        ]

    def test_top_of_a_table_of_files(self) -> None:
        files = [
            Residency(path=name, size=40960, page_size=4096, runs=runs((0, cached, 1)), dirty=dirty)
            for name, cached, dirty in (("a", 1, 1), ("b", 9, 2), ("c", 2, 0))
        ]
        text = page_tables.format_residencies(files, 2, style=TableStyle(top=1))
        assert text.splitlines() == [
            "Size Cached  % Dirty Runs Map File",
            "  40     36 90     8    1 █▓  b",
            "  80     12 15     4    2     (2 others)",
            " 120     48 40    12    3     total kB",
        ]

    def test_json_follows_its_schema(self) -> None:
        residency = Residency(path="a\udcff", size=9, page_size=4096, runs=runs((0, 1, 1)), dirty=0)
        document = json.loads(
            page_tables.pages_to_json([pages(unknown={"huge": "x"})], [residency])
        )
        schema = json.loads((ROOT / "docs" / "schema-pages.json").read_text())
        jsonschema.Draft202012Validator.check_schema(schema)
        jsonschema.Draft202012Validator(schema).validate(document)
        assert document["processes"][0]["mappings"][0]["resident"] == 2
        assert document["processes"][0]["mappings"][0]["huge"] is None
        assert document["files"][0]["runs"] == [[0, 1]]

    def test_csv(self) -> None:
        rows = list(csv.DictReader(io.StringIO(page_tables.pages_to_csv([pages()]))))
        assert [row["present"] for row in rows] == ["3", "5", ""]
        assert rows[1]["pathname"] == "/lib"
        found = Residency(path="=a", size=9, page_size=4096, runs=runs((0, 1, 1)))
        (row,) = csv.DictReader(io.StringIO(page_tables.residencies_to_csv([found])))
        assert (row["path"], row["cached"], row["dirty"]) == ("'=a", "1", "")


M, C, A = PageState.MAPPED, PageState.CACHED, PageState.ACTIVE


def recording(**changes: Any) -> PageRecording:
    """Return three samples of ten pages: two come, one of them goes and another is cached."""
    states = [runs((10, 12, M | C)), runs((10, 11, M | C | A), (12, 13, C)), PageRuns.join(())]
    before = PageRuns.join(())
    differences = []
    for state in states:
        differences.append(state.changes(before))
        before = state
    made = PageRecording(
        seconds=np.array([0.0, 0.1, 0.2]),
        read_seconds=np.array([0.01, 0.01, 0.02]),
        changes=tuple(differences),
        ranges=(RecordedRange(10 * 4096, 20 * 4096, "rw-s", 0, "/file"),),
        page_size=4096,
        pid=1,
        command="x",
        interval=0.1,
    )
    return attrs.evolve(made, **changes)


class TestRecording:
    def test_states(self) -> None:
        made = recording()
        assert made.array(10 * 4096, 14 * 4096).tolist() == [
            [M | C, M | C, 0, 0],
            [M | C | A, 0, C, 0],
            [0, 0, 0, 0],
        ]
        assert made.counts["mapped"].tolist() == [2, 1, 0]
        assert made.counts["in_memory"].tolist() == [2, 2, 0]
        assert made.to_frame()["active"].tolist() == [0, 1, 0]
        assert made.add_marker(0.15, "a\nb").markers == ((0.15, "a?b"),)

    def test_a_file_has_everything(self, tmp_path: Path) -> None:
        path = tmp_path / "run.npz"
        made = recording(unknown={"dirty": "why"}, notes={"kernel": "6"}).add_marker(0.1, "now")
        smapskit.save_pages(made, path)
        loaded = smapskit.load_pages(path)
        for field in attrs.fields(PageRecording):
            mine, its = getattr(made, field.name), getattr(loaded, field.name)
            assert np.array_equal(mine, its) if isinstance(mine, np.ndarray) else mine == its
        with pytest.raises(FileExistsError):
            smapskit.save_pages(made, path, overwrite=False)
        with np.load(path) as arrays:
            assert arrays["runs"].tolist() == [1, 3, 2]

    def test_a_recording_without_samples(self, tmp_path: Path) -> None:
        path = tmp_path / "run.npz"
        empty = recording(seconds=np.empty(0), read_seconds=np.empty(0), changes=(), ranges=())
        smapskit.save_pages(empty, path)
        assert len(smapskit.load_pages(path)) == 0
        assert smapskit.load_pages(path).array(0, 4096).shape == (0, 1)


class TestHostileFiles:
    @pytest.fixture
    def parts(self, tmp_path: Path) -> dict[str, bytes]:
        smapskit.save_pages(recording(), tmp_path / "good.npz")
        with zipfile.ZipFile(tmp_path / "good.npz") as archive:
            return {name: archive.read(name) for name in archive.namelist()}

    def load(self, folder: Path, parts: dict[str, bytes]) -> PageRecording:
        path = folder / "bad.npz"
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in parts.items():
                archive.writestr(name, data)
        return smapskit.load_pages(path)

    def array(self, values: Any, dtype: Any) -> bytes:
        file = io.BytesIO()
        np.save(file, np.array(values, dtype))
        return file.getvalue()

    @pytest.mark.parametrize(
        ("name", "values", "dtype", "message"),
        [
            ("seconds", [0, 1, 2], np.int64, "the array seconds is int64"),
            ("seconds", [0, np.nan, 2], np.float64, "not a number of seconds"),
            ("seconds", [2, 1, 0], np.float64, "not in order"),
            ("seconds", [0, 1], np.float64, "the numbers of samples differ"),
            ("runs", [1, 3, 3], np.int64, "the numbers of runs differ"),
            ("runs", [-1, 5, 2], np.int64, "the numbers of runs differ"),
            ("first", [10, 12, 10, 11, 10, 12], np.int64, "runs of pages that overlap"),
            ("first", [-1] * 6, np.int64, "out of range"),
            ("length", [0] * 6, np.int64, "without pages"),
            ("length", [2**62] * 6, np.int64, "out of range"),
            ("change", [0] * 6, np.uint8, "do not change anything"),
            ("metadata", [[1]], np.uint8, r"the array metadata is uint8 \(1, 1\)"),
            ("metadata", list(b"[]"), np.uint8, "metadata"),
            ("metadata", list(b"{"), np.uint8, "expected a recording of pages"),
            ("metadata", list(b"[" * 100_000), np.uint8, "expected a recording of pages"),
        ],
    )
    def test_wrong_arrays(
        self,
        tmp_path: Path,
        parts: dict[str, bytes],
        name: str,
        values: Any,
        dtype: Any,
        message: str,
    ) -> None:
        parts[f"{name}.npy"] = self.array(values, dtype)
        with pytest.raises(smapskit.ParseError, match=message) as caught:
            self.load(tmp_path, parts)
        assert str(caught.value).startswith(str(tmp_path / "bad.npz"))

    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("page_size", 0),
            ("page_size", "4096"),
            ("pid", "1"),
            ("ranges", [{}]),
            ("ranges", [{"start": 5, "end": 1, "perms": "", "offset": 0, "pathname": ""}]),
            ("markers", [[1]]),
            ("markers", [["x", "y"]]),
            ("smapskit page recording", 2),
            ("notes", None),
        ],
    )
    def test_wrong_metadata(
        self, tmp_path: Path, parts: dict[str, bytes], key: str, value: object
    ) -> None:
        array = np.load(io.BytesIO(parts["metadata.npy"]))
        metadata = json.loads(array.tobytes()) | {key: value}
        parts["metadata.npy"] = self.array(list(json.dumps(metadata).encode()), np.uint8)
        with pytest.raises(smapskit.ParseError, match="expected a recording of pages"):
            self.load(tmp_path, parts)

    def test_control_characters_do_not_reach_a_terminal(
        self, tmp_path: Path, parts: dict[str, bytes]
    ) -> None:
        metadata = json.loads(np.load(io.BytesIO(parts["metadata.npy"])).tobytes())
        metadata["ranges"][0]["pathname"] = "\x1b[2J"
        metadata["markers"] = [[0, "\x1b"]]
        parts["metadata.npy"] = self.array(list(json.dumps(metadata).encode()), np.uint8)
        loaded = self.load(tmp_path, parts)
        assert (loaded.ranges[0].pathname, loaded.markers) == ("?[2J", ((0.0, "?"),))

    def test_objects_are_not_unpickled(self, tmp_path: Path, parts: dict[str, bytes]) -> None:
        file = io.BytesIO()
        np.save(file, np.array([{"a": 1}], object), allow_pickle=True)
        parts["metadata.npy"] = file.getvalue()
        with pytest.raises(smapskit.ParseError, match="the array metadata is object"):
            self.load(tmp_path, parts)

    def test_a_size_that_is_not_true(self, tmp_path: Path, parts: dict[str, bytes]) -> None:
        shape = parts["first.npy"].replace(b"(6,), ", b"(6000000000000,), ")[
            : len(parts["first.npy"])
        ]
        parts["first.npy"] = shape
        with pytest.raises(smapskit.ParseError):
            self.load(tmp_path, parts)

    def test_a_file_that_is_too_large(
        self, tmp_path: Path, parts: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(storage, "_MAX_SIZE", 100)
        with pytest.raises(smapskit.ParseError, match="larger than"):
            self.load(tmp_path, parts)

    @pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"a,b\n1,2\n", b"\0" * 1000])
    def test_other_files(self, tmp_path: Path, data: bytes) -> None:
        path = tmp_path / "bad.npz"
        path.write_bytes(data)
        with pytest.raises(smapskit.ParseError, match="expected a recording of pages"):
            smapskit.load_pages(path)

    def test_damaged_bytes(self, tmp_path: Path) -> None:
        path = tmp_path / "good.npz"
        smapskit.save_pages(recording(), path)
        good = path.read_bytes()
        for at in range(0, len(good), 7):
            path.write_bytes(good[:at] + bytes([good[at] ^ 0x55]) + good[at + 1 :])
            try:
                smapskit.load_pages(path)  # not every byte matters
            except smapskit.ParseError:
                continue
        for length in range(0, len(good), 50):
            path.write_bytes(good[:length])
            with pytest.raises(smapskit.ParseError):
                smapskit.load_pages(path)


class TestPictures:
    def test_rows_have_all_pages_of_a_mapping(self) -> None:
        rows = page_plots.rows_of(recording(), rows=5)
        assert rows.quantity == "offset in the file (MiB)"
        assert rows.bounds.tolist() == [10, 12, 14, 16, 18, 20]
        states = list(recording().states())
        assert rows.count(states[1].select(C)).tolist() == [1, 1, 0, 0, 0]

    def test_rows_of_a_sparse_mapping_have_the_pages_that_were_seen(self) -> None:
        whole = RecordedRange(0, 1 << 40, "rw-p", 0, "")
        rows = page_plots.rows_of(recording(ranges=(whole,)))
        assert rows.quantity == "pages that were ever in memory (MiB)"
        assert rows.count(runs((10, 13, 1))).tolist() == [1, 1, 1]

    @pytest.mark.parametrize("unknown", [{}, {"active": "multi-generational LRU"}])
    def test_a_recording_has_a_panel_of_lists_if_they_are_known(
        self, unknown: dict[str, str]
    ) -> None:
        figure = recording(unknown=unknown).add_marker(0.1, "now").plot()
        titles = [axes.get_title(loc="left") for axes in figure.axes]
        assert ("The kernel's list each page is on" in titles) == (not unknown)
        figure.savefig(io.BytesIO(), format="png")

    def test_a_recording_without_pages(self) -> None:
        nothing = recording(changes=(PageRuns.join(()),) * 3)
        nothing.plot().savefig(io.BytesIO(), format="png")
        empty = recording(seconds=np.empty(0), read_seconds=np.empty(0), changes=(), ranges=())
        empty.plot().savefig(io.BytesIO(), format="png")

    def test_names_are_not_formulas(self) -> None:
        found = Residency(path="$\\frac{a$", size=0, page_size=4096, runs=PageRuns.join(()))
        found.plot().savefig(io.BytesIO(), format="png")

    def test_strips(self) -> None:
        figure = pages().plot()
        assert [each.get_text() for each in figure.axes[0].get_yticklabels()] == ["/lib", "[heap]"]
        figure.savefig(io.BytesIO(), format="png")


class TestStyles:
    """In a dark style, what is not in memory is as dark as the background, also in the legend."""

    @pytest.mark.parametrize("style", ["default", "dark_background"])
    def test_colours_are_those_of_the_style(self, style: str) -> None:
        pyplot = pytest.importorskip("matplotlib.pyplot")
        colors = pytest.importorskip("matplotlib.colors")
        residency = Residency(path="/a", size=40960, page_size=4096, runs=runs((0, 5, 1)))
        with pyplot.style.context(style):
            background, foreground = (
                colors.to_rgb(pyplot.rcParams[name]) for name in ("axes.facecolor", "text.color")
            )
            strips = page_plots.plot_residency([residency])
            over_time = recording(markers=((0.05, "marker"),)).plot()
        (image,) = strips.axes[0].images
        parts = np.asarray(image.get_array())[0]  # ten pages, half of which are in memory
        assert tuple(parts[-1]) == pytest.approx(background)
        assert tuple(parts[0]) != pytest.approx(background)
        for legend in (strips.legends[0], over_time.axes[0].get_legend()):
            assert legend is not None
            texts = [text.get_text() for text in legend.get_texts()]
            patch = legend.get_patches()[texts.index("not in memory")]
            assert colors.to_rgb(patch.get_facecolor()) == background
            assert colors.to_rgb(legend.get_texts()[0].get_color()) == foreground
        (marker,) = [line for line in over_time.axes[0].lines if line.get_linestyle() == "--"]
        assert colors.to_rgb(marker.get_color()) == foreground


def test_a_page_that_does_not_exist_has_no_flags() -> None:
    # A kernel with CONFIG_MEM_SOFT_DIRTY sets bit 55 for every page of a new mapping.
    present, swapped, guard, soft_dirty = 1 << 63, 1 << 62, 1 << 58, 1 << 55
    entries = [soft_dirty, 0, present | soft_dirty, swapped | soft_dirty, guard]
    assert pagemap.entry_flags(np.array(entries, np.uint64)).tolist() == [
        0,
        0,
        PageFlag.PRESENT | PageFlag.SOFT_DIRTY,
        PageFlag.SWAPPED | PageFlag.SOFT_DIRTY,
        PageFlag.GUARD,
    ]
