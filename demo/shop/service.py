"""What the Python services of the shop have in common: HTTP/1.1 with JSON, names from the shop's own DNS, calls, pools.

A service finds the others in its environment: SHOP_DNS is the address of the DNS server, SHOP_CATALOG is `catalog:21043`.
"""

import http.client
import json
import os
import queue
import re
import socketserver
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import dns.exception
import dns.name
import dns.resolver

# As in a cluster, a short name is tried under each of these in turn. In the first nothing exists: NXDOMAIN.
SEARCH = ["eu.shop.internal.", "shop.internal."]
# How long a name is kept, in seconds. Short, so that DNS stays on the map.
KEEP = 4.0


class Names:
    """The shop's names, by asking its DNS server."""

    def __init__(self):
        address, port = os.environ["SHOP_DNS"].rsplit(":", 1)
        self.resolver = dns.resolver.Resolver(configure=False)
        self.resolver.nameservers, self.resolver.port = [address], int(port)
        self.resolver.search = [dns.name.from_text(name) for name in SEARCH]
        self.resolver.lifetime = 2.0
        self.known = {}

    def address(self, name):
        """An IPv4 address. OSError if there is none."""
        address, until = self.known.get(name, (None, 0.0))
        if time.monotonic() >= until:
            try:
                address = self.resolver.resolve(name, "A", search=True)[0].address
            except dns.exception.DNSException as error:
                raise OSError(f"{name}: {error}") from error
            self.known[name] = (address, time.monotonic() + KEEP)
        return address


class Peer:
    """Another service: `Peer("catalog").ask("GET", "/products/7")`."""

    def __init__(self, name, timeout=3.0, keep_alive=True):
        self.name, self.port = os.environ[f"SHOP_{name.upper()}"].rsplit(":", 1)
        self.timeout, self.keep_alive = timeout, keep_alive
        self.local = threading.local()

    def ask(self, method, path, body=None):
        """The status and the JSON of the answer. OSError or HTTPException if there is none."""
        kept = getattr(self.local, "connection", None)
        try:
            return self._ask(kept or self._connection(), method, path, body)
        except (ConnectionError, http.client.HTTPException):
            # The other side may close a connection that waits, at any time.
            if kept is None or method != "GET":
                raise
            return self._ask(self._connection(), method, path, body)

    def _connection(self):
        return http.client.HTTPConnection(NAMES.address(self.name), int(self.port), timeout=self.timeout)

    def _ask(self, connection, method, path, body):
        self.local.connection = None
        headers = {"Host": f"{self.name}:{self.port}"} | ({} if self.keep_alive else {"Connection": "close"})
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            answer = json.loads(response.read() or b"null")
        except BaseException:
            connection.close()
            raise
        if self.keep_alive and not response.will_close:
            self.local.connection = connection
        return response.status, answer


class Pool:
    """A few connections to a database, for all threads. Who finds none free waits."""

    def __init__(self, connect, size):
        self.free = queue.LifoQueue()
        for _ in range(size):
            self.free.put(connect())

    def __enter__(self):
        self.local = getattr(self, "local", threading.local())
        self.local.connection = self.free.get()
        return self.local.connection

    def __exit__(self, *_):
        self.free.put(self.local.connection)


class Handler(BaseHTTPRequestHandler):
    """Finds the route of a request and answers with the JSON that its function returns."""

    protocol_version = "HTTP/1.1"
    # Head and body leave in one piece.
    wbufsize = -1
    disable_nagle_algorithm = True
    routes = []

    def answer(self):
        url = urllib.parse.urlsplit(self.path)
        text = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        status, body = 404, {"error": "no such thing"}
        for method, pattern, function in self.routes:
            match = re.fullmatch(pattern, url.path)
            if method == self.command and match:
                query = dict(urllib.parse.parse_qsl(url.query))
                try:
                    status, body = function(*match.groups(), **query, **(json.loads(text) if text else {}))
                except TimeoutError as error:
                    status, body = 504, {"error": str(error)}
                except (OSError, http.client.HTTPException) as error:
                    status, body = 502, {"error": str(error)}
                break
        out = json.dumps(body, default=str).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(out)))
        self.end_headers()
        self.wfile.write(out)

    do_GET = do_POST = do_DELETE = answer

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True

    def server_bind(self):
        """Without looking for the address's name, for which the library would ask the machine's own DNS."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address

    def handle_error(self, *_):
        """A client that is gone is no news."""


def listening_at():
    """Where this service is to listen."""
    address, port = os.environ["SHOP_LISTEN"].rsplit(":", 1)
    return address, int(port)


def serve(routes):
    """Answers for ever, each connection in a thread of its own."""
    Handler.routes = routes
    Server(listening_at(), Handler).serve_forever()


NAMES = Names()
