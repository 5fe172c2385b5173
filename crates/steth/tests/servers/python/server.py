"""A threaded HTTP server: `server.py PORT`.

Routes: those of lab/runtimes.rs, and
  GET  /trailers   chunked, with a trailer
  HEAD /           Content-Length, no body
  GET  /slow?300   after 300 ms
  GET  /events     a stream of three events in 300 ms, which ends with the connection
  POST /echo       the body; `Expect: 100-continue` is answered with 100 first
  GET  /upgrade    with `Upgrade: echo`: 101, then every byte comes back
"""

import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def answer(self, status, body=b"", length=None):
        self.send_response(status)
        if status not in (204, 304):
            self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if self.path == "/":
            self.answer(200, b"hello\n")
        elif self.path == "/slow":
            time.sleep(0.05)
            self.answer(200, b"slow\n")
        elif self.path.startswith("/slow?"):
            time.sleep(int(self.path.removeprefix("/slow?")) / 1000)
            self.answer(200, b"slow\n")
        elif self.path == "/events":
            self.events()
        elif self.path.startswith("/status/"):
            self.answer(int(self.path.removeprefix("/status/")))
        elif self.path == "/trailers":
            self.trailers()
        elif self.path == "/upgrade" and self.headers.get("Upgrade") == "echo":
            self.upgrade()
        else:
            self.answer(404)

    def do_HEAD(self):
        self.answer(200, length=6)

    def do_POST(self):
        body = self.body()
        self.answer(200 if self.path == "/echo" else 404, body if self.path == "/echo" else b"")

    def body(self):
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while length := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(length))
            self.rfile.readline()
        while self.rfile.readline().strip():  # trailers
            pass
        return b"".join(parts)

    def trailers(self):
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.send_header("Trailer", "X-Sum")
        self.end_headers()
        for part in (b"one", b"two two", b"three" * 100):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
        self.wfile.write(b"0\r\nX-Sum: 3\r\n\r\n")

    def events(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.end_headers()
        self.close_connection = True
        for n in range(3):
            time.sleep(0.1)
            self.wfile.write(b"data: %d\n\n" % n)

    def upgrade(self):
        self.send_response(101)
        self.send_header("Upgrade", "echo")
        self.send_header("Connection", "Upgrade")
        self.end_headers()
        self.close_connection = True
        while received := self.connection.recv(65536):
            self.connection.sendall(received)

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024


Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
