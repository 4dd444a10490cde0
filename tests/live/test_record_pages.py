"""Recordings of pages of live processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.marks import needs_linux, needs_root
from support.subjects import Start, unmeasured

import smapskit
from smapskit import PageSample, PageState
from smapskit.sources.pages import cache, pagemap, sampling

pytestmark = [needs_linux, pytest.mark.slow]

PAGE = os.sysconf("SC_PAGE_SIZE")
READER = """
import mmap, os, sys
file = open(sys.argv[1], "r+b")
area = mmap.mmap(file.fileno(), 0)
area.madvise(mmap.MADV_RANDOM)
print("ready", flush=True)
for line in sys.stdin:
    words = line.split()
    if words[0] == "touch":
        for page in range(int(words[1]), int(words[2])):
            area[page * mmap.PAGESIZE]
    elif words[0] == "unmap":
        area.close()
    elif words[0] == "drop":
        area.madvise(mmap.MADV_DONTNEED)
    elif words[0] == "exec":
        os.execvp("sleep", ["sleep", "1000"])
    elif words[0] == "end":
        sys.exit()
    print("done", flush=True)
"""


class Reader:
    """A process that touches pages of a mapped file on request."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.pid = process.pid

    def do(self, *words: object) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        if words[0] not in ("exec", "end"):
            assert self.process.stdout.readline() == "done\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file without pages in the page cache: the kernel maps cached pages beside a touched one."""
    path = tmp_path / "mapped"
    with path.open("wb") as opened:
        opened.write(b"x" * 64 * PAGE)
        opened.flush()
        os.fsync(opened.fileno())
        os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    if smapskit.read_residency(path).cached:
        pytest.skip("the folder for temporary files is in memory itself")
    return path


@pytest.fixture
def reader(start: Start, file: Path) -> Reader:
    return Reader(start(sys.executable, "-c", READER, str(file)))


def record(
    reader: Reader, *steps: tuple[object, ...], mapping: str = "mapped", **options: Any
) -> smapskit.PageRecording:
    """Record a process, with one step after each sample; then it ends."""
    remaining = [*steps, ("end",)]

    def step(_sample: PageSample) -> None:
        if remaining:
            words = remaining.pop(0)
            reader.do(*words)
            if words[0] == "end":
                reader.process.wait(10)
            elif words[0] == "exec":
                deadline = time.monotonic() + 10
                command = Path(f"/proc/{reader.pid}/cmdline")
                while not command.read_bytes().startswith(b"sleep\0"):
                    assert time.monotonic() < deadline
                    time.sleep(0.01)

    return smapskit.record_pages(reader.pid, mapping, 0.05, on_sample=step, **options)


def test_pages_are_recorded_as_they_come_and_go(reader: Reader, tmp_path: Path) -> None:
    path = tmp_path / "run.npz"
    steps = (("touch", 0, 8), ("touch", 16, 20), ("drop",), ("touch", 63, 64))
    recording = record(reader, *steps, path=path)
    assert len(recording) == 5
    assert recording.counts["mapped"].tolist() == [0, 8, 12, 0, 1]
    if "cached" not in recording.unknown:
        assert recording.counts["cached"].tolist() == [0, 8, 12, 12, 13]  # dropped: still cached
    (only,) = recording.ranges
    assert (only.end - only.start, only.offset, only.perms) == (64 * PAGE, 0, "rw-s")
    states = recording.array(only.start, only.end) & PageState.MAPPED
    assert [np.flatnonzero(row).tolist() for row in states] == [
        [],
        [*range(8)],
        [*range(8), *range(16, 20)],
        [],
        [63],
    ]
    assert repr(recording).startswith(f"<PageRecording of {reader.pid}: 5 samples in 0.2")
    loaded = smapskit.load_pages(path)
    assert all(a == b for a, b in zip(loaded.changes, recording.changes, strict=True))
    assert (loaded.ranges, loaded.command) == (recording.ranges, recording.command)
    assert loaded.to_frame()["mapped"].tolist() == [0, 8, 12, 0, 1]


def test_a_mapping_that_is_unmapped(reader: Reader) -> None:
    recording = record(reader, ("touch", 0, 8), ("unmap",), ("wait",))
    assert recording.counts["in_memory"][2:].tolist() == [0] * (len(recording) - 2)
    assert [text for _, text in recording.markers] == ["mapped was unmapped"]


@pytest.mark.usefixtures("file")
def test_a_process_that_calls_exec(reader: Reader) -> None:
    samples = []

    def step(sample: PageSample) -> None:
        samples.append(sample)
        if len(samples) == 1:
            reader.do("exec")
        elif len(samples) == 3:
            reader.process.kill()
            reader.process.wait()

    recording = smapskit.record_pages(reader.pid, None, 0.2, on_sample=step)
    assert [text for _, text in recording.markers] == ["exec: sleep 1000"]
    assert recording.counts["mapped"][0] > recording.counts["mapped"][-1] > 0


def test_the_whole_process_with_a_terabyte_of_address_space(start: Start) -> None:
    code = (
        "import ctypes, sys; libc = ctypes.CDLL(None)\n"
        "libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 4]\n"
        "libc.mmap(None, 1 << 40, 0, 0x4022, -1, 0); print('ready', flush=True); sys.stdin.read()"
    )
    pid = start(sys.executable, "-c", code).pid
    recording = smapskit.record_pages(pid, interval=0.05, duration=0.1)
    assert len(recording) >= 2
    rss = smapskit.read(pid).totals().rss
    assert rss is not None
    assert recording.counts["mapped"][-1] * PAGE // 1024 == rss


@needs_root
def test_lists_of_the_kernel(reader: Reader) -> None:
    recording = record(reader, ("touch", 0, 8))
    if "active" in recording.unknown:
        pytest.skip(recording.unknown["active"])
    last = list(recording.states())[-1]
    assert last.select(PageState.MAPPED | PageState.CACHED).count() == 8


def test_without_frames_the_lists_are_unknown(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = pagemap.PageMap.entries

    def without_frames(self: pagemap.PageMap, first: int, count: int) -> pagemap.Entries:
        return entries(self, first, count) & ~pagemap.PFN_MASK

    monkeypatch.setattr(pagemap.PageMap, "entries", without_frames)
    recording = record(reader, ("touch", 0, 8))
    assert recording.unknown["active"].startswith("page frame numbers are hidden")
    assert recording.to_frame()["active"].isna().all()
    assert recording.counts["mapped"].tolist() == [0, 8]


def test_a_deleted_file_is_found_without_map_files(
    reader: Reader, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_for_cache = cache.open_for_cache

    def refuse_map_files(path: str) -> Any:  # as the kernel does to ordinary users
        if "map_files" in path:
            raise smapskit.AccessDenied(1, f"not permitted to open {path}")
        return open_for_cache(path)

    monkeypatch.setattr(cache, "open_for_cache", refuse_map_files)
    file.unlink()
    recording = record(reader, ("touch", 0, 8), ("drop",), mapping=f"{file} (deleted)")
    assert "cached" not in recording.unknown
    assert recording.counts["mapped"].tolist() == [0, 8, 0]
    assert recording.counts["cached"].tolist() == [0, 8, 8]


def test_pages_evicted_while_a_sample_is_read_do_not_hide_others(
    reader: Reader, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader.do("touch", 16, 24)
    reader.do("drop")  # cached, not mapped
    reader.do("touch", 0, 8)
    read_pages = smapskit.read_pages

    def read_and_evict(*arguments: Any, **options: Any) -> Any:
        """Leave as many cached pages as were mapped, but others."""
        pages = read_pages(*arguments, **options)
        reader.do("drop")
        with file.open("rb") as opened:
            os.posix_fadvise(opened.fileno(), 0, 8 * PAGE, os.POSIX_FADV_DONTNEED)
        return pages

    with closing(smapskit.PageSampler(reader.pid, "mapped")) as sampler:
        sampler.read()
        monkeypatch.setattr(sampling, "read_pages", read_and_evict)
        states = sampler.read().states
    cached = states.select(PageState.CACHED)
    assert cached.count() == 16
    assert cached.runs_within(cached.first[:1], cached.end[-1:]).tolist() == [2]


def test_a_file_that_cannot_be_opened(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str) -> Any:
        raise smapskit.AccessDenied(1, f"not permitted to open {path}")

    monkeypatch.setattr(cache, "open_for_cache", refuse)
    recording = record(reader, ("touch", 0, 8))
    assert "not permitted to open" in recording.unknown["cached"]
    # Mapped pages of a file are in the page cache in any case.
    assert recording.counts["cached"].tolist() == [0, 8]


class TestFiles:
    def test_an_existing_file_is_not_replaced(self, reader: Reader, tmp_path: Path) -> None:
        path = tmp_path / "run.npz"
        path.write_text("mine")
        with pytest.raises(FileExistsError):
            smapskit.record_pages(reader.pid, duration=0.1, path=path)
        assert path.read_text() == "mine"
        smapskit.record_pages(reader.pid, interval=0.05, duration=0.1, path=path, overwrite=True)
        assert len(smapskit.load_pages(path)) >= 2

    def test_another_suffix(self, reader: Reader, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match=r"expected a file name that ends in \.npz"):
            smapskit.record_pages(reader.pid, path=tmp_path / "run.csv")

    def test_no_file_without_a_sample(self, tmp_path: Path) -> None:
        path = tmp_path / "run.npz"
        with pytest.raises(smapskit.ProcessNotFound):
            smapskit.record_pages(2**22 + 1, path=path)
        with pytest.raises(ValueError, match="has no mapping nonsense"):
            smapskit.record_pages(os.getpid(), "nonsense", path=path)
        assert not list(tmp_path.iterdir())

    def test_an_error_later_is_raised_after_the_file_is_complete(
        self, reader: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "run.npz"

        def fail(_sample: PageSample) -> None:
            def refuse(*_: object, **__: object) -> None:
                raise OSError(24, "Too many open files")

            monkeypatch.setattr(sampling, "read_pages", refuse)

        with pytest.raises(OSError, match="Too many open files"):
            smapskit.record_pages(reader.pid, interval=0.05, path=path, on_sample=fail)
        assert len(smapskit.load_pages(path)) == 1


def wait_for_the_first_sample(pid: int) -> None:
    """Wait until a recorder has opened the mapped file, and some samples more."""
    deadline = time.monotonic() + 30
    folder = Path(f"/proc/{pid}/fd")
    while not any(os.path.realpath(link).endswith("/mapped") for link in folder.iterdir()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(0.5)


class TestCommand:
    def run(self, *words: str, **options: Any) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "smapskit", "record", "--pages", *words]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(command, text=True, env=unmeasured(), **pipes, **options)  # type: ignore[call-overload,no-any-return]

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_a_signal_ends_it_with_a_complete_file(
        self, reader: Reader, tmp_path: Path, number: signal.Signals
    ) -> None:
        path = tmp_path / "run.npz"
        with self.run("-i", "0.05", "-o", str(path), str(reader.pid), "--mapping", "mapped") as run:
            wait_for_the_first_sample(run.pid)
            run.send_signal(number)
            output, errors = run.communicate(timeout=20)
        assert (run.returncode, output) == (0, ""), errors
        assert errors.endswith(f"samples; in {path}\n")
        assert len(smapskit.load_pages(path)) > 1

    def test_a_mapping_that_a_command_makes_later(self, file: Path, tmp_path: Path) -> None:
        path = tmp_path / "run.npz"
        code = (
            "import mmap, sys, time; time.sleep(0.5); file = open(sys.argv[1], 'r+b')\n"
            "area = mmap.mmap(file.fileno(), 0); area[0]; time.sleep(0.5)"
        )
        words = ["-i", "0.05", "-o", str(path), "--mapping", "mapped", "--"]
        with self.run(*words, sys.executable, "-c", code, str(file)) as run:
            _, errors = run.communicate(timeout=20)
        assert run.returncode == 0, errors
        recording = smapskit.load_pages(path)
        assert recording.counts["mapped"][0] == 0
        assert recording.counts["mapped"][-1] >= 1
        assert recording.ranges[0].seconds > 0
        assert recording.markers == ()

    def test_a_command_from_its_start(self, tmp_path: Path) -> None:
        path = tmp_path / "run.npz"
        with self.run("-i", "0.05", "-o", str(path), "--", "sleep", "0.5") as run:
            _, errors = run.communicate(timeout=20)
        assert run.returncode == 0, errors
        assert smapskit.load_pages(path).command == "sleep 0.5"

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (["-o", "x.csv"], "--pages requires a FILE that ends in .npz"),
            (["-o", "x.npz", "--by", "backing"], "--pages requires a FILE that ends in .npz"),
        ],
    )
    def test_wrong_options(self, words: list[str], message: str) -> None:
        with self.run(*words, str(os.getpid())) as run:
            _, errors = run.communicate(timeout=20)
        assert run.returncode == 1
        assert message in errors
        assert errors.count("\n") == 1
