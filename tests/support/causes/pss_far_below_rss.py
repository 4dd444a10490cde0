"""Fork processes that share 200 MiB: their number."""

import mmap
import os
import sys

area = mmap.mmap(-1, 200 << 20, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
area.write(bytes(len(area)))
for _ in range(int(sys.argv[1])):
    if not os.fork():
        sys.stdin.read()
        os._exit(0)
print("ready", flush=True)
sys.stdin.read()
