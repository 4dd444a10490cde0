"""Map private anonymous memory and write to it: MiB."""

import mmap
import sys

MIB = 1 << 20
PRIVATE = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS

# Not a multiple of 1 MiB, as the areas are that Python maps for its objects.
area = mmap.mmap(-1, int(sys.argv[1]) * MIB + mmap.PAGESIZE, PRIVATE)
area.write(bytes(len(area)))
print("ready", flush=True)
sys.stdin.read()
