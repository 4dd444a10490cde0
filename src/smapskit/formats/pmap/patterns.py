"""Patterns of the lines of pmap's tables except rows: only reading a table needs them."""

from __future__ import annotations

import functools
import re
from typing import Final

PID_LINE: Final = re.compile(rb"([0-9]{1,10}):[ \t]+(.*+)|([0-9]{1,10}):")
TOTAL_WORDS: Final = (
    *("total", "kB"),
    *("gesamt", "insgesamt", "ko", "totalt", "totale", "razem", "suma", "tổng", "yhteensä"),
    *("загалом", "всего", "итого", "кБ", "总计", "總計", "合計", "합계"),
)
"""The words of procps's total line and their translations, in any order; case is ignored."""
_WORD = b"|".join(re.escape(word.encode()) for word in TOTAL_WORDS)
_TOTALS = rb"((?:[ \t]++(?:[0-9]{1,18}K?|-)(?=[ \t]|\Z))+)[ \t]*"
_KB = rb"[ \t]*(?:K|Ko|\xd0[\x9a\xba](?:\xd0[\x91\xb1])?)"

# The line with the totals, in the forms of all dialects.
TOTAL_LINE: Final = re.compile(rb"(?:[ \t]*+(?:%b):?){1,3}" % _WORD + _TOTALS, re.IGNORECASE)
LIKE_TOTAL: Final = re.compile(
    rb"[ \t]*+(?:total\b|mapped:|[0-9]++K writable-private)[^0-9]*+[0-9]", re.IGNORECASE
)
"""The beginning of a line that must not be skipped: a damaged line of totals."""
UNKNOWN_TOTAL_LINE: Final = re.compile(rb"(?:[ \t]*+[^\s0-9-][^\s0-9]*+){1,3}" + _TOTALS)
"""Totals after words of an unknown language."""
# The words of the line of -d may be translated; their order is the same.
DEVICE_TOTAL_LINE: Final = re.compile(
    rb"[ \t]*+[^0-9:]{1,40}:[ \t]*([0-9]{1,18})%b[ \t]+[^0-9:]{1,40}:[ \t]*([0-9]{1,18})%b"
    rb"[ \t]+[^0-9:]{1,40}:[ \t]*([0-9]{1,18})%b[ \t]*" % (_KB, _KB, _KB)
)
SLES_TOTAL_LINE: Final = re.compile(
    rb"([0-9]{1,18})K writable-private, ([0-9]{1,18})K readonly-private, "
    rb"([0-9]{1,18})K shared(?:,? and [0-9]{1,18}K referenced)?[ \t]*"
)
SEPARATOR_LINE: Final = re.compile(rb"(?=[ \t]*[^ \t])(?:[-= \t]|\xe2\x80[\x93\x94])+")
DETAIL_TOTAL_LINE: Final = re.compile(rb"[ \t]*((?:[0-9]{1,20}[ \t]+)+)[^\x00-\x40]{1,8}[ \t]*")
TOTAL_LINES: Final = (TOTAL_LINE, DEVICE_TOTAL_LINE, SLES_TOTAL_LINE, DETAIL_TOTAL_LINE)


@functools.cache
def detail_row(counters: int | None) -> re.Pattern[bytes]:
    """
    Compile a pattern that matches a row of -X.

    Args:
        counters: the number of counters after Inode; None for any number.
    """
    count = b"*" if counters is None else b"{%d}" % (counters - 1)
    return re.compile(
        rb"[ \t]*([0-9a-f]{8,16})[ \t]+([r-][w-][x-][sp])[ \t]+([0-9a-f]{8,16})"
        rb"[ \t]+([0-9a-f]{1,8}:[0-9a-f]{1,8})[ \t]+([0-9]{1,20})"
        rb"((?:[ \t]+[0-9]{1,15}(?=[ \t]|\Z))(?:[ \t]+(?:[0-9]{1,15}|-)(?=[ \t]|\Z))"
        + count
        + rb")((?:[ \t].*+)?)"
    )
