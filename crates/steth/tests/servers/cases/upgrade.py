"""101, then another protocol on the same connection, whose bytes look like HTTP on purpose."""

from conversation import *

SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n"


def handler(connection):
    answer(connection, 1)
    read_head(connection)
    connection.sendall(SWITCH)
    while received := connection.recv(65536):
        connection.sendall(received)


listener = listen()
port = listener.getsockname()[1]
server = serve(listener, handler)
wait_for_go(port, server)
echoed = 0
with connect(port) as connection:
    exchange(connection, "/before")
    sent = request("/upgrade", headers=b"Upgrade: echo\r\nConnection: Upgrade\r\n")
    connection.sendall(sent)
    head, rest = read_head(connection)
    note("GET /upgrade", status_of(head), len(sent), len(head), "upgraded", server_pid=server)
    for message in (b"\x00\x01binary", request("/not-a-request"), response(b"not a response"), b"end"):
        connection.sendall(message)
        got = b""
        while len(got) < len(message):
            got += connection.recv(65536)
        assert got == message
        echoed += len(message)
report(echoed=echoed)
