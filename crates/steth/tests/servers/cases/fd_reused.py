"""A descriptor closed and opened again at once: 100 connections, one after the other, under the same number."""

from conversation import *

listener = listen()
port = listener.getsockname()[1]
wait_for_go(port, serve(listener, answer))
descriptors = set()
for n in range(100):
    connection = connect(port)
    descriptors.add(connection.fileno())
    exchange(connection, f"/connection/{n}")
    connection.close()
assert len(descriptors) == 1, descriptors
report(descriptors=sorted(descriptors))
