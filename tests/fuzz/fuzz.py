"""
A coverage-guided fuzzer (atheris) of everything that parses text.

    pip install . --group fuzz
    python tests/fuzz/fuzz.py [-runs=N] [other options of libFuzzer's] [FOLDER OF INPUTS]

The first byte of an input selects the reader, the rest is the text. The first inputs are the
fixtures and, if the folder exists, the corpus. A reader may return records that agree with those
of the others, or raise a ParseError. Anything else is a finding, which libFuzzer writes to a file;
add its bytes to tests/unit/test_findings.py.
"""

from __future__ import annotations

import io
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["smapskit"]):
    import smapskit
    from smapskit.formats.pmap.read import parse_pmaps
    from smapskit.formats.pmap.write import format_pmaps
    from smapskit.formats.smaps.chunks import split_between_records
    from smapskit.formats.smaps.files import SMAPS
    from smapskit.formats.smaps.parse import read_snapshot
    from smapskit.formats.smaps.scan import FieldScanner

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.paths import CORPUS, FIXTURES
from support.readers import cut, parse_lines, parse_uniform, uniform_parser


def smaps(text: bytes) -> None:
    """Parse smaps; write it, and parse it again."""
    snapshot = smapskit.parse_smaps(text)
    snapshot.totals()
    snapshot.check()
    # The same records: the column of names is not kept in a text whose lines disagree.
    again = smapskit.parse_smaps(smapskit.format_smaps(snapshot))
    assert again.mappings == snapshot.mappings


def readers(text: bytes) -> None:
    """Compare the uniform parser, the reader of chunks and the scanner with the line parser."""
    chunks = list(split_between_records(cut(text, 99), 400))
    assert b"".join(chunks) == text
    found = parse_uniform(text)
    assert found is None or found == parse_lines(text)
    rows = FieldScanner(["Rss"]).scan(text)
    assert rows is None or [int(row[7]) for row in rows] == [m.rss for m in parse_lines(text)]
    with uniform_parser(is_used=True):
        snapshot = read_snapshot(chunks, SMAPS, None)
    assert snapshot.mappings == parse_lines(text)


def maps(text: bytes) -> None:
    """Parse maps, write it, and parse it again."""
    snapshot = smapskit.parse_maps(text)
    assert smapskit.parse_maps(smapskit.format_smaps(snapshot)).mappings == snapshot.mappings


def rollup(text: bytes) -> None:
    """Parse smaps_rollup."""
    smapskit.parse_rollup(text)


def pmap(text: bytes) -> None:
    """Parse tables of pmap, and print every table of the snapshots."""
    for snapshot in parse_pmaps(text):
        tables(snapshot)


def capture(text: bytes) -> None:
    """Load a capture, whose format is detected, compressed or not."""
    for snapshot in smapskit.load_all(io.BytesIO(text), strict=False, limit=1 << 20):
        tables(snapshot)


def tables(snapshot: smapskit.Snapshot) -> None:
    """Assert that every layout can be printed, without escape sequences."""
    for layout in ("short", "extended", "device", "X", "XX"):
        for table in format_pmaps([snapshot], layout):
            assert table.replace("\n", "").isprintable() or "\x1b" not in table


READERS: tuple[Callable[[bytes], None], ...] = (smaps, readers, maps, rollup, pmap, capture)


def one_input(data: bytes) -> None:
    """Read one input of libFuzzer."""
    if not data:
        return
    try:
        READERS[data[0] % len(READERS)](data[1:])
    except smapskit.ParseError as error:
        str(error)


def seeds(folder: Path) -> None:
    """Write the beginnings of real texts, for each reader."""
    files = [*FIXTURES.glob("*/*.txt"), *FIXTURES.glob("*.txt")]
    files += CORPUS.glob("*/*.txt")
    for number, file in enumerate(files):
        text = file.read_bytes()
        for reader in range(len(READERS)):
            (folder / f"{number}-{reader}").write_bytes(bytes([reader]) + text[:4000])


def main() -> None:
    """Fuzz until the runs are done, or without end."""
    with tempfile.TemporaryDirectory() as folder:
        seeds(Path(folder))
        words = [*sys.argv, folder] if not sys.argv[1:] or "=" in sys.argv[-1] else sys.argv
        atheris.Setup([*words, "-max_len=4096", "-timeout=10"], one_input)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
