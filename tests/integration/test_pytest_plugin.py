"""The fixture memory_growth, in test runs of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest
from support.subjects import unmeasured

from smapskit.text import parse_size

pytest_plugins = ["pytester"]
pytestmark = [pytest.mark.live, pytest.mark.slow]

HEAD = """
import gc, mmap
kept = []

def add(size, flags=mmap.MAP_PRIVATE):
    area = mmap.mmap(-1, size, flags)
    for page in range(0, size, 4096):
        area[page] = 1
    kept.append(area)
"""


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Run:
    return Run(pytester, monkeypatch)


class Run:
    """Run tests in a process of its own, with the plugin."""

    def __init__(self, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pytester = pytester
        monkeypatch.delenv("COVERAGE_PROCESS_START", raising=False)
        # No other plugins: loading them takes most of the time.
        monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")

    def __call__(self, tests: str) -> pytest.RunResult:
        self.pytester.makepyfile(HEAD + tests)
        return self.pytester.runpytest_subprocess("-p", "smapskit.pytest_plugin", "-rs")


def test_growth_within_the_limit_passes(run: Run) -> None:
    result = run("""
import pytest

def test_nothing(memory_growth):
    for _ in range(5):
        with memory_growth("64 kB") as growth:
            assert growth.kb is None
        assert -64 <= growth.kb <= 64

def test_less(memory_growth):
    with memory_growth(max="9 MiB") as growth:
        add(8 << 20)
    assert 8000 < growth.kb < 9000

def test_bytes(memory_growth):
    with memory_growth(9 << 20):
        add(8 << 20)

def test_garbage_in_a_cycle(memory_growth):
    def work():
        cycle = [bytes(100) for _ in range(50_000)]
        cycle.append(cycle)
    gc.disable()
    memory_growth.repeat(work, "1 MiB", runs=3)

def test_freed_memory_that_malloc_keeps(memory_growth):
    def work():
        bytearray(16 << 20)  # raises the threshold from which malloc uses mmap(2)
        data = [bytearray(b"x" * 10_000) for _ in range(1000)]
    memory_growth.repeat(work, "1 MiB", warm_up=0)

def test_release(memory_growth):
    add(8 << 20)
    with memory_growth("0 B") as growth:
        kept.clear()
    assert growth.kb < -7000

def test_exceptions_are_not_replaced(memory_growth):
    with pytest.raises(KeyError), memory_growth("1 MiB"):
        add(8 << 20)
        raise KeyError("own")
""")
    result.assert_outcomes(passed=7)


def test_a_failure_lists_the_growth_by_mapping(run: Run) -> None:
    result = run("""
def test_growth(memory_growth):
    with memory_growth(max="2 MiB"):  # the line
        add(8 << 20)
        add(4 << 20, mmap.MAP_SHARED)
""")
    result.assert_outcomes(failed=1)
    text = result.stdout.str()
    title = re.search(r"AssertionError: USS grew by ([\d,]+) kB, expected at most 2,048 kB", text)
    assert title is not None
    assert 12 * 1024 <= int(title[1].replace(",", "")) < 13 * 1024
    rows = re.findall(r"E +\+([\d,]+) kB +(\w+) +[0-9a-f]+ +(.*?)  +(\S.*)", text)
    sizes = [int(row[0].replace(",", "")) for row in rows]
    assert sizes == sorted(sizes, reverse=True)
    assert 8 * 1024 <= sizes[0] < 9 * 1024
    assert rows[0][3] == "(anonymous)"
    assert ("4,096", "added", "shared memory", "/dev/zero (deleted)") in rows
    assert "# the line" in text
    assert "pytest_plugin.py" not in text  # the traceback ends in the test


def test_a_long_list_is_truncated(run: Run) -> None:
    result = run("""
def test_growth(memory_growth):
    with memory_growth(max=0):
        for number in range(30):
            add(1 << 20, mmap.MAP_SHARED)
            mmap.mmap(-1, 4096)
""")
    text = result.stdout.str()
    assert text.count("shared memory") == 10
    assert re.search(r"E +and 2\d more mappings with \+2\d,\d{3} kB", text)


def test_one_kind_is_measured(run: Run) -> None:
    result = run("""
import smapskit

def test_other_kind(memory_growth):
    with memory_growth("64 kB", kind="shared memory"):
        add(8 << 20)

def test_this_kind(memory_growth):
    with memory_growth("64 kB", kind=smapskit.MappingKind.SHARED_MEMORY):
        add(8 << 20)
        add(4 << 20, mmap.MAP_SHARED)
""")
    result.assert_outcomes(passed=1, failed=1)
    text = result.stdout.str()
    assert "USS of kind 'shared memory' grew by 4,096 kB, expected at most 64 kB" in text
    assert re.findall(r"E +\+([\d,]+) kB", text) == ["4,096"]


def test_calls_before_the_measurement_do_not_count(run: Run) -> None:
    result = run("""
def fill():
    if not kept:
        add(8 << 20)

def leak():
    add(1 << 20)

def test_cache(memory_growth):
    memory_growth.repeat(fill, "1 MiB", warm_up=1, runs=5)

def test_cold_cache(memory_growth):
    kept.clear()
    memory_growth.repeat(fill, "1 MiB", warm_up=0)

def test_leak(memory_growth):
    memory_growth.repeat(leak, "4 MiB", runs=5)
""")
    result.assert_outcomes(passed=1, failed=2)
    text = result.stdout.str()
    assert len(re.findall(r"E +AssertionError: USS grew by [58],\d{3} kB", text)) == 2


def test_wrong_arguments_are_errors(run: Run) -> None:
    result = run("""
import pytest

def test_size(memory_growth):
    with pytest.raises(ValueError, match="expected a size like 512M or 2 MiB, got '2 MB'"):
        memory_growth("2 MB")

@pytest.mark.parametrize("size", [-1, float("nan")])
def test_negative_size(memory_growth, size):
    with pytest.raises(ValueError, match="expected a size of at least 0 bytes, got"):
        memory_growth(size)

def test_kind(memory_growth):
    with pytest.raises(ValueError, match="'main stack'"):
        memory_growth("2 MiB", kind="heaps")

def test_runs(memory_growth):
    with pytest.raises(ValueError, match="runs >= 1"):
        memory_growth.repeat(print, "2 MiB", runs=0)
""")
    result.assert_outcomes(passed=5)


@pytest.mark.skipif(os.geteuid() != 0, reason="requires root")
def test_without_proc_the_test_is_skipped(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
def test_growth(memory_growth):
    assert False
""")
    script = 'mount -t tmpfs none /proc && exec "$@"'
    pytest_ = [sys.executable, "-m", "pytest", "-p", "smapskit.pytest_plugin", "-rs"]
    ran = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, "sh", *pytest_],
        capture_output=True,
        text=True,
        check=False,
        env=unmeasured(),
        cwd=pytester.path,
    )
    if "unshare:" in ran.stderr or "mount:" in ran.stderr:
        pytest.skip(f"not allowed here: {ran.stderr.strip()}")
    assert "1 skipped" in ran.stdout
    assert "memory_growth requires /proc/self/smaps" in ran.stdout


def test_pytest_finds_the_fixture_of_an_installed_package(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_growth(memory_growth): pass")
    pytester.runpytest_subprocess().assert_outcomes(passed=1)
    result = pytester.runpytest_subprocess("-p", "no:smapskit.pytest_plugin")
    result.stdout.fnmatch_lines(["*fixture 'memory_growth' not found"])


def test_loading_the_plugin_loads_neither_numpy_nor_attrs() -> None:
    code = "import smapskit.pytest_plugin, sys; print(*sys.modules)"
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=unmeasured()
    )
    assert {"attr", "numpy", "pandas"}.isdisjoint(ran.stdout.split())


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("4096", 4096),
        ("4096 B", 4096),
        ("3k", 3072),
        ("300 kB", 307200),
        ("1KiB", 1024),
        ("512M", 512 << 20),
        ("2 MiB", 2 << 20),
        ("2GiB", 2 << 30),
        ("1T", 1 << 40),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "MiB", "-1", "1.5M", "2 MB", "2 GB", "1 m", "1  M", "9" * 16])
def test_other_texts_are_no_sizes(text: str) -> None:
    with pytest.raises(ValueError, match="expected a size"):
        parse_size(text)
