"""A service that hangs: it listens, accepts nobody, and its queue is full, so the kernel drops whoever knocks. To its clients it looks as if
a firewall swallowed their packets."""

import signal
import socket

from service import listening_at

listener = socket.create_server(listening_at(), backlog=0)
full = []
# The queue holds one more than its length.
for _ in range(2):
    full.append(socket.socket())
    full[-1].setblocking(False)
    full[-1].connect_ex(listening_at())
print("hanging", flush=True)
signal.pause()
