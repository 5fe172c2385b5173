"""A server that lets two connections wait, works on one at a time for 50 ms, and has more clients than that. In a network namespace of its
own: what did not fit is all that `nstat` counts there.

`l4_overflow.py GO` waits for the file. Prints a line for each client, its port and what it has waited in all, then the count of `nstat`,
then "done".
"""

import json
import os
import re
import socket
import subprocess
import sys
import threading
import time

PORT, CLIENTS = 8081, 8


def ask(n):
    time.sleep(0.005 * n)
    begun = time.monotonic_ns()
    with socket.create_connection(("127.0.0.1", PORT)) as end:
        end.sendall(b"GET /work HTTP/1.1\r\nHost: x\r\n\r\n")
        while end.recv(1 << 16):
            pass
        # The line is whole before another thread's begins.
        os.write(1, (json.dumps({"port": end.getsockname()[1], "waited": time.monotonic_ns() - begun}) + "\n").encode())


subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
server = os.path.join(os.path.dirname(__file__), "python/one_at_a_time.py")
child = subprocess.Popen(["python3", server, str(PORT), "1"], env={**os.environ, "OTEL_SERVICE_NAME": "test-full"})
while subprocess.run(["ss", "-ltnH", "sport", "=", f":{PORT}"], capture_output=True, check=True).stdout == b"":
    time.sleep(0.01)
print("ready", flush=True)
while not os.path.exists(sys.argv[1]):
    time.sleep(0.01)
threads = [threading.Thread(target=ask, args=(n,)) for n in range(CLIENTS)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
text = subprocess.run(["nstat", "-asz", "TcpExtListenDrops"], capture_output=True, check=True, text=True).stdout
print(json.dumps({"drops": int(re.search(r"TcpExtListenDrops +(\d+)", text).group(1))}), flush=True)
print("done", flush=True)
time.sleep(120)
