"""A client that talks when it is told to: `talker.py PORT`, then a line for each PING. "ping" goes over the connection that was
opened at the beginning, "fresh N" over N new ones, one after the other, "unix PATH N" likewise over unix sockets; "exec NAME" makes
it another image that keeps the connection. Prints "ok" after each."""

import os
import socket
import sys


def ping(connection):
    connection.sendall(b"*1\r\n$4\r\nPING\r\n")
    answer = b""
    while len(answer) < 7:
        answer += connection.recv(7 - len(answer))
    assert answer == b"+PONG\r\n", answer


port = int(sys.argv[1])
host = os.environ.get("STETH_HOST", "127.0.0.1")
if len(sys.argv) > 3 and sys.argv[2] == "--keep":
    connection = socket.socket(fileno=int(sys.argv[3]))
else:
    connection = socket.create_connection((host, port))
ping(connection)
print("ok", flush=True)
for line in sys.stdin:
    match line.split():
        case ["ping"]:
            ping(connection)
        case ["fresh", *times]:
            for _ in range(int((times or [1])[0])):
                with socket.create_connection((host, port)) as fresh:
                    ping(fresh)
        case ["unix", path, times]:
            for _ in range(int(times)):
                with socket.socket(socket.AF_UNIX) as fresh:
                    fresh.connect(path)
                    ping(fresh)
        case ["exec", name]:
            os.set_inheritable(connection.fileno(), True)
            keep = ["--keep", str(connection.fileno()), name]
            os.execv(sys.executable, [sys.executable, sys.argv[0], str(port), *keep])
    print("ok", flush=True)
