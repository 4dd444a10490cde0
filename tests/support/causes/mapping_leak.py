"""Map areas that cannot be merged 20 times a second: their number each time."""

import mmap
import sys
import time

areas = []
print("ready", flush=True)
while True:
    for number in range(int(sys.argv[1])):
        area = mmap.mmap(-1, mmap.PAGESIZE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        if number % 2:
            area.madvise(mmap.MADV_DONTFORK)
        areas.append(area)
    time.sleep(0.05)
