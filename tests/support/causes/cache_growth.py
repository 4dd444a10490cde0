"""Read a file through a mapping when a line is read: MiB."""

import mmap
import sys
import tempfile

with tempfile.TemporaryFile() as file:
    file.truncate(int(sys.argv[1]) << 20)
    area = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
print("ready", flush=True)
sys.stdin.readline()
area.find(b"x")
print("done", flush=True)
sys.stdin.read()
