"""Parse and create pmap's rc files, which list the columns of a table."""

from __future__ import annotations

import attrs

from smapskit.errors import ParseError
from smapskit.formats.pmap.dialects import DETAIL_COLUMNS, MAPPING_COLUMN
from smapskit.model.mapping import Mapping, kernel_fields

_FIELDS_SECTION = "[Fields Display]"
_MAPPING_SECTION = "[Mapping]"
_SHOW_PATH = "ShowPath"


@attrs.frozen
class RcConfig:
    """The settings of an rc file."""

    columns: tuple[str, ...]
    """The columns to print after the address, by their names in the heading of -XX."""
    show_path: bool
    """Print whole paths instead of their last part."""


def parse_rc(text: str, *, source: str | None = None) -> RcConfig:
    """
    Parse an rc file: one column per line after `[Fields Display]`; `#` begins a comment.

    Args:
        text: of the file.
        source: its name in errors.

    Raises:
        ParseError: with the line, if it is neither a section nor one word in a section.
    """
    section = None
    columns: list[str] = []
    show_path = False
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.partition("#")[0].strip()
        if not line:
            continue
        if line.startswith("["):
            if not line.endswith("]"):
                raise ParseError(f"expected a section like {_FIELDS_SECTION}", source, number, raw)
            section = line
        elif section is None or len(line.split()) > 1:
            raise ParseError("expected one word below a section", source, number, raw)
        elif section == _FIELDS_SECTION:
            columns.append(line)
        elif section == _MAPPING_SECTION and line == _SHOW_PATH:
            show_path = not show_path
        # Unknown sections are skipped, as in pmap.
    return RcConfig(tuple(columns), show_path)


def default_rc() -> str:
    """Return an rc file in which every known column is commented out."""
    columns = [*DETAIL_COLUMNS[1:], *kernel_fields(Mapping), MAPPING_COLUMN]
    return "\n".join(
        [
            "# Columns of pmap -c and smapskit -c; case matters.",
            "",
            _FIELDS_SECTION,
            "",
            "# Remove the # before each column to print.",
            "",
            *(f"#{column}" for column in columns),
            "",
            _MAPPING_SECTION,
            "",
            "# Remove the # to print whole paths.",
            f"#{_SHOW_PATH}",
            "",
        ]
    )
