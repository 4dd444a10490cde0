"""
The text that pmap prints: read into records, and written from them.

`dialects` is the one table of formats that both directions share.
"""

from smapskit.pmap.read import parse_pmap, parse_pmaps
from smapskit.pmap.write import format_pmap

__all__ = ["format_pmap", "parse_pmap", "parse_pmaps"]
