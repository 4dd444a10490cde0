"""Allow 512 MiB of address space, and map more: MiB."""

import mmap
import resource
import sys

resource.setrlimit(resource.RLIMIT_AS, (512 << 20, 512 << 20))
area = mmap.mmap(-1, int(sys.argv[1]) << 20, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
print("ready", flush=True)
sys.stdin.read()
