"""Asks a DNS server three times from a socket that is not connected: `asker.py PORT`. Prints its process id."""

import os
import socket
import sys

with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    s.bind(("127.0.0.1", 0))
    s.settimeout(5)
    for n in range(3):
        s.sendto(bytes([0, n]) + b"\x01\0\0\x01\0\0\0\0\0\0\x01a\x04shop\x04test\0\0\x01\0\x01", ("127.0.0.1", int(sys.argv[1])))
        s.recvfrom(512)
print(os.getpid())
