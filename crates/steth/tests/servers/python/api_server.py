"""A Kubernetes API server that knows one service: `api_server.py PORT NAMESPACE NAME ADDRESS`.

Every list has one version; every watch stays open and says nothing.
"""

import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PORT, NAMESPACE, NAME, ADDRESS = sys.argv[1:]
SERVICE = {
    "metadata": {"name": NAME, "namespace": NAMESPACE, "uid": "11111111-2222-3333-4444-555555555555"},
    "spec": {"clusterIP": "10.96.0.7", "clusterIPs": ["10.96.0.7"], "externalIPs": [ADDRESS], "ports": []},
}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        path, _, query = self.path.partition("?")
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        if "watch=" in query:
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            time.sleep(600)
            return
        items = [SERVICE] if path == "/api/v1/services" else []
        body = json.dumps({"metadata": {"resourceVersion": "7"}, "items": items}).encode()
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


server = ThreadingHTTPServer(("127.0.0.1", int(PORT)), Handler)
server.daemon_threads = True
server.serve_forever()
