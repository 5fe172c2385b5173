"""A Kubernetes API server that says what is in a directory: `cluster_server.py PORT DIRECTORY`.

RESOURCE.json is the list of its items. Each line of the file `events` is a resource and a watch's event, which goes to the watch of that
resource, whenever it is written.

Where there is a file `accepted`, it speaks TLS as server.crt and server.key say, and answers those who have the token that is in it;
tokens of others go to the file `refused`. Watches end with the token that they were asked with.
"""

import json
import os
import ssl
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PORT, DIRECTORY = sys.argv[1:]


def lines():
    try:
        with open(os.path.join(DIRECTORY, "events")) as events:
            return [line for line in events if line.endswith("\n")]
    except FileNotFoundError:
        return []


def accepted():
    try:
        with open(os.path.join(DIRECTORY, "accepted")) as token:
            return "Bearer " + token.read()
    except FileNotFoundError:
        return None


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        path, _, query = self.path.partition("?")
        resource = path.rsplit("/", 1)[-1]
        token = self.headers.get("Authorization")
        if accepted() not in (None, token):
            with open(os.path.join(DIRECTORY, "refused"), "a") as refused:
                refused.write(f"{token}\n")
            body = json.dumps({"kind": "Status", "status": "Failure", "message": "Unauthorized", "code": 401}).encode()
            self.send_response(401)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            return
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        if "watch=" in query:
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            told = 0
            while accepted() in (None, token):
                for line in lines()[told:]:
                    told += 1
                    about, event = line.split(" ", 1)
                    if about == resource:
                        body = event.encode()
                        self.wfile.write(b"%x\r\n%s\r\n" % (len(body), body))
                time.sleep(0.05)
            self.wfile.write(b"0\r\n\r\n")
            return
        items = []
        try:
            with open(os.path.join(DIRECTORY, resource + ".json")) as file:
                items = json.load(file)
        except FileNotFoundError:
            pass
        body = json.dumps({"metadata": {"resourceVersion": "7"}, "items": items}).encode()
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


server = ThreadingHTTPServer(("127.0.0.1", int(PORT)), Handler)
server.daemon_threads = True
if accepted() is not None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(os.path.join(DIRECTORY, "server.crt"), os.path.join(DIRECTORY, "server.key"))
    server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
