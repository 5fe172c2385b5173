"""A service that asks MariaDB once for each request, on one connection, through MariaDB's own library: orders.py PORT MARIADB."""

import ctypes
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

lib = ctypes.CDLL("libmariadb.so.3")
lib.mysql_init.restype = lib.mysql_store_result.restype = lib.mysql_real_connect.restype = ctypes.c_void_p
database = ctypes.c_void_p(lib.mysql_init(None))
if not lib.mysql_real_connect(database, b"127.0.0.1", b"root", None, b"shop", int(sys.argv[2]), None, ctypes.c_ulong(0)):
    sys.exit("MariaDB refuses")


class Orders(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        failed = lib.mysql_query(database, b"SELECT 17 + 4")
        lib.mysql_free_result(ctypes.c_void_p(lib.mysql_store_result(database)))
        self.send_response(500 if failed else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


HTTPServer(("127.0.0.1", int(sys.argv[1])), Orders).serve_forever()
