"""
Draw the pictures of the README and the documentation from the captures in tests/fixtures.

    python docs/pictures.py
"""

from __future__ import annotations

from pathlib import Path

import attrs

import smapskit

HERE = Path(__file__).parent
CAPTURES = HERE.parent / "tests" / "fixtures"


def main() -> None:
    snapshot = smapskit.load(CAPTURES / "postgres" / "smaps.txt")
    process = smapskit.load(CAPTURES / "postgres" / "pmap.txt")
    named = attrs.evolve(snapshot, pid=process.pid, command="postgres -D data")
    named.plot().savefig(HERE / "memory.png", dpi=100)


if __name__ == "__main__":
    main()
