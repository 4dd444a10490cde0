"""Write to a file through a shared mapping: MiB."""

import mmap
import sys
import tempfile

with tempfile.NamedTemporaryFile() as file:
    file.truncate(int(sys.argv[1]) << 20)
    area = mmap.mmap(file.fileno(), 0)
    area.write(bytes(len(area)))
    print("ready", flush=True)
    sys.stdin.read()
