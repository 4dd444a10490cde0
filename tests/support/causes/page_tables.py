"""Read one byte per 2 MiB of an area: GiB."""

import mmap
import sys

MAP_NORESERVE = 0x4000
size = int(sys.argv[1]) << 30
area = mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_NORESERVE)
area.madvise(mmap.MADV_NOHUGEPAGE)
for at in range(0, size, 2 << 20):
    area[at]
print("ready", flush=True)
sys.stdin.read()
