"""Lock memory: KiB."""

import ctypes
import mmap
import sys

area = mmap.mmap(-1, int(sys.argv[1]) << 10, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
start = ctypes.addressof(ctypes.c_char.from_buffer(area))
assert ctypes.CDLL(None).mlock(ctypes.c_void_p(start), ctypes.c_size_t(len(area))) == 0
print("ready", flush=True)
sys.stdin.read()
