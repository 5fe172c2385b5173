"""A service that asks Redis once for each request, on one connection: cart.py PORT REDIS."""

import socket
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

redis = socket.create_connection(("127.0.0.1", int(sys.argv[2])))


class Cart(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        redis.sendall(b"*2\r\n$3\r\nGET\r\n$4\r\ncart\r\n")
        found = redis.recv(64) == b"$-1\r\n"
        self.send_response(200 if found else 500)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


HTTPServer(("127.0.0.1", int(sys.argv[1])), Cart).serve_forever()
