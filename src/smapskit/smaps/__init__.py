"""
The text of smaps, smaps_rollup and maps: read into records, and written from them.

Two readers give the same records: `at_once` has the whole text matched in C where all
records look like the first; `lines` reads everything else, and says what is wrong.
"""

from smapskit.smaps.parse import (
    iter_mappings,
    parse_maps,
    parse_rollup,
    parse_smaps,
    prepared,
    whole_records,
)
from smapskit.smaps.write import format_smaps

__all__ = [
    "format_smaps",
    "iter_mappings",
    "parse_maps",
    "parse_rollup",
    "parse_smaps",
    "prepared",
    "whole_records",
]
