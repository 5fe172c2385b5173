"""`Expect: 100-continue`: head, 100, body, 200; then an ordinary exchange on the same connection."""

from conversation import *

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
BODY = b"b" * 3000


def handler(connection):
    head, rest = read_head(connection)
    connection.sendall(CONTINUE)
    while len(rest) < content_length(head):
        rest += connection.recv(65536)
    connection.sendall(response(b"stored\n", 201, "Created"))
    answer(connection)


listener = listen()
port = listener.getsockname()[1]
server = serve(listener, handler)
wait_for_go(port, server)
with connect(port) as connection:
    sent = request("/upload", "POST", b"Expect: 100-continue\r\n", BODY)
    head, _, _ = sent.partition(b"\r\n\r\n")
    connection.sendall(head + b"\r\n\r\n")
    interim, rest = read_head(connection)
    assert interim == CONTINUE, interim
    time.sleep(0.01)
    connection.sendall(BODY)
    head, body, _ = read_message(connection, rest)
    received = len(head) + len(body)
    note("POST /upload", status_of(head), len(sent), received, interim_bytes=len(interim), server_pid=server)
    exchange(connection, "/after")
report()
