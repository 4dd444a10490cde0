"""Write to memory, and page it out when a line is read (requires swap): MiB."""

import mmap
import sys

MADV_PAGEOUT = 21
area = mmap.mmap(-1, int(sys.argv[1]) << 20, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
area.write(b"x" * len(area))
print("ready", flush=True)
sys.stdin.readline()
area.madvise(MADV_PAGEOUT)
print("done", flush=True)
sys.stdin.read()
