"""Files in the page cache, against files that are known, fincore and vmtouch."""

from __future__ import annotations

import errno
import json
import mmap
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.marks import needs_linux, needs_root
from support.subjects import unmeasured

import smapskit
from smapskit.sources.pages import cache

pytestmark = needs_linux

PAGE = os.sysconf("SC_PAGE_SIZE")
PAGES = 256


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Path]:
    """A file on a disk of which pages 8 to 15 and 200 are mapped, and no other is cached."""
    path = tmp_path / "file"
    path.write_bytes(b"x" * (PAGES * PAGE - 10))
    with path.open("rb") as opened:
        os.fsync(opened.fileno())
        os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_RANDOM)
        # Mapped pages stay in the page cache, even where an agent evicts cached pages.
        with mmap.mmap(opened.fileno(), 0, prot=mmap.PROT_READ) as mapped:
            mapped.madvise(mmap.MADV_RANDOM)
            for page in (*range(8, 16), 200):
                mapped[page * PAGE]
            yield path


def expect_few(residency: smapskit.Residency) -> None:
    """Skip where the file system caches more than what is read (tmpfs)."""
    if residency.cached == residency.pages:
        pytest.skip("the folder for temporary files is in memory itself")


class TestKnownFile:
    def test_the_pages_that_were_read_are_cached(self, file: Path) -> None:
        found = smapskit.read_residency(file)
        expect_few(found)
        flags = found.flags()
        assert (found.size, found.pages, len(flags)) == (PAGES * PAGE - 10, PAGES, PAGES)
        assert flags[8:16].all()
        assert flags[200]
        assert not flags[100:190].any()
        assert found.cached == flags.sum() == found.to_frame()["pages"].sum()
        assert repr(found).endswith(f"{found.cached} of {PAGES} pages cached>")

    def test_reading_brings_nothing_into_the_cache(self, file: Path) -> None:
        before = file.stat()
        first = smapskit.read_residency(file)
        assert smapskit.read_residency(file).runs == first.runs
        assert file.stat().st_atime_ns == before.st_atime_ns

    def test_counts_of_dirty_pages(self, tmp_path: Path) -> None:
        path = tmp_path / "dirty"
        path.write_bytes(b"x" * 16 * PAGE)
        found = smapskit.read_residency(path)
        if found.dirty is None:
            assert found.unknown["dirty"]
            pytest.skip(found.unknown["dirty"])
        assert found.cached == 16
        assert 0 <= found.dirty + (found.writeback or 0) <= 16

    @pytest.mark.parametrize("reason", ["ENOSYS", "EPERM", "EOPNOTSUPP"])
    def test_without_cachestat(
        self, file: Path, monkeypatch: pytest.MonkeyPatch, reason: str
    ) -> None:
        expected = smapskit.read_residency(file)
        libc = cache._libc()

        class Libc:
            mincore = libc.mincore

            @staticmethod
            def syscall(*_: object) -> int:
                import ctypes  # noqa: PLC0415

                ctypes.set_errno(getattr(errno, reason))
                return -1

        monkeypatch.setattr(cache, "_libc", lambda: Libc)
        found = smapskit.read_residency(file)
        assert found.runs == expected.runs
        assert (found.dirty, found.evicted) == (None, None)
        assert "cachestat(2)" in found.unknown["dirty"]

    def test_in_parts(self, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        expected = smapskit.read_residency(file)
        monkeypatch.setattr(cache, "_CHUNK", 16)
        assert smapskit.read_residency(file).runs == expected.runs
        monkeypatch.setattr(cache, "cachestat", lambda *_: (None, "not here"))
        assert smapskit.read_residency(file).runs == expected.runs

    def test_a_sparse_terabyte(self, tmp_path: Path) -> None:
        path = tmp_path / "sparse"
        with path.open("wb") as opened:
            try:
                opened.truncate(1 << 40)
            except OSError as error:
                pytest.skip(f"no sparse files of a terabyte here: {error.strerror}")
            opened.seek(1 << 39)
            opened.write(b"x" * PAGE * 3)
        found = smapskit.read_residency(path)
        if found.dirty is None:
            pytest.skip(found.unknown["dirty"])
        begin = time.process_time()
        assert list(smapskit.read_residency(path).runs) == [
            ((1 << 39) // PAGE, (1 << 39) // PAGE + 3, 1)
        ]
        assert time.process_time() - begin < 0.5

    def test_an_empty_file(self, tmp_path: Path) -> None:
        path = tmp_path / "empty"
        path.touch()
        found = smapskit.read_residency(path)
        assert (found.pages, found.cached, len(found.flags())) == (0, 0, 0)


class TestErrors:
    def test_another_system(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delattr(os, "O_NOATIME")
        with pytest.raises(smapskit.Unsupported, match="requires Linux"):
            smapskit.read_residency("/bin/sh")

    def test_what_has_no_pages(self, tmp_path: Path) -> None:
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)
        for path in (tmp_path, pipe, "/dev/null"):
            with pytest.raises(
                smapskit.Unsupported, match="is not a regular file: it has no pages"
            ):
                smapskit.read_residency(path)
        with pytest.raises(FileNotFoundError):
            smapskit.read_residency(tmp_path / "missing")

    def test_a_file_that_becomes_shorter(self, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        expect_few(smapskit.read_residency(file))
        read = cache.cachestat

        def shorten(descriptor: int, offset: int = 0, length: int = 0) -> Any:
            found = read(descriptor, offset, length)
            os.truncate(file, 9 * PAGE)
            return found

        monkeypatch.setattr(cache, "cachestat", shorten)
        assert smapskit.read_residency(file).cached <= 2

    @needs_root
    @pytest.mark.parametrize(
        ("mode", "owner", "readable"),
        [(0o644, 0, False), (0o444, 65534, True), (0o666, 0, True), (0o600, 0, None)],
    )
    def test_who_neither_owns_nor_may_write_is_refused(
        self, mode: int, owner: int, readable: bool | None
    ) -> None:
        folder = Path(tempfile.mkdtemp())  # pytest's folders are private
        folder.chmod(0o755)
        path = folder / "file"
        path.write_bytes(b"x" * 4 * PAGE)
        try:
            path.chmod(mode)
            os.chown(path, owner, -1)
            code = (
                "import json, os, sys, smapskit; smapskit.read_residency(sys.executable)\n"
                "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
                "try: print(json.dumps(smapskit.read_residency(sys.argv[1]).pages))\n"
                "except smapskit.AccessDenied as error: print(json.dumps(error.strerror))"
            )
            words = [sys.executable, "-c", code, str(path)]
            ran = subprocess.run(
                words, capture_output=True, text=True, check=True, env=unmeasured()
            )
        finally:
            shutil.rmtree(folder)
        found = json.loads(ran.stdout)
        if readable is None:
            assert found.startswith("not permitted to open")
        elif readable:
            assert found == 4
        else:
            assert "reports every page of" in found
            assert "to users who neither own nor may write it" in found


def by_fincore(path: Path) -> int:
    words = ["fincore", "--bytes", "--raw", "--noheadings", "--output", "PAGES", str(path)]
    ran = subprocess.run(words, capture_output=True, text=True, check=True)
    return int(ran.stdout.split()[0])


def by_vmtouch(path: Path) -> int:
    ran = subprocess.run(["vmtouch", str(path)], capture_output=True, text=True, check=True)
    found = re.search(r"Resident Pages: (\d+)/(\d+)", ran.stdout)
    assert found is not None
    return int(found[1])


@pytest.mark.parametrize("count", [by_fincore, by_vmtouch])
def test_other_programs_report_the_same(
    file: Path, tmp_path: Path, count: Callable[[Path], int]
) -> None:
    program = count.__name__.removeprefix("by_")
    if shutil.which(program) is None:
        pytest.skip(f"requires {program}")
    whole = tmp_path / "whole"
    whole.write_bytes(b"x" * 100 * PAGE + b"y")
    shared = [Path("/bin/sh").resolve(), Path(sys.executable).resolve()]
    for path in (file, whole, *(path for path in shared if os.access(path, os.W_OK))):
        for _ in range(20):  # other processes may read or evict pages of shared files
            before = smapskit.read_residency(path).cached
            theirs = count(path)
            if before == smapskit.read_residency(path).cached:
                break
        else:
            continue
        assert before == theirs, path
