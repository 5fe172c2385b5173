"""A server whose only thread is busy for 50 ms with each request: `one_at_a_time.py PORT [BACKLOG]`. Whoever comes meanwhile waits in
the queue of connections, of which its own times know nothing."""

import socket
import sys
import time

backlog = int(sys.argv[2]) if len(sys.argv) > 2 else 64
server = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=backlog)
while True:
    connection, _ = server.accept()
    with connection:
        request = b""
        while b"\r\n\r\n" not in request and (more := connection.recv(65536)):
            request += more
        if request:
            time.sleep(0.05)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n")
