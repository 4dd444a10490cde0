"""Create objects of 400 bytes: their number."""

import sys

objects = [bytes(400) for _ in range(int(sys.argv[1]))]
print("ready", flush=True)
sys.stdin.read()
