"""Where the files are that tests read."""

from __future__ import annotations

import os
from pathlib import Path

TESTS = Path(__file__).parents[1]
ROOT = TESTS.parent
FIXTURES = TESTS / "fixtures"
"""Captures of stopped processes, one folder each: see fixtures/capture.py."""
PROCESSES = sorted(folder for folder in FIXTURES.iterdir() if (folder / "smaps.txt").exists())
RUNTIMES = FIXTURES / "runtimes"
"""Captures of language runtimes, allocators and servers: see fixtures/capture_runtimes.py."""
CORPUS = Path(os.environ.get("SMAPSKIT_CORPUS", ROOT.parent / "shared" / "corpus"))
"""Captures by others, which are not part of the project."""
RECORDED = ROOT / "examples" / "pageout" / "recorded"
"""Recordings of the page-out experiment."""


def corpus(family: str) -> list[Path]:
    """Return the captures by others of one family; none where the folder does not exist."""
    return sorted((CORPUS / family).glob("*.txt"))
