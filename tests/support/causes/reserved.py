"""Reserve address space: GiB."""

import mmap
import sys

area = mmap.mmap(-1, int(sys.argv[1]) << 30, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=0)
print("ready", flush=True)
sys.stdin.read()
