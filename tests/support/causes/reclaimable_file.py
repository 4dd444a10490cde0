"""Read a file through a mapping: MiB."""

import mmap
import sys
import tempfile

with tempfile.NamedTemporaryFile() as file:
    file.truncate(int(sys.argv[1]) << 20)
    area = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    area.find(b"x")
    print("ready", flush=True)
    sys.stdin.read()
