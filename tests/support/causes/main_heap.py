"""Allocate blocks of 100 KiB in the main heap: their number."""

import ctypes
import sys

libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
for _ in range(int(sys.argv[1])):
    libc.memset(libc.malloc(100 << 10), 1, 100 << 10)
print("ready", flush=True)
sys.stdin.read()
