"""pmap's rc files, which say what the columns of a table are: text in, choice out."""

from __future__ import annotations

import attrs

from smapskit.errors import ParseError
from smapskit.formats.pmap.dialects import DETAIL_COLUMNS, MAPPING_COLUMN
from smapskit.model.mapping import Mapping, kernel_fields

_FIELDS_SECTION = "[Fields Display]"
_MAPPING_SECTION = "[Mapping]"
_SHOW_PATH = "ShowPath"


@attrs.frozen
class Choice:
    """What an rc file asks for."""

    columns: tuple[str, ...]
    """By the names that -XX shows; the address always stands before them."""
    show_path: bool


def parse_rc(text: str, *, source: str | None = None) -> Choice:
    """
    Read an rc file: one column a line below `[Fields Display]`, `#` begins a comment.

    Raises:
        ParseError: with the line, for what is neither a section nor one word in it.
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
            raise ParseError("expected one word below a section's name", source, number, raw)
        elif section == _FIELDS_SECTION:
            columns.append(line)
        elif section == _MAPPING_SECTION and line == _SHOW_PATH:
            show_path = not show_path
        # Sections of other versions are passed over, as pmap does.
    return Choice(tuple(columns), show_path)


def default_rc() -> str:
    """An rc file to begin with: every column that kernels have, each commented out."""
    columns = [*DETAIL_COLUMNS[1:], *kernel_fields(Mapping), MAPPING_COLUMN]
    return "\n".join(
        [
            "# Columns of pmap -c and smapskit -c; case matters.",
            "",
            _FIELDS_SECTION,
            "",
            "# Take the # away before each column to show.",
            "",
            *(f"#{column}" for column in columns),
            "",
            _MAPPING_SECTION,
            "",
            "# Take the # away to show whole paths.",
            f"#{_SHOW_PATH}",
            "",
        ]
    )
