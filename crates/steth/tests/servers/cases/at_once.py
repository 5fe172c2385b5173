"""200 connections, each with its first request sent straight after connect, and no second one."""

from conversation import *

listener = listen()
port = listener.getsockname()[1]
wait_for_go(port, serve(listener, answer))
for n in range(200):
    with connect(port) as connection:
        exchange(connection, f"/first/{n}")
report()
