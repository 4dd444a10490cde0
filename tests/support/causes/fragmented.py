"""Map many areas of 64 KiB that the kernel cannot merge: their number."""

import mmap
import sys

MIB = 1 << 20
PRIVATE = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS

areas = [mmap.mmap(-1, 64 << 10, PRIVATE) for _ in range(int(sys.argv[1]))]
for area in areas[::2]:
    area.madvise(mmap.MADV_DONTFORK)
print("ready", flush=True)
sys.stdin.read()
