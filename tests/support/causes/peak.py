"""Write to memory and free it after half a second: MiB."""

import sys
import time

print("ready", flush=True)
time.sleep(0.3)
kept = b"x" * (int(sys.argv[1]) << 20)
time.sleep(0.5)
del kept
sys.stdin.read()
