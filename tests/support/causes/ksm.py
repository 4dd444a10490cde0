"""Let the kernel merge equal pages (requires ksm/run 1): MiB."""

import mmap
import sys
import time
from pathlib import Path

MADV_MERGEABLE = 12
MERGED = Path("/proc/self/ksm_merging_pages")
area = mmap.mmap(-1, max(1, int(sys.argv[1]) << 20), mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
area.write(b"x" * len(area))
area.madvise(MADV_MERGEABLE)
end = time.monotonic() + 10
while int(MERGED.read_text()) < len(area) // mmap.PAGESIZE // 2 and time.monotonic() < end:
    time.sleep(0.1)
print("ready", flush=True)
sys.stdin.read()
