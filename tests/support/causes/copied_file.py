"""Write to a private mapping of a file: MiB."""

import mmap
import sys
import tempfile

with tempfile.NamedTemporaryFile() as file:
    file.truncate(int(sys.argv[1]) << 20)
    area = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    area.write(bytes(len(area)))
    print("ready", flush=True)
    sys.stdin.read()
