"""Let a userfaultfd report the missing pages of an area: 1; 0 for none."""

import ctypes
import fcntl
import mmap
import struct
import sys

SYS_USERFAULTFD = 323  # on x86-64
UFFD_USER_MODE_ONLY = 1
UFFDIO_API = 0xC018AA3F
UFFDIO_REGISTER = 0xC020AA00
MODE_MISSING = 1
area = mmap.mmap(-1, 1 << 20, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
start = ctypes.addressof(ctypes.c_char.from_buffer(area))
if int(sys.argv[1]):
    descriptor = ctypes.CDLL(None).syscall(SYS_USERFAULTFD, UFFD_USER_MODE_ONLY)
    fcntl.ioctl(descriptor, UFFDIO_API, struct.pack("QQQ", 0xAA, 0, 0))
    fcntl.ioctl(descriptor, UFFDIO_REGISTER, struct.pack("4Q", start, len(area), MODE_MISSING, 0))
print("ready", flush=True)
sys.stdin.read()
