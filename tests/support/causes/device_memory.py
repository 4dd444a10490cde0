"""Map a ring for received packets: MiB (requires root)."""

import mmap
import socket
import struct
import sys

PACKET_RX_RING = 5
SOL_PACKET = 263
blocks = int(sys.argv[1])
receiver = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
ring = struct.pack("IIII", 1 << 20, blocks, 1 << 11, blocks << 9)
receiver.setsockopt(SOL_PACKET, PACKET_RX_RING, ring)
area = mmap.mmap(receiver.fileno(), blocks << 20)
print("ready", flush=True)
sys.stdin.read()
