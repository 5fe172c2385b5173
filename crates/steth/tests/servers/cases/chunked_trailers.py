"""Chunked bodies with trailers, in both directions, twice on one connection."""

from conversation import *


def chunked(parts):
    chunks = b"".join(b"%x;note=1\r\n%s\r\n" % (len(part), part) for part in parts)
    return chunks + b"0\r\nX-Sum: %d\r\nX-Other: two\r\n\r\n" % len(parts)


def read_chunked(connection, rest):
    """Reads to the end of the trailers, which here are never empty."""
    end = rest.find(b"\r\n0\r\n")
    while end < 0 or b"\r\n\r\n" not in rest[end + 5 :]:
        rest += connection.recv(65536)
        end = rest.find(b"\r\n0\r\n")
    return rest


HEAD = b"Transfer-Encoding: chunked\r\nTrailer: X-Sum, X-Other\r\n\r\n"
PARTS = [b"one", b"HTTP/1.1 200 OK\r\n\r\n", b"z" * 5000]


def handler(connection):
    for _ in range(2):
        _, rest = read_head(connection)
        read_chunked(connection, rest)
        connection.sendall(b"HTTP/1.1 200 OK\r\n" + HEAD)
        body = chunked(PARTS)
        connection.sendall(body[:7])  # splits a chunk's head from its data
        time.sleep(0.005)
        connection.sendall(body[7:])


listener = listen()
port = listener.getsockname()[1]
server = serve(listener, handler)
wait_for_go(port, server)
with connect(port) as connection:
    for path in ("/one", "/two"):
        sent = b"PUT %s HTTP/1.1\r\nHost: lab\r\n" % path.encode() + HEAD + chunked(PARTS[:2])
        connection.sendall(sent)
        head, rest = read_head(connection)
        body = read_chunked(connection, rest)
        note(f"PUT {path}", status_of(head), len(sent), len(head) + len(body), server_pid=server)
report()
