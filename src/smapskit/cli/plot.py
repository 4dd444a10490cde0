"""The command `plot`: draw a recording."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from smapskit.cli.common import FAILURE, STATUSES, Parser, print_error, size_in_kb
from smapskit.errors import SmapskitError
from smapskit.sources import outfile
from smapskit.sources.pages.storage import SUFFIX, load_pages
from smapskit.sources.recording import Recording

_SUFFIXES = (".png", ".svg", ".pdf")

_EXAMPLES = (
    ("smapskit plot run.csv", "draw run.png"),
    ("smapskit plot -o run.svg run.csv", "as SVG"),
    ("smapskit plot --memory-limit 512M run.csv", "with the limit of a container"),
)


def run(words: Sequence[str]) -> int:
    """Plot a recording."""
    parser = build_parser()
    options = parser.parse_args(words)
    if options.output is not None and Path(options.output).suffix not in _SUFFIXES:
        parser.error(f"expected a file name that ends in {', '.join(_SUFFIXES)}")
    try:
        if Path(options.file).suffix == SUFFIX:
            figure = load_pages(options.file).plot()
        else:
            figure = Recording.load(options.file).plot(memory_limit=options.memory_limit)
        picture = Path(options.output or Path(options.file).with_suffix(".png"))
        _check_target(picture, options.file)
        with outfile.replacing(picture) as file:
            figure.savefig(file, format=picture.suffix[1:], dpi=150)
    except (SmapskitError, OSError, ImportError) as error:
        print_error(error)
        return FAILURE
    return 0


def _check_target(picture: Path, recording: str) -> None:
    if picture.exists() and picture.samefile(recording):
        msg = "expected another name for the picture than that of the recording: use -o"
        raise SmapskitError(msg)


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the options."""
    parser = Parser(
        prog="smapskit plot",
        usage="smapskit plot [options] RECORDING",
        examples=_EXAMPLES,
        statuses=STATUSES,
        description="Plot a recording: RSS, the RSS of shared mappings and anonymous memory; of a "
        "recording with --by, the RSS of each group, stacked; of a recording of pages, when each "
        "page came into memory and on which list it is.",
    )
    parser.add_argument(
        "file", metavar="RECORDING", help="a file written by record: CSV, Parquet or npz"
    )
    parser.add_argument(
        "-o", "--output", metavar="PICTURE", help="png, svg or pdf (default: RECORDING with .png)"
    )
    parser.add_argument(
        "--memory-limit",
        type=size_in_kb,
        metavar="SIZE",
        help="draw a line at the limit of the process, such as 512M",
    )
    return parser
