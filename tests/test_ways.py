"""The ways that do without records or without waiting, held against the plain one."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import strategies
from fuzz import smaps_ways
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import smapskit
from conftest import FIXTURES, corpus
from smapskit import cli, procfs
from smapskit.aggregate import GroupName
from smapskit.cli import show
from smapskit.smaps import at_once, sums
from smapskit.smaps.few import Few
from smapskit.smaps.kinds import SMAPS
from smapskit.smaps.lines import Reader, to_mapping
from smapskit.smaps.parse import parse_pieces, split_lines
from smapskit.smaps.parts import parts_of, whole_records

TEXTS = [*FIXTURES.glob("*/smaps.txt"), *corpus("smaps")]
RECORD = (FIXTURES / "zoo" / "smaps.txt").read_bytes().split(b"VmFlags", 1)[0]
RELAXED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def by_lines(text: bytes) -> tuple[smapskit.Mapping, ...]:
    return tuple(map(to_mapping, Reader(SMAPS, None).read(split_lines(text))))


def cut(text: bytes, size: int) -> Iterator[bytes]:
    return (text[at : at + size] for at in range(0, len(text), size))


@pytest.fixture
def always_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for room in (sums, sys.modules["smapskit.smaps.parse"]):
        monkeypatch.setattr(room, "is_worth_it", lambda _size: True)


class TestFuzzer:
    def test_every_way_agrees_with_the_reference(self, capsys: pytest.CaptureFixture[str]) -> None:
        status = smaps_ways.main(["--cases", "300", "--seed", "7"])
        assert (status, "300 cases" in (printed := capsys.readouterr().out)) == (0, True), printed


class TestParts:
    @RELAXED
    @given(strategies.smaps(), st.integers(1, 3000))
    def test_are_the_text_cut_between_records(self, text: bytes, size: int) -> None:
        parts = list(whole_records(cut(text, size)))
        assert b"".join(parts) == text
        assert [m for part in parts for m in by_lines(part)] == list(by_lines(text))

    @RELAXED
    @given(st.binary(max_size=300), st.integers(1, 50))
    def test_of_anything_lose_nothing(self, text: bytes, size: int) -> None:
        assert b"".join(whole_records(cut(text, size))) == text

    def test_of_a_long_text_are_many(self) -> None:
        text = (FIXTURES / "zoo" / "smaps.txt").read_bytes()
        text *= 3_000_000 // len(text)
        parts = list(parts_of(text))
        assert len(parts) > 1
        assert b"".join(parts) == text
        assert all(part.count(b"\nVmFlags:") == len(by_lines(part)) for part in parts)


class TestAtOnce:
    @pytest.mark.parametrize("size", [0, 99_999_999, 100_000_000, 2**40, 2**53 - 1])
    def test_a_figure_wider_than_its_column_costs_no_speed(self, size: int) -> None:
        text = (FIXTURES / "zoo" / "smaps.txt").read_bytes()
        records = next(parts_of(text)).split(b"VmFlags:")
        wide = records[5].split(b"Rss:", 1)
        line = f"Rss:            {size:8d} kB".encode()
        records[5] = wide[0] + line + wide[1][wide[1].index(b"\n") :]
        changed = b"VmFlags:".join(records)
        found = at_once.read_at_once([changed], SMAPS)
        assert found is not None
        assert tuple(found[0]) == by_lines(changed)
        assert found[0][5].rss == size

    @pytest.mark.parametrize(
        ("line", "other"),
        [
            (b"       4 kB", b"      04 kB"),
            (b"       4 kB", b"     4 4 kB"),
            (b"       4 kB", b"       x kB"),
            (b"       4 kB", b"       : kB"),
            (b"       4 kB", b"       / kB"),
            (b"       4 kB", b"      4  kB"),
            (b"       4 kB", b"      -4 kB"),
            (b"       4 kB", b"         kB"),
            (b"       4 kB", b"\xb7      4 kB"),
            (b"       4 kB", b"       4 MB"),
            (b"Rss: ", b"rss: "),
        ],
    )
    def test_what_no_kernel_writes_is_left_to_the_reader_of_lines(
        self, line: bytes, other: bytes
    ) -> None:
        text = (FIXTURES / "zoo" / "smaps.txt").read_bytes()
        place = text.index(line, len(text) // 2)
        changed = text[:place] + other + text[place + len(line) :]
        assert at_once.read_at_once([text], SMAPS) is not None
        assert at_once.read_at_once([changed], SMAPS) is None

    def test_every_number_of_eight_characters(self) -> None:
        numbers = [0, 1, 9, 10, 99, 12345678, 99999999, 90000000, 10000000, 1234567]
        words = np.frombuffer("".join(f"{n:8d}" for n in numbers).encode(), "<u8")
        found = at_once._numbers(words)
        assert found is not None
        assert found.tolist() == numbers

    def test_a_record_made_at_once_is_like_any_other(self) -> None:
        text = (FIXTURES / "zoo" / "smaps.txt").read_bytes()
        found = at_once.read_at_once([text], SMAPS)
        assert found is not None
        (mapping, *_) = found[0]
        assert type(mapping) is smapskit.Mapping
        with pytest.raises(AttributeError):
            mapping.rss = 1  # type: ignore[misc]
        assert hash(mapping) == hash(by_lines(text)[0])


class TestPieces:
    @RELAXED
    @given(strategies.smaps(uniform=True), st.integers(1, 3000))
    def test_give_the_records_of_the_whole(self, text: bytes, size: int) -> None:
        monkey = pytest.MonkeyPatch()
        with monkey.context() as patch:
            patch.setattr(sys.modules["smapskit.smaps.parse"], "is_worth_it", lambda _: True)
            found = parse_pieces(cut(text, size), SMAPS, "x")
        assert found.mappings == by_lines(text)

    @pytest.mark.usefixtures("always_worth_it")
    def test_an_error_has_the_line_of_the_whole(self) -> None:
        text = (FIXTURES / "zoo" / "smaps.txt").read_bytes()
        lines = text.split(b"\n")
        number = next(n for n in range(400, 500) if lines[n].startswith(b"Pss:"))
        lines[number] = b"Pss:               four kB"
        with pytest.raises(smapskit.ParseError, match=rf"x, line {number + 1}: expected 'Pss: N"):
            parse_pieces(cut(b"\n".join(lines), 5000), SMAPS, "x")


@pytest.mark.usefixtures("always_worth_it")
class TestSums:
    @pytest.mark.parametrize("by", [None, "backing", "sharing", "perms", "pathname"])
    @pytest.mark.parametrize("file", TEXTS, ids=lambda file: f"{file.parent.name}/{file.name}")
    def test_are_those_of_the_records(self, file: Path, by: GroupName | None) -> None:
        text = file.read_bytes()
        try:
            snapshot = parse_pieces([text], SMAPS, None)
        except smapskit.ParseError:
            with pytest.raises(smapskit.ParseError):  # with CRLF: no live process's
                sums.read_sums(cut(text, 5000), by)
            return
        groups = snapshot.group_by(by or (lambda _: ""))
        found = sums.read_sums(cut(text, 5000), by)
        assert {key: each.totals for key, each in found.items()} == groups
        assert sum(each.shared_rss for each in found.values()) == snapshot.shared_rss()

    @pytest.mark.parametrize(
        "header",
        [
            b"7f00b000-7f00a000 r--p 00000000 fe:00 1",
            b"7f00a000-7f00b000 r--p 00000000 fe:00 99999999999999999999",
            b"7f00a000-7f00b000 r--p 00000000 fe:00 0          [rollup]",
        ],
    )
    def test_what_the_records_refuse_is_not_added_up(self, header: bytes) -> None:
        text = (FIXTURES / "zoo" / "smaps.txt").read_bytes()
        changed = text + header + text[text.index(b"\n") :]
        line = text.count(b"\n") + 1
        assert at_once.read_at_once([changed], SMAPS) is None
        for read in (lambda t: sums.read_sums([t]), smapskit.parse_frame):
            with pytest.raises(smapskit.ParseError, match=f"line {line}: expected"):
                read(changed)

    def test_sums_larger_than_int64(self) -> None:
        largest = 2**53 - 1
        record = b"%012x-%012x rw-s 00000000 00:00 0 \n"
        record += b"Size:           %8d kB\nRss:            %8d kB\nVmFlags: rd \n"
        small = record % (1, 2, 4, 4)
        assert at_once.read_at_once([small], SMAPS) is not None
        # A piece a record: a figure wider than its column may stand in one record of each.
        pieces = [record % (at, at + 1, largest, largest) for at in range(2, 3000)]
        sizes = [len(list(whole_records([small, *pieces]))), len(pieces) + 1]
        assert sizes[0] == sizes[1]
        found = sums.read_sums([small, *pieces])[""]
        expected = 4 + largest * len(pieces)
        assert expected > 2**63
        assert (found.totals.size, found.totals.rss, found.shared_rss) == (expected,) * 3
        snapshot = smapskit.parse_smaps(b"".join([small, *pieces]))
        assert snapshot.totals() == found.totals

    def test_by_a_function(self) -> None:
        text = (FIXTURES / "zoo" / "smaps.txt").read_bytes()
        found = sums.read_sums([text], lambda mapping: mapping.is_anonymous)
        assert {key: each.totals for key, each in found.items()} == smapskit.parse_smaps(
            text
        ).group_by(lambda mapping: mapping.is_anonymous)


class TestFew:
    @pytest.mark.parametrize("file", TEXTS, ids=lambda file: f"{file.parent.name}/{file.name}")
    def test_are_the_figures_of_the_records(self, file: Path) -> None:
        text = file.read_bytes()
        rows = Few(["Size", "Rss"]).rows(text)
        if rows is not None:
            found = [(int(r[0], 16), int(r[7]), int(r[8])) for r in rows]
            assert found == [(m.start, m.size, m.rss) for m in by_lines(text)]
        else:
            assert file.parent.name == "smaps"  # what others captured may have any shape

    def test_no_record_is_passed_over(self) -> None:
        text = (FIXTURES / "zoo" / "smaps.txt").read_bytes()
        head, record, rest = text.partition(b"\nSwapPss:")
        assert Few(["Size", "Rss"]).rows(head + b"\nStrange:  1 kB" + record + rest) is None
        assert Few(["Size", "Strange"]).rows(text) is None


@pytest.mark.skipif(sys.platform != "linux", reason="reads live processes")
class TestLive:
    @pytest.mark.parametrize("words", [[], ["-x"], ["-q"], ["-p"], ["-xqp"], ["-x", "-p"]])
    def test_the_quick_table_is_the_other_one(
        self,
        words: list[str],
        start: Callable[..., subprocess.Popen[str]],
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        child = start("sh", "-c", "echo ready; read line")
        assert cli.main([*words, str(child.pid)]) == 0
        quick = capsys.readouterr().out
        assert show.run([*words, str(child.pid)]) == 0
        assert capsys.readouterr().out == quick
        assert quick.count("\n") > 10

    def test_the_quick_table_of_what_is_missing(self, capsys: pytest.CaptureFixture[str]) -> None:
        pids = [str(2**22 + 1), str(os.getpid())]
        assert cli.main(pids) == 42
        said = capsys.readouterr()
        assert said.err == f"smapskit: no process {pids[0]}\n"
        assert said.out.startswith(f"{os.getpid()}:   ")

    def test_a_large_process_in_pieces_is_whole(
        self, start: Callable[..., subprocess.Popen[str]]
    ) -> None:
        program = (
            "import mmap\n"
            "kept = [mmap.mmap(-1, 4096, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot)"
            " for _ in range(2500) for prot in (1, 3)]\n"
            "print('ready', flush=True); input()"
        )
        child = start(sys.executable, "-c", program)
        pieces = list(procfs.ProcessText(child.pid, "smaps"))
        assert len(pieces) > 2
        snapshot = smapskit.read(child.pid)
        assert snapshot.check() == []
        assert [m.start for m in snapshot] == [m.start for m in smapskit.read_maps(child.pid)]
        assert len(smapskit.read_frame(child.pid)) == len(snapshot) > 5000

    def test_pieces_nobody_waits_for_leave_no_thread(self) -> None:
        before = threading.enumerate()
        with Path("/dev/zero").open("rb", buffering=0) as file:
            pieces = procfs._read_ahead(file.fileno(), b"first")
            assert [next(pieces), len(next(pieces))] == [b"first", 1 << 20]
            pieces.close()  # type: ignore[attr-defined]
        assert threading.enumerate() == before
