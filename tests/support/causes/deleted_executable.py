"""Load a copy of a library: 1 to delete the copy then."""

import ctypes
import shutil
import sys
import tempfile
from pathlib import Path

maps = Path("/proc/self/maps").read_text().splitlines()
library = next(line.split()[-1] for line in maps if "/libc." in line and "r-xp" in line)
with tempfile.TemporaryDirectory() as folder:
    copy = Path(shutil.copy(library, Path(folder, "libcopy.so")))
    loaded = ctypes.CDLL(str(copy))
    if int(sys.argv[1]):
        copy.unlink()
    print("ready", flush=True)
    sys.stdin.read()
