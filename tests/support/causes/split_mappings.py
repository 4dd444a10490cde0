"""Protect every other page of an area: its number of pages."""

import ctypes
import mmap
import sys

libc = ctypes.CDLL(None)
area = mmap.mmap(-1, int(sys.argv[1]) * mmap.PAGESIZE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
start = ctypes.addressof(ctypes.c_char.from_buffer(area))
for at in range(0, len(area), 2 * mmap.PAGESIZE):
    libc.mprotect(ctypes.c_void_p(start + at), mmap.PAGESIZE, mmap.PROT_READ)
print("ready", flush=True)
sys.stdin.read()
