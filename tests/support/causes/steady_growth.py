"""Write to more memory 20 times a second: KiB each time."""

import sys
import time

kept = []
print("ready", flush=True)
while True:
    kept.append(b"x" * (int(sys.argv[1]) << 10))
    time.sleep(0.05)
