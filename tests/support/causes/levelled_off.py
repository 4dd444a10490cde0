"""Write to memory for half a second and keep it: MiB."""

import sys
import time

time.sleep(0.2)
print("ready", flush=True)
kept = []
for _ in range(10):
    kept.append(b"x" * ((int(sys.argv[1]) << 20) // 10))
    time.sleep(0.05)
sys.stdin.read()
