"""
A server that leaks memory: it keeps the answer to each request, and no request comes twice.

    python examples/leak/server.py [SECONDS]

It also maps a file of prices, of which it has read half. before.smaps.gz and after.smaps.gz were
saved 2 and 30 seconds after its start with Debian's Python 3.11 on Linux 6.18, and recording.csv
is what this printed meanwhile:

    python -m smapskit record --by kind -i 0.5 -t 30 -o recording.csv PID
"""

from __future__ import annotations

import mmap
import sys
import tempfile
import time

PAGE = mmap.PAGESIZE
FILE_SIZE = 64 << 20
ANSWER_SIZE = 4_000
REQUESTS_PER_SECOND = 500
ROUNDS_PER_SECOND = 20


def answer(prices: mmap.mmap, request: int) -> bytes:
    """Return a page of prices, shortened."""
    first = request * PAGE % (FILE_SIZE // 2)
    return prices[first : first + ANSWER_SIZE]


def serve(prices: mmap.mmap, seconds: float) -> None:
    """Answer requests at a fixed rate."""
    cache: dict[int, bytes] = {}  # nothing is ever removed from it
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for _ in range(REQUESTS_PER_SECOND // ROUNDS_PER_SECOND):
            request = len(cache)
            cache[request] = answer(prices, request)
        time.sleep(1 / ROUNDS_PER_SECOND)


def main() -> None:
    """Map the file, and serve."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    with tempfile.NamedTemporaryFile(prefix="prices-") as file:
        file.truncate(FILE_SIZE)
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as prices:
            sum(prices[: FILE_SIZE // 2 : PAGE])
            serve(prices, seconds)


if __name__ == "__main__":
    main()
