"""A Kubernetes API server that says what is in a directory: `cluster_server.py PORT DIRECTORY`.

RESOURCE.json is the list of its items. Each line of the file `events` is a resource and a watch's event, which goes to the watch of that
resource, whenever it is written.
"""

import json
import os
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


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        path, _, query = self.path.partition("?")
        resource = path.rsplit("/", 1)[-1]
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        if "watch=" in query:
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            told = 0
            while True:
                for line in lines()[told:]:
                    told += 1
                    about, event = line.split(" ", 1)
                    if about == resource:
                        body = event.encode()
                        self.wfile.write(b"%x\r\n%s\r\n" % (len(body), body))
                time.sleep(0.05)
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
server.serve_forever()
