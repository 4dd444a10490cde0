"""Fixtures, and the marks that follow from a test's folder."""

from __future__ import annotations

import functools
import os
import shutil
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from support.paths import KERNEL_CAPTURES, PROCESSES, TESTS, capture_name
from support.subjects import ALL_MAPPING_KINDS, Start, unmeasured

_SLOW_PAGES = (
    "container-oom.md",
    "deleted-libraries.md",
    "forking-server.md",
    "many-captures.md",
    "memory-leak.md",
    "memory-test.md",
    "pages.md",
    "recording.md",
    "rss-grows.md",
    "tutorial.md",
)
"""Pages with commands that record processes, for seconds."""
_MARK_OF_FOLDER = {"live": pytest.mark.live, "integration": pytest.mark.integration}


def _has_pmap_4() -> bool:
    if shutil.which("pmap") is None:
        return False
    version = subprocess.run(["pmap", "--version"], capture_output=True, text=True, check=False)
    return "procps-ng 4." in version.stdout


def pytest_configure(config: pytest.Config) -> None:
    # Fewer generated inputs in the quick run: with -m slow there are as many as by default.
    settings.register_profile("quick", max_examples=40)
    if "slow" not in config.option.markexpr and not config.getoption("--hypothesis-profile"):
        settings.load_profile("quick")
    # Shells start background jobs with SIGINT ignored, and their children inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Return the number of processes of `-n auto`: tests of live processes fill one of them."""
    return min(4, len(os.sched_getaffinity(0)) if sys.platform == "linux" else 2)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        _mark(item)
        if config.pluginmanager.has_plugin("xdist"):
            item.add_marker(pytest.mark.xdist_group(_group(item)))
    if not _has_pmap_4():
        skip = pytest.mark.skip(reason="compares with pmap of procps 4, which is not installed")
        for item in items:
            if item.get_closest_marker("pmap"):
                item.add_marker(skip)
    # A second -m would replace one in addopts: slow tests run only where -m names them.
    if "slow" not in config.option.markexpr:
        slow = [item for item in items if item.get_closest_marker("slow")]
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if not item.get_closest_marker("slow")]


def _mark(item: pytest.Item) -> None:
    """Add the marks that follow from the place of a test."""
    if item.path.suffix == ".md":  # the documentation's examples read processes
        item.add_marker(pytest.mark.live)
        if item.path.name in _SLOW_PAGES:
            item.add_marker(pytest.mark.slow)
    elif item.path.is_relative_to(TESTS):
        mark = _MARK_OF_FOLDER.get(item.path.relative_to(TESTS).parts[0])
        if mark is not None:
            item.add_marker(mark)


def _group(item: pytest.Item) -> str:
    """
    Return the group of a test: pytest-xdist runs each group in one process, in order.

    Tests of live processes follow each other, since some read the whole machine. So do runs of
    the experiment, which evict pages. The examples of a page share their variables.
    """
    if item.get_closest_marker("live"):
        return "live"
    return "pageout" if item.path.name.startswith("test_pageout") else str(item.path)


_OF_KERNELS = [pytest.param(path, marks=pytest.mark.slow) for path in KERNEL_CAPTURES]


@pytest.fixture(params=[*PROCESSES, *_OF_KERNELS], ids=capture_name)
def process_folder(request: pytest.FixtureRequest, unpacked: Callable[[Path], Path]) -> Path:
    """The captures of one stopped process."""
    path = request.param
    assert isinstance(path, Path)
    return path if path.is_dir() else unpacked(path)


@pytest.fixture(scope="session")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Path]:
    """Unpack a capture of a kernel, once."""

    @functools.cache
    def unpack(archive: Path) -> Path:
        folder = tmp_path_factory.mktemp("capture")
        with tarfile.open(archive) as opened:
            for member in opened:
                content = opened.extractfile(member)
                assert content is not None
                (folder / member.name).write_bytes(content.read())
        return folder

    return unpack


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start processes that print "ready"; terminate them at the end of the test."""
    started: list[subprocess.Popen[str]] = []

    def run(*command: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=unmeasured()
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    yield run
    for process in started:
        process.terminate()  # not killed: it removes what it created
        try:
            process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate(timeout=10)


@pytest.fixture
def sleeper(start: Start) -> int:
    """A small process that waits, read in a millisecond."""
    return start("sh", "-c", "echo ready; read line").pid


@pytest.fixture
def all_kinds(start: Start) -> int:
    """A process with mappings of every kind."""
    return start(sys.executable, str(ALL_MAPPING_KINDS)).pid
