"""Write to a huge page: the size of the page in MiB, or 0 for none."""

import mmap
import sys

MAP_HUGETLB = 0x40000
size = int(sys.argv[1]) << 20
if size:
    area = mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_HUGETLB)
    area[0] = 1
print("ready", flush=True)
sys.stdin.read()
