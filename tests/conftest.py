from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
FIXTURES = HERE / "fixtures"
PROCESSES = sorted(folder for folder in FIXTURES.iterdir() if (folder / "smaps.txt").exists())
CORPUS = Path(os.environ.get("SMAPSKIT_CORPUS", HERE.parent.parent / "shared" / "corpus"))


def corpus(family: str) -> list[Path]:
    """The captures by others, where the folder with them exists."""
    return sorted((CORPUS / family).glob("*.txt"))


def unmeasured() -> dict[str, str]:
    """The environment for a process that coverage is not to be measured in."""
    return {name: text for name, text in os.environ.items() if not name.startswith("COVERAGE")}


def requires(*packages: str) -> pytest.MarkDecorator:
    """Skip where one of these optional packages is not installed."""
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"requires {', '.join(missing)}")


def _has_pmap_4() -> bool:
    if shutil.which("pmap") is None:
        return False
    version = subprocess.run(["pmap", "--version"], capture_output=True, text=True, check=False)
    return "procps-ng 4." in version.stdout


def pytest_configure() -> None:
    # Shells start background jobs with SIGINT ignored, and what they start inherits that.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not _has_pmap_4():
        skip = pytest.mark.skip(reason="compares with pmap of procps 4, which is not installed")
        for item in items:
            if item.get_closest_marker("pmap"):
                item.add_marker(skip)


@pytest.fixture(params=PROCESSES, ids=lambda folder: folder.name)
def process_folder(request: pytest.FixtureRequest) -> Path:
    """The captures of one stopped process."""
    folder = request.param
    assert isinstance(folder, Path)
    return folder


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts processes that say "ready" and end with the test."""
    started: list[subprocess.Popen[str]] = []

    def run(*command: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    yield run
    for process in started:
        process.terminate()  # gently: what it made is taken away
        try:
            process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
