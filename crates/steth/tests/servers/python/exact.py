"""A server that reads each request by itself, whatever has come behind it, and works on it for 50 ms: `exact.py PORT SIZE`. All requests
have this size."""

import socket
import sys
import time

server = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=64)
while True:
    connection, _ = server.accept()
    with connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while len(connection.recv(int(sys.argv[2]), socket.MSG_WAITALL)) == int(sys.argv[2]):
            time.sleep(0.05)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n")
