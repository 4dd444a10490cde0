"""Write to shared memory: MiB."""

import mmap
import sys

area = mmap.mmap(-1, int(sys.argv[1]) << 20)
area.write(bytes(len(area)))
print("ready", flush=True)
sys.stdin.read()
