"""Share 64 MiB with a forked process, and write to some when a line is read: MiB."""

import mmap
import os
import sys

area = mmap.mmap(-1, 64 << 20, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
area.write(bytes(len(area)))
reader, writer = os.pipe()
if not os.fork():
    os.close(writer)
    os.read(reader, 1)  # until the parent ends
    os._exit(0)
print("ready", flush=True)
sys.stdin.readline()
area.seek(0)
area.write(bytes(int(sys.argv[1]) << 20))
print("done", flush=True)
sys.stdin.read()
