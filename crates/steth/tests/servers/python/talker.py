"""A client that talks when it is told to: `talker.py PORT`, then a line for each PING. "ping" goes over the connection that was
opened at the beginning, "fresh N" over N new ones, one after the other, "unix PATH N" likewise over unix sockets; "hold WHERE" opens
another one in its place, to an address or a unix socket, where new ones go from then on; "crowd N" opens N more, and "pings" goes over all
of these; "fork PAUSE SECONDS" goes on making children, with such pauses, each of which lives so long and does nothing. "exec NAME" makes it another image that
keeps the connection. Prints "ok" after each."""

import os
import signal
import socket
import sys
import threading
import time


def ping(connection):
    connection.sendall(b"*1\r\n$4\r\nPING\r\n")
    answer = b""
    while len(answer) < 7:
        answer += connection.recv(7 - len(answer))
    assert answer == b"+PONG\r\n", answer


port = int(sys.argv[1])
host = os.environ.get("STETH_HOST", "127.0.0.1")
crowd = []
forking = None


def connect():
    if not host.startswith("/"):
        return socket.create_connection((host, port))
    fresh = socket.socket(socket.AF_UNIX)
    fresh.connect(host)
    return fresh


def fork(pause, seconds):
    while True:
        if os.fork() == 0:
            time.sleep(seconds)
            os._exit(0)
        time.sleep(pause)

if len(sys.argv) > 3 and sys.argv[2] == "--keep":
    connection = socket.socket(fileno=int(sys.argv[3]))
else:
    connection = connect()
ping(connection)
print("ok", flush=True)
for line in sys.stdin:
    match line.split():
        case ["ping"]:
            ping(connection)
        case ["fresh", *times]:
            for _ in range(int((times or [1])[0])):
                with connect() as fresh:
                    ping(fresh)
        case ["hold", where]:
            host = where
            connection.close()
            connection = connect()
            ping(connection)
        case ["crowd", number]:
            crowd += [connect() for _ in range(int(number))]
        case ["pings"]:
            for one in crowd:
                ping(one)
        case ["fork", pause, seconds]:
            # Nobody waits for them.
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)
            forking = threading.Thread(target=fork, args=(float(pause), float(seconds)), daemon=True)
            forking.start()
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
