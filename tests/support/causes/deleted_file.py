"""Map a file of 20 MiB: 1 to delete it then."""

import mmap
import sys
import tempfile
from pathlib import Path

with tempfile.NamedTemporaryFile(delete=False) as file:
    file.truncate(20 << 20)
    area = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
if int(sys.argv[1]):
    Path(file.name).unlink()
print("ready", flush=True)
sys.stdin.read()
if not int(sys.argv[1]):
    Path(file.name).unlink()
