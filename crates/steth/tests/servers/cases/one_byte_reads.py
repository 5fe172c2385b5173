"""A server, and then a client, that takes one byte a call."""

from conversation import *

BODY = b"b" * 16384


def handler(connection):
    rest = b""
    for _ in range(2):
        head, body, rest = read_message(connection, rest, lambda: connection.recv(1))
        connection.sendall(response(body))


listener = listen()
port = listener.getsockname()[1]
server = serve(listener, handler)
wait_for_go(port, server)
with connect(port) as connection:
    for path in ("/one", "/two"):
        sent = request(path, "POST", body=BODY)
        connection.sendall(sent)
        head, body, _ = read_message(connection, receive=lambda: connection.recv(1))
        received = len(head) + len(body)
        note(f"POST {path}", status_of(head), len(sent), received, server_pid=server)
report(calls=sum(e["request_bytes"] + e["response_bytes"] for e in EXCHANGES))
