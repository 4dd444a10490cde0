"""Write to memory and give it back with MADV_FREE: MiB."""

import mmap
import sys

MIB = 1 << 20
PRIVATE = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS

area = mmap.mmap(-1, int(sys.argv[1]) * MIB, PRIVATE)
area.write(bytes(len(area)))
area.madvise(mmap.MADV_FREE)
print("ready", flush=True)
sys.stdin.read()
