"""Allocate memory without writing to it: GiB."""

import mmap
import sys

areas = [
    mmap.mmap(-1, 1 << 30, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) for _ in range(int(sys.argv[1]))
]
print("ready", flush=True)
sys.stdin.read()
