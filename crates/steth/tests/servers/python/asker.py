"""Asks a DNS server three times from a socket that is not connected: `asker.py PORT [ADDRESS]`. Its own address is that of the loopback
device, or the one that is named (0.0.0.0: none). Prints its process id."""

import os
import socket
import sys

with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    s.bind((sys.argv[2] if len(sys.argv) > 2 else "127.0.0.1", 0))
    s.settimeout(5)
    for n in range(3):
        s.sendto(bytes([0, n]) + b"\x01\0\0\x01\0\0\0\0\0\0\x01a\x04shop\x04test\0\0\x01\0\x01", ("127.0.0.1", int(sys.argv[1])))
        s.recvfrom(512)
print(os.getpid())
