"""Fork a process that shares memory: MiB."""

import mmap
import os
import sys

area = mmap.mmap(-1, int(sys.argv[1]) << 20, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
area.write(bytes(len(area)))
if not os.fork():
    sys.stdin.read()
    os._exit(0)
print("ready", flush=True)
sys.stdin.read()
