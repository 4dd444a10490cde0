"""Where the files are that tests read."""

from __future__ import annotations

import os
from pathlib import Path

TESTS = Path(__file__).parents[1]
ROOT = TESTS.parent
FIXTURES = TESTS / "fixtures"
"""Captures of stopped processes, one folder each: see fixtures/capture.py."""
PROCESSES = sorted(folder for folder in FIXTURES.iterdir() if (folder / "smaps.txt").exists())
KERNELS = FIXTURES / "kernels"
"""Captures of stopped processes on other kernels and machines, made by tests/guests/run.py."""
KERNEL_CAPTURES = sorted(KERNELS.glob("*/*.tar.xz"))
RUNTIMES = FIXTURES / "runtimes"
"""Captures of language runtimes, allocators and servers: see fixtures/capture_runtimes.py."""
CORPUS = Path(os.environ.get("SMAPSKIT_CORPUS", ROOT.parent / "shared" / "corpus"))
"""Captures by others, which are not part of the project."""
PASTED = CORPUS.parent / "corpus-pasted"
"""Captures by others as they were pasted, which are not part of the project."""
RECORDED = ROOT / "examples" / "pageout" / "recorded"
"""Recordings of the page-out experiment."""


def corpus(family: str) -> list[Path]:
    """Return the captures by others of one family; none where the folder does not exist."""
    return sorted((CORPUS / family).glob("*.txt"))


def capture_name(path: Path) -> str:
    """Return a short name of a capture: its process, with the kernel if it is another one."""
    return path.name if path.is_dir() else f"{path.parent.name}/{path.name.split('.')[0]}"
