"""A Docker API that knows so many containers: `docker_api.py SOCKET NUMBER [CGROUP_ID NAME]`, the last one by its id and name.

They are listed, each is told when it is asked for, and the stream of events stays open and says nothing.
"""

import json
import os
import socketserver
import sys
import time
from http.server import BaseHTTPRequestHandler

SOCKET, NUMBER, *ONE = sys.argv[1:]
NAMES = {f"{n:064x}": f"service-{n}" for n in range(int(NUMBER))}
if ONE:
    NAMES[ONE[0]] = ONE[1]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        path = self.path.partition("?")[0]
        parts = path.strip("/").split("/")
        if parts[0].startswith("v1."):
            parts = parts[1:]
        if parts == ["version"]:
            self.answer(200, {"ApiVersion": "1.41", "Components": [{"Name": "Engine"}]})
        elif parts == ["containers", "json"]:
            self.answer(200, [{"Id": id} for id in NAMES])
        elif parts == ["events"]:
            self.send_response(200)
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.flush()
            time.sleep(600)
        elif len(parts) == 3 and parts[1] in NAMES:
            name = NAMES[parts[1]]
            config = {"Image": f"registry.example/{name}:1", "Labels": {"app": name}}
            self.answer(200, {"Id": parts[1], "Name": f"/{name}", "Config": config})
        else:
            self.answer(404, {"message": "No such container"})

    def answer(self, status, body):
        body = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self):
        return "unix"

    def log_message(self, *arguments):
        pass


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


server = Server(SOCKET, Handler)
os.chmod(SOCKET, 0o660)
server.serve_forever()
