"""Write to more memory when a line is read: MiB."""

import mmap
import sys

print("ready", flush=True)
sys.stdin.readline()
area = mmap.mmap(-1, int(sys.argv[1]) << 20, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
area.write(bytes(len(area)))
print("done", flush=True)
sys.stdin.read()
