"""A client that goes to a service's address, which the kernel sends on to where the server is, and under another address of its own, as it
is with containers' published ports and with services of a cluster. In a network namespace of its own.

`l4_rewritten.py GO` waits for the file, talks once over HTTP and once over something else, and says "done".
"""

import os
import socket
import subprocess
import sys
import time

SERVICE, HERE, MASKED, REAL = "10.99.99.99", "10.0.0.1", "10.0.0.2", 8080


def run(*words):
    subprocess.run(words, check=True)


if sys.argv[1] == "serve":
    server = socket.create_server((HERE, REAL))
    print("ready", flush=True)
    while True:
        end, (client, _) = server.accept()
        # Otherwise nothing is shown about addresses of clients that are rewritten.
        assert client == MASKED, client
        with end:
            request = end.recv(1 << 16)
            end.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n" if request[:3] == b"GET" else b"\xf7" * 300)
            assert end.recv(1) == b""

run("ip", "link", "set", "lo", "up")
for address in HERE, MASKED:
    run("ip", "address", "add", address + "/32", "dev", "lo")
run("ip", "route", "add", SERVICE + "/32", "dev", "lo", "src", HERE)
to, source = ["-p", "tcp", "-d", SERVICE, "--dport", "80"], ["-p", "tcp", "--dport", str(REAL)]
run("iptables", "-t", "nat", "-A", "OUTPUT", *to, "-j", "DNAT", "--to-destination", f"{HERE}:{REAL}")
run("iptables", "-t", "nat", "-A", "POSTROUTING", *source, "-j", "SNAT", "--to-source", MASKED)
child = subprocess.Popen(
    ["python3", __file__, "serve"], stdout=subprocess.PIPE, text=True, env={**os.environ, "OTEL_SERVICE_NAME": "test-real"}
)
assert child.stdout.readline() == "ready\n"
print("ready", flush=True)
while not os.path.exists(sys.argv[1]):
    time.sleep(0.01)
for request in (b"GET /rewritten HTTP/1.1\r\nHost: x\r\n\r\n", b"\xf7" * 1000):
    with socket.create_connection((SERVICE, 80)) as end:
        end.sendall(request)
        assert len(end.recv(1 << 16)) in (41, 300)
print("done", flush=True)
time.sleep(120)
