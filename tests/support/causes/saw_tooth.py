"""Fill 24 MiB and free it, again and again: the number of times."""

import mmap
import sys
import time

print("ready", flush=True)
for _ in range(int(sys.argv[1])):
    area = mmap.mmap(-1, 24 << 20, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    for _ in range(6):
        area.write(bytes(4 << 20))
        time.sleep(0.05)
    area.close()
    time.sleep(0.1)
sys.stdin.read()
