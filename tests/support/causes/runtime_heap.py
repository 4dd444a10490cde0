"""Create objects of 480 bytes: their number."""

import sys

objects = [bytes(480) for _ in range(int(sys.argv[1]))]
print("ready", flush=True)
sys.stdin.read()
