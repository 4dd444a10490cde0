"""Start threads that wait: their number."""

import sys
import threading

end = threading.Event()
for _ in range(int(sys.argv[1])):
    threading.Thread(target=end.wait, daemon=True).start()
print("ready", flush=True)
sys.stdin.read()
