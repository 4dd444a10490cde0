"""Map areas that cannot be merged when a line is read: their number."""

import mmap
import sys

print("ready", flush=True)
sys.stdin.readline()
PRIVATE = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
areas = [mmap.mmap(-1, mmap.PAGESIZE, PRIVATE) for _ in range(int(sys.argv[1]))]
for area in areas[::2]:
    area.madvise(mmap.MADV_DONTFORK)
print("done", flush=True)
sys.stdin.read()
