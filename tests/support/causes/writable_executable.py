"""Map memory that is writable and executable: 1; 0 for writable."""

import mmap
import sys

permissions = mmap.PROT_READ | mmap.PROT_WRITE | (mmap.PROT_EXEC if int(sys.argv[1]) else 0)
area = mmap.mmap(-1, 64 << 10, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=permissions)
print("ready", flush=True)
sys.stdin.read()
