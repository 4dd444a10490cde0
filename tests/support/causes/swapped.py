"""Write to memory and page it out (requires swap): MiB."""

import mmap
import sys

MIB = 1 << 20
PRIVATE = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS

MADV_PAGEOUT = 21
area = mmap.mmap(-1, int(sys.argv[1]) * MIB, PRIVATE)
area.write(b"x" * len(area))
area.madvise(MADV_PAGEOUT)
print("ready", flush=True)
sys.stdin.read()
