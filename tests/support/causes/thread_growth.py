"""Start threads when a line is read: their number."""

import sys
import threading

end = threading.Event()
print("ready", flush=True)
sys.stdin.readline()
for _ in range(int(sys.argv[1])):
    threading.Thread(target=end.wait, daemon=True).start()
print("done", flush=True)
sys.stdin.read()
