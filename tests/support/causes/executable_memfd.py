"""Map a memfd as code: 1; 0 for data."""

import mmap
import os
import sys

permissions = mmap.PROT_READ | (mmap.PROT_EXEC if int(sys.argv[1]) else 0)
descriptor = os.memfd_create("code")
os.truncate(descriptor, 64 << 10)
area = mmap.mmap(descriptor, 64 << 10, mmap.MAP_SHARED, prot=permissions)
print("ready", flush=True)
sys.stdin.read()
