"""Write a byte to each 2 MiB of 96 MiB: 1 for huge pages, 0 for base pages."""

import mmap
import sys

MIB = 1 << 20
PRIVATE = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS

area = mmap.mmap(-1, 96 * MIB, PRIVATE)
area.madvise(mmap.MADV_HUGEPAGE if int(sys.argv[1]) else mmap.MADV_NOHUGEPAGE)
for at in range(0, len(area), 2 * MIB):
    area[at] = 1
print("ready", flush=True)
sys.stdin.read()
