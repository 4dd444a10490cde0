"""The options `--top` and `--human` of tables that pmap does not have, and the terminal."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from smapskit.cli.terminal import terminal_style
from smapskit.views.cells import TableStyle


def add_table_options(group: argparse._ActionsContainer, *names: str, of: str = "") -> None:
    """
    Add the options.

    Args:
        group: the parser, or a group of its options.
        names: other names of `--human`.
        of: the option with which there is such a table.
    """
    of = of and f"with {of}: "
    add_top(group, f"{of}only the N largest rows, and one row with the sums of the others")
    also = "; also -h" if of else ""
    group.add_argument(
        *names,
        "--human",
        action="store_true",
        help=f"{of}sizes with a unit, such as 1.2M, in place of kB{also}",
    )


def add_top(group: argparse._ActionsContainer, help: str) -> None:  # noqa: A002
    """Add the option `--top`, for output that always has units."""
    group.add_argument("--top", type=_count, metavar="N", help=help)


def help_if_alone(words: Sequence[str]) -> Sequence[str]:
    """Return the arguments of a command with such a table: `-h` alone is help."""
    return ["--help"] if list(words) == ["-h"] else words


def table_style(options: argparse.Namespace) -> TableStyle:
    """Return how to print a table: cut and in colour only on a terminal."""
    return terminal_style(human=_is_human(options), top=options.top)


def check_table_options(
    parser: argparse.ArgumentParser, options: argparse.Namespace, *, is_table: bool, of: str
) -> None:
    """Exit with a usage error if the options are given without such a table."""
    name = "--human" if _is_human(options) else "--top" if options.top is not None else None
    if name is not None and not is_table:
        parser.error(f"{name} requires {of}")


def _is_human(options: argparse.Namespace) -> bool:
    return getattr(options, "human", False)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < len(text) < 10 and int(text)):  # noqa: PLR2004
        raise argparse.ArgumentTypeError(f"expected a number of rows above 0, got {text!r:.20}")
    return int(text)
