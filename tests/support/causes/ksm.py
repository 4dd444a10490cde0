"""Offer equal pages for merging (requires ksm/run 1): MiB."""

import mmap
import sys

MIB = 1 << 20
PRIVATE = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS

MADV_MERGEABLE = 12
area = mmap.mmap(-1, int(sys.argv[1]) * MIB, PRIVATE)
area.write(b"x" * len(area))
area.madvise(MADV_MERGEABLE)
print("ready", flush=True)
sys.stdin.read()
