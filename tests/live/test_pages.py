"""Pages of live processes, against pages that are known and against smaps."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
from support.marks import needs_linux, needs_root
from support.paths import FIXTURES
from support.subjects import Start, stopped, unmeasured

import smapskit
from smapskit import PageCounts, PageFlag, Pages, ProcessNotFound
from smapskit.sources import process, procfs
from smapskit.sources.pages import frames, pagemap, read
from smapskit.sources.pages.frames import FrameValue
from smapskit.sources.pages.read import Method

pytestmark = needs_linux

PAGE = os.sysconf("SC_PAGE_SIZE")
METHODS: tuple[Method, ...] = ("scan", "pagemap")


def can_scan() -> bool:
    try:
        smapskit.read_pages(method="scan")
    except smapskit.Unsupported:
        return False
    return True


@attrs.frozen
class Known:
    """A process of tests/fixtures/known_pages.py."""

    pid: int
    areas: dict[str, int]

    def range(self, name: str) -> tuple[int, int]:
        return self.areas[name], self.areas[name] + 64 * PAGE

    def counts(self, name: str, method: Method, **options: Any) -> PageCounts:
        return smapskit.read_pages(self.pid, self.range(name), method=method, **options).counts()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 64 * PAGE)
    return path


@pytest.fixture
def known(start: Start, file: Path) -> Known:
    started = start(sys.executable, str(FIXTURES / "known_pages.py"), str(file))
    assert started.stdout is not None
    return Known(started.pid, json.loads(started.stdout.readline()))


@pytest.fixture(params=METHODS)
def method(request: pytest.FixtureRequest) -> Method:
    if request.param == "scan" and not can_scan():
        pytest.skip("this kernel has no PAGEMAP_SCAN")
    chosen: Method = request.param
    return chosen


@pytest.fixture
def hidden_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    """Page frame numbers are 0, as the kernel shows them without CAP_SYS_ADMIN."""
    entries = pagemap.PageMap.entries

    def without_frames(self: pagemap.PageMap, first: int, count: int) -> pagemap.Entries:
        return entries(self, first, count) & ~pagemap.PFN_MASK

    monkeypatch.setattr(pagemap.PageMap, "entries", without_frames)


class TestKnownPages:
    def test_anonymous_pages(self, known: Known, method: Method) -> None:
        counts = known.counts("anonymous", method)
        assert (counts.size, counts.present, counts.runs) == (64, 16, 3)
        assert (counts.file, counts.swapped) == (0, 0)
        if counts.zero is not None:  # unknown for an ordinary user of an old kernel
            assert (counts.zero, counts.resident, counts.anonymous) == (5, 11, 11)
        assert counts.exclusive == 11
        pages = smapskit.read_pages(known.pid, known.range("anonymous"), method=method)
        start = known.areas["anonymous"]
        expected = [start + page * PAGE for page in (*range(10), *range(20, 25), 40)]
        assert pages.addresses().tolist() == expected

    def test_pages_of_a_shared_mapping_of_a_file(self, known: Known, method: Method) -> None:
        counts = known.counts("shared", method)
        assert (counts.present, counts.resident, counts.file) == (8, 8, 8)
        assert (counts.anonymous, counts.zero) == (0, 0)
        flags = smapskit.read_pages(known.pid, known.range("shared"), method=method).flags(
            *known.range("shared")
        )
        assert np.flatnonzero(flags & PageFlag.PRESENT).tolist() == [*range(56, 64)]

    def test_pages_copied_on_write(self, known: Known, method: Method) -> None:
        counts = known.counts("copied", method)
        assert (counts.anonymous, counts.exclusive) == (3, 3)

    def test_a_reserved_terabyte_has_no_pages(self, known: Known) -> None:
        if not can_scan():
            pytest.skip("this kernel has no PAGEMAP_SCAN")
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        start = known.areas["reserved"]
        begin = time.process_time()
        pages = smapskit.read_pages(known.pid, (start, start + (1 << 40)))
        assert (pages.counts().size, pages.counts().present, len(pages)) == (
            (1 << 40) // PAGE,
            0,
            0,
        )
        assert time.process_time() - begin < 0.5
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20 * 1024
        assert smapskit.read_pages(known.pid).counts().size > (1 << 40) // PAGE

    def test_guard_pages_are_not_swapped(self, known: Known, method: Method) -> None:
        if "guard" not in known.areas:
            pytest.skip("this kernel has no guard pages")
        counts = known.counts("guard", method)
        if counts.guard is None:
            pytest.skip("this kernel does not report guard pages")
        assert (counts.guard, counts.swapped, counts.present) == (2, 0, 0)

    def test_pages_that_a_child_shares_are_not_exclusive(
        self, known: Known, method: Method
    ) -> None:
        counts = known.counts("forked", method)
        assert (counts.present, counts.exclusive) == (6, 2)

    def test_exclusive_is_not_read_unless_requested(self, known: Known) -> None:
        if not can_scan():
            pytest.skip("this kernel has no PAGEMAP_SCAN")
        pages = smapskit.read_pages(known.pid, known.range("forked"), exclusive=False)
        assert pages.counts().exclusive is None
        assert pages.unknown["exclusive"] == "not requested"

    def test_a_huge_page(self, start: Start, method: Method) -> None:
        code = (
            "import mmap, sys; m = mmap.mmap(-1, 6 << 20, flags=0x22)\n"
            "m.madvise(mmap.MADV_HUGEPAGE); m.write(b'x' * (6 << 20))\n"
            "print('ready', flush=True); sys.stdin.read()"
        )
        pid = start(sys.executable, "-c", code).pid
        with stopped(pid):
            huge = sum(m.anon_huge_pages or 0 for m in smapskit.read(pid))
            counts = smapskit.read_pages(pid, method=method).counts()
        if not huge:
            pytest.skip("this machine gives no huge pages")
        expected = huge * 1024 // PAGE if method == "scan" else None
        assert counts.huge == expected

    def test_the_huge_zero_page_is_not_resident(self, start: Start, method: Method) -> None:
        code = (
            "import mmap, sys; m = mmap.mmap(-1, 6 << 20, flags=0x22)\n"
            "m.madvise(mmap.MADV_HUGEPAGE); [m[at] for at in range(0, 6 << 20, 4096)]\n"
            "print('ready', flush=True); sys.stdin.read()"
        )
        pid = start(sys.executable, "-c", code).pid
        with stopped(pid):
            pages = smapskit.read_pages(pid, method=method)
            assert pages.check(smapskit.read(pid)) == []
            counts = pages.counts()
            huge = sum(m.anon_huge_pages or 0 for m in smapskit.read(pid))
        assert counts.zero is None or counts.zero >= (6 << 20) // PAGE
        assert counts.huge in (None, huge * 1024 // PAGE)


class TestAgainstSmaps:
    def test_resident_pages_are_rss(self, known: Known, method: Method) -> None:
        with stopped(known.pid):
            pages = smapskit.read_pages(known.pid, method=method)
            snapshot = smapskit.read(known.pid)
            assert pages.check(snapshot) == []
        resident = pages.counts().resident
        if resident is not None:
            assert resident * PAGE // 1024 == snapshot.totals().rss

    def test_all_kinds_of_mappings(self, all_kinds: int, method: Method) -> None:
        with stopped(all_kinds):
            pages = smapskit.read_pages(all_kinds, method=method)
            assert pages.check(smapskit.read(all_kinds)) == []

    def test_a_difference_is_reported(self, known: Known) -> None:
        with stopped(known.pid):
            pages = smapskit.read_pages(known.pid)
            snapshot = smapskit.read(known.pid)
        at = next(i for i, m in enumerate(snapshot) if m.start == known.areas["shared"])
        wrong = attrs.evolve(snapshot[at], rss=(snapshot[at].rss or 0) + 4)
        others = [*snapshot[:at], wrong, *snapshot[at + 2 :]]
        found = pages.check(attrs.evolve(snapshot, mappings=tuple(others)))
        assert len(found) == 2
        assert str(found[0]).endswith(f"has 32 kB of resident pages, but Rss is {wrong.rss} kB")
        assert str(found[1]).endswith("is not a mapping in smaps")
        assert {each.kind for each in found} == {smapskit.InconsistencyKind.PAGES}

    def test_both_methods_agree(self, all_kinds: int) -> None:
        if not can_scan():
            pytest.skip("this kernel has no PAGEMAP_SCAN")
        with stopped(all_kinds):
            one, other = (
                smapskit.read_pages(all_kinds, method=method, frames=True) for method in METHODS
            )
        unknown = PageFlag.HUGE | (PageFlag.ZERO if "zero" in other.unknown else PageFlag(0))
        mask = np.uint8(0xFF & ~unknown)
        assert np.array_equal(one.runs.pages(), other.runs.pages())
        assert np.array_equal(one.runs.page_flags() & mask, other.runs.page_flags() & mask)
        for mine, its in zip(one.by_mapping(), other.by_mapping(), strict=True):
            known = {n for n, v in attrs.asdict(its.counts).items() if v is not None}
            known -= {"active", "referenced"}  # the kernel and other processes change these
            assert {n: getattr(mine.counts, n) for n in known} == {
                n: getattr(its.counts, n) for n in known
            }

    def test_reading_changes_nothing(self, known: Known, file: Path) -> None:
        # Values that other processes change, such as Pss, are not compared.
        names = ("rss", "anonymous", "swap", "locked", "lazy_free", "vm_flags")

        def referenced(mapping: smapskit.Mapping) -> int | None:
            # clear_refs of any process clears it for pages of libraries that both map.
            is_own = mapping.is_anonymous or mapping.pathname == str(file)
            return mapping.referenced if is_own else None

        def state() -> object:
            status = Path(f"/proc/{known.pid}/status").read_text().splitlines()
            vm = [line for line in status if line.startswith(("Vm", "Rss"))]
            cached = smapskit.read_residency(file).cached
            snapshot = smapskit.read(known.pid)
            smaps = [[referenced(m), *(getattr(m, name) for name in names)] for m in snapshot]
            return smaps, vm, cached

        with stopped(known.pid):
            before = state()
            for method in METHODS if can_scan() else ("pagemap",):
                smapskit.read_pages(known.pid, method=method, frames=True)
            assert state() == before


class TestSelection:
    def test_by_pathname_and_by_its_last_component(self, known: Known, file: Path) -> None:
        for name in (str(file), "file"):
            pages = smapskit.read_pages(known.pid, name)
            starts = {row.start for row in pages.by_mapping()}
            assert starts == {known.areas["shared"], known.areas["copied"]}
            assert pages.counts().size == 128

    def test_a_part_of_a_mapping(self, known: Known) -> None:
        start = known.areas["anonymous"]
        pages = smapskit.read_pages(known.pid, (start + 8 * PAGE, start + 22 * PAGE))
        assert pages.counts().size == 14
        assert [(a - start) // PAGE for a in pages.addresses().tolist()] == [8, 9, 20, 21]
        assert pages.check(smapskit.read(known.pid)) == []  # a part cannot be compared

    @pytest.mark.parametrize(
        ("chosen", "message"),
        [
            ("nonsense", "has no mapping nonsense"),
            ((0, PAGE), "has no mapping at 0-"),
            ((PAGE, PAGE), "expected the addresses of whole pages"),
            ((1, PAGE), "expected the addresses of whole pages"),
            ((-PAGE, PAGE), "expected the addresses of whole pages"),
            ((0, 2**64 + PAGE), "expected the addresses of whole pages"),
        ],
    )
    def test_what_cannot_be_selected(self, chosen: Any, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            smapskit.read_pages(mapping=chosen)

    def test_wrong_options(self) -> None:
        with pytest.raises(ValueError, match="expected the method 'scan' or 'pagemap', got 'x'"):
            smapskit.read_pages(method="x")  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="expected a bool or some of flags"):
            smapskit.read_pages(frames=["nonsense"])  # type: ignore[list-item]

    def test_addresses_beyond_user_space_have_no_counts(self, method: Method) -> None:
        pages = smapskit.read_pages(method=method)
        beyond = [row for row in pages.by_mapping() if row.mapping.pathname == "[vsyscall]"]
        if not beyond:
            pytest.skip("this machine has no vsyscall page")
        assert beyond[0].counts == PageCounts(size=1)
        assert pages.counts().present is not None
        last = (0xFFFFFFFFFF600000, 0xFFFFFFFFFF601000)
        assert smapskit.read_pages(mapping=last, method=method).counts().size == 1
        assert smapskit.read_pages(mapping=(0, 2**64), method=method).counts().size > 100


@needs_root
class TestFrames:
    @pytest.fixture(autouse=True)
    def _requires_frames(self) -> None:
        pages = smapskit.read_pages(frames=("flags",))
        if "flags" in pages.unknown:
            pytest.skip(pages.unknown["flags"])

    def test_values_are_in_the_order_of_the_addresses(self, known: Known, method: Method) -> None:
        pages = smapskit.read_pages(known.pid, known.range("forked"), frames=True, method=method)
        found = pages.frames
        assert found is not None
        assert found.flags is not None
        assert found.map_counts is not None
        assert len(found.pfns) == len(pages.addresses()) == 6
        assert (found.pfns > 0).all()
        assert (found.flags & np.uint64(smapskit.FrameFlag.ANON)).all()
        assert found.map_counts.tolist() == [1, 1, 2, 2, 2, 2]

    def test_pages_of_a_file_have_the_flags_of_the_page_cache(self, known: Known) -> None:
        found = smapskit.read_pages(known.pid, known.range("shared"), frames=("flags",)).frames
        assert found is not None
        assert found.flags is not None
        assert not (found.flags & np.uint64(smapskit.FrameFlag.ANON)).any()
        assert (found.flags & np.uint64(smapskit.FrameFlag.UPTODATE)).all()
        assert (found.map_counts, found.cgroups) == (None, None)

    def test_mlocked_pages_are_unevictable(self, start: Start, method: Method) -> None:
        code = (
            "import ctypes, mmap, sys; m = mmap.mmap(-1, 64 * mmap.PAGESIZE, flags=0x22)\n"
            "at = ctypes.addressof(ctypes.c_char.from_buffer(m))\n"
            "ctypes.CDLL(None).mlock(ctypes.c_void_p(at), ctypes.c_size_t(16 * mmap.PAGESIZE))\n"
            "print('ready'); print(at, flush=True); sys.stdin.read()"
        )
        started = start(sys.executable, "-c", code)
        assert started.stdout is not None
        at = int(started.stdout.readline())
        deadline = time.monotonic() + 10
        while True:  # the kernel moves the pages to that list in batches
            chosen = (at, at + 16 * PAGE)
            counts = smapskit.read_pages(started.pid, chosen, frames=True, method=method).counts()
            if counts.unevictable == 16 or time.monotonic() > deadline:
                break
            time.sleep(0.05)
        assert (counts.present, counts.unevictable) == (16, 16)

    def test_frames_that_are_used_anew_are_not_known(
        self, known: Known, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        numbers = frames.read_numbers

        def freed(name: str, *arguments: Any) -> Any:
            found = numbers(name, *arguments)
            if name == "kpageflags":
                found[1] = smapskit.FrameFlag.LRU  # not mapped by anyone
            return found

        monkeypatch.setattr(frames, "read_numbers", freed)
        pages = smapskit.read_pages(known.pid, known.range("forked"), frames=True)
        assert pages.frames is not None
        assert pages.frames.flags is not None
        assert pages.frames.map_counts is not None
        assert int(pages.frames.flags[1]) == smapskit.FrameFlag.NOPAGE
        assert pages.frames.map_counts[1] == -1
        assert pages.notes == ("1 pages were moved or freed while they were read",)
        row = pages.to_frame().iloc[1]
        assert row[["active", "map_count", "cgroup"]].isna().all()
        assert row["present"]

    def test_no_active_list_where_the_kernel_has_generations(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        enabled = tmp_path / "enabled"
        monkeypatch.setattr(frames, "_LRU_GEN", enabled)
        for text, is_known in (("0x0007\n", False), ("0x0000\n", True), ("nonsense", True)):
            enabled.write_text(text)
            pages = smapskit.read_pages(frames=("flags",))
            assert (pages.counts().active is not None) == is_known
            assert pages.counts().dirty is not None


class TestWhatIsHidden:
    @pytest.mark.usefixtures("hidden_frames")
    def test_frames_that_are_all_zero_are_unknown(self) -> None:
        pages = smapskit.read_pages(frames=True)
        assert pages.frames is None
        for name in ("pfn", "flags", "map_count", "cgroup", "active", "dirty"):
            assert (
                pages.unknown[name] == "page frame numbers are hidden: they require CAP_SYS_ADMIN"
            )
        assert pages.counts().active is None

    @pytest.mark.usefixtures("hidden_frames")
    def test_the_zero_page_is_unknown_without_scan_and_frames(self, known: Known) -> None:
        counts = known.counts("anonymous", "pagemap")
        assert (counts.present, counts.zero, counts.resident, counts.anonymous) == (16, *[None] * 3)
        # Where each page is exclusive or of a file, none can be the zero page.
        counts = known.counts("shared", "pagemap")
        assert (counts.present, counts.zero, counts.resident) == (8, 0, 8)

    @needs_root
    def test_without_the_capability(self) -> None:
        if shutil.which("setpriv") is None:
            pytest.skip("requires setpriv of util-linux")
        code = (
            "import json, smapskit\n"
            "pages = smapskit.read_pages(frames=True)\n"
            "print(json.dumps([pages.frames is None, pages.unknown['flags'], pages.counts().active,"
            " pages.counts().present > 100]))"
        )
        words = ["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin", sys.executable]
        ran = subprocess.run(
            [*words, "-c", code], capture_output=True, text=True, check=True, env=unmeasured()
        )
        assert json.loads(ran.stdout) == [True, read.HIDDEN, None, True]

    def test_soft_dirty_bits_are_probed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        expected = pagemap.has_soft_dirty()
        assert (smapskit.read_pages().counts().soft_dirty is not None) == expected
        monkeypatch.setattr(read, "has_soft_dirty", lambda: True)
        assert smapskit.read_pages().counts().soft_dirty is not None

    def test_guard_pages_of_a_kernel_that_does_not_report_them(
        self, known: Known, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # Of a range without guard pages: this kernel reports those of thread stacks.
        where = known.range("anonymous")
        monkeypatch.setattr(read, "guard_support", lambda: "unreported")
        counts = smapskit.read_pages(known.pid, where, method="pagemap").counts()
        assert (counts.guard, counts.swapped) == (None, None)
        monkeypatch.setattr(read, "guard_support", lambda: "none")
        counts = smapskit.read_pages(known.pid, where, method="pagemap").counts()
        assert (counts.guard, counts.swapped) == (0, 0)


def refuse_scan(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def refuse(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "ioctl", refuse)


class TestErrors:
    @pytest.mark.parametrize("number", [errno.ENOTTY, errno.EPERM, errno.EINVAL])
    def test_where_the_scan_is_refused_the_entries_are_read(
        self, known: Known, monkeypatch: pytest.MonkeyPatch, number: int
    ) -> None:
        refuse_scan(monkeypatch, number)
        pages = smapskit.read_pages(known.pid, known.range("anonymous"))
        assert pages.counts().present == 16
        assert pages.unknown["huge"].startswith("requires PAGEMAP_SCAN (Linux 6.7)")
        with pytest.raises(smapskit.Unsupported, match="PAGEMAP_SCAN is not available"):
            smapskit.read_pages(known.pid, method="scan")

    def test_a_kernel_whose_scan_knows_no_guard_pages(
        self, known: Known, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        if not can_scan():
            pytest.skip("this kernel has no PAGEMAP_SCAN")
        ioctl = fcntl.ioctl

        def older(descriptor: int, request: int, argument: bytearray) -> int:
            if int.from_bytes(argument[80:88], "little") & 0x100:
                raise OSError(errno.EINVAL, "Invalid argument")
            return int(ioctl(descriptor, request, argument))

        monkeypatch.setattr(fcntl, "ioctl", older)
        monkeypatch.setattr(read, "guard_support", lambda: "none")
        counts = known.counts("anonymous", "scan")
        assert (counts.present, counts.zero, counts.guard) == (16, 5, 0)

    def test_a_scan_in_many_calls(self, all_kinds: int, monkeypatch: pytest.MonkeyPatch) -> None:
        if not can_scan():
            pytest.skip("this kernel has no PAGEMAP_SCAN")
        with stopped(all_kinds):
            whole = smapskit.read_pages(all_kinds)
            monkeypatch.setattr(pagemap, "_REGIONS", 3)
            assert smapskit.read_pages(all_kinds).runs == whole.runs
        assert len(whole) > 3

    def test_no_such_process(self) -> None:
        with pytest.raises(ProcessNotFound, match="no process 4194305"):
            smapskit.read_pages(2**22 + 1)

    def test_a_kernel_thread(self) -> None:
        if not Path("/proc/2/comm").exists():
            pytest.skip("no kernel thread is visible here")
        pages = smapskit.read_pages(2)
        if not (smapskit.read(2).notes == pages.notes == (smapskit.Note.KERNEL_THREAD,)):
            pytest.skip("process 2 is not a kernel thread here")
        assert (pages.by_mapping(), pages.counts().size, pages.command) == ([], 0, "[kthreadd]")

    def test_a_zombie(self, start: Start) -> None:
        child = start("sh", "-c", "echo ready; read line")
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        pages = smapskit.read_pages(child.pid)
        assert (pages.by_mapping(), pages.notes) == ([], (smapskit.Note.ZOMBIE,))
        with pytest.raises(ValueError, match="has no mapping"):
            smapskit.read_pages(child.pid, "[heap]")

    @needs_root
    def test_another_users_process(self, sleeper: int) -> None:
        code = (
            "import os, sys, smapskit; smapskit.read_pages()\n"
            "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
            "try: smapskit.read_pages(int(sys.argv[1]))\n"
            "except smapskit.AccessDenied as error: print(error.pid, error.strerror)"
        )
        ran = subprocess.run(
            [sys.executable, "-c", code, str(sleeper)],
            capture_output=True,
            text=True,
            check=True,
            env=unmeasured(),
        )
        assert ran.stdout.startswith(f"{sleeper} not permitted to read the ")

    def test_the_process_ends_meanwhile(
        self, start: Start, monkeypatch: pytest.MonkeyPatch, method: Method
    ) -> None:
        child = start("sh", "-c", "echo ready; read line")
        happen_before_the_read(monkeypatch, lambda: end(child))
        with pytest.raises(ProcessNotFound, match="ended while it was read"):
            smapskit.read_pages(child.pid, method=method)

    def test_the_process_calls_exec_meanwhile(
        self, start: Start, monkeypatch: pytest.MonkeyPatch, method: Method
    ) -> None:
        code = (
            "import os, signal\n"
            "signal.signal(signal.SIGUSR1, lambda *_: os.execvp('sleep', ['sleep', '1000']))\n"
            "print('ready', flush=True)\nwhile True: signal.pause()"
        )
        child = start(sys.executable, "-c", code)
        happen_before_the_read(monkeypatch, lambda: become_sleep(child))
        pages = smapskit.read_pages(child.pid, method=method)
        assert pages.command == "sleep 1000"
        with stopped(child.pid):
            assert smapskit.read_pages(child.pid).check(smapskit.read(child.pid)) == []

    def test_a_mapping_that_is_unmapped_meanwhile(
        self, known: Known, monkeypatch: pytest.MonkeyPatch, method: Method
    ) -> None:
        # The addresses of this mapping are read after it has gone: they have no pages.
        read_maps = process.read_maps

        def with_another(pid: int, **options: Any) -> smapskit.Snapshot:
            snapshot: smapskit.Snapshot = read_maps(pid, **options)
            gone = attrs.evolve(snapshot[0], start=PAGE, end=9 * PAGE, pathname="/gone")
            return attrs.evolve(snapshot, mappings=(gone, *snapshot.mappings))

        monkeypatch.setattr(process, "read_maps", with_another)
        pages = smapskit.read_pages(known.pid, "/gone", method=method)
        assert (pages.counts().size, pages.counts().present) == (8, 0)
        whole = smapskit.read_pages(known.pid, method=method)
        assert (
            str(whole.check(smapskit.read(known.pid))[0]) == "1000-9000 is not a mapping in smaps"
        )


def happen_before_the_read(monkeypatch: pytest.MonkeyPatch, action: Callable[[], object]) -> None:
    """Let something happen once, after the mappings were read and before the pages are."""
    read_maps = process.read_maps
    actions = [action]

    def then_act(pid: int, **options: Any) -> smapskit.Snapshot:
        snapshot: smapskit.Snapshot = read_maps(pid, **options)
        if actions:
            actions.pop()()
        return snapshot

    monkeypatch.setattr(process, "read_maps", then_act)


def end(child: subprocess.Popen[str]) -> None:
    child.kill()
    child.wait()


def become_sleep(child: subprocess.Popen[str]) -> None:
    child.send_signal(signal.SIGUSR1)
    deadline = time.monotonic() + 20
    while not Path(f"/proc/{child.pid}/cmdline").read_bytes().startswith(b"sleep\0"):
        assert time.monotonic() < deadline
        time.sleep(0.005)


class TestViews:
    @pytest.fixture
    def pages(self, known: Known) -> Iterator[Pages]:
        with stopped(known.pid):
            yield smapskit.read_pages(known.pid, known.range("anonymous"))

    def test_frames_by_page_run_and_mapping(self, pages: Pages) -> None:
        by_page = pages.to_frame()
        assert len(by_page) == 16
        assert by_page["address"].tolist() == pages.addresses().tolist()
        assert by_page["exclusive"].sum() == 11
        assert by_page.attrs["page_size"] == PAGE
        by_run = pages.to_frame("run")
        assert by_run["pages"].tolist() == [10, 5, 1]
        by_mapping = pages.to_frame("mapping")
        assert by_mapping["present"].tolist() == [16]
        assert by_mapping["active"].isna().all()
        if "soft_dirty" in pages.unknown:
            assert by_page["soft_dirty"].isna().all()
        with pytest.raises(ValueError, match="expected 'page', 'run' or 'mapping', got 'x'"):
            pages.to_frame("x")  # type: ignore[arg-type]

    def test_runs_are_the_elements(self, pages: Pages) -> None:
        start = pages.ranges[0].first * PAGE
        bounds = [((a - start) // PAGE, (b - start) // PAGE) for a, b, _ in pages]
        assert bounds == [(0, 10), (20, 25), (40, 41)]
        assert all(flags & PageFlag.PRESENT for *_, flags in pages)
        assert repr(pages).endswith("64 size, 16 present, 0 swapped, 3 runs>")


class TestWorkingSet:
    def test_touched_pages_are_referenced(self, start: Start) -> None:
        code = (
            "import mmap, sys, time; m = mmap.mmap(-1, 64 << 20, flags=0x22); m.madvise(15)\n"
            "m.write(b'x' * (64 << 20)); print('ready', flush=True)\n"
            "while True:\n    [m[at] for at in range(0, 8 << 20, 4096)]; time.sleep(0.01)"
        )
        pid = start(sys.executable, "-c", code).pid
        found = smapskit.working_set(pid, 0.5)
        assert found.seconds >= 0.5
        assert found.referenced is not None
        assert 8 << 10 <= found.referenced < 40 << 10
        assert "clears the accessed bits" in found.notes[0]

    def test_errors(self, sleeper: int) -> None:
        for seconds in (0, -1, float("inf"), float("nan")):
            with pytest.raises(ValueError, match="expected a number of seconds above 0"):
                smapskit.working_set(sleeper, seconds)
        with pytest.raises(ProcessNotFound):
            smapskit.working_set(2**22 + 1, 0.1)

    def test_a_process_that_ends_meanwhile(self, start: Start) -> None:
        child = start("sh", "-c", "echo ready; sleep 0.1")
        with pytest.raises(ProcessNotFound):
            smapskit.working_set(child.pid, 1)


def test_every_value_of_frames_has_its_file() -> None:
    values: set[FrameValue] = {"flags", "map_count", "cgroup"}
    assert set(frames.FILES) == values
    for name in frames.FILES.values():
        assert os.path.exists(f"{procfs.PROC}/{name}") or not can_scan()  # noqa: PTH110
