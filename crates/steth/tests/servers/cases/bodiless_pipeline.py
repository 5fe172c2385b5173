"""Answers that name a length and have no body (HEAD, 304, 204), pipelined with others, more than a kilobyte in one write."""

from conversation import *

PLAN = [("HEAD", "/a"), ("GET", "/modified"), ("GET", "/nothing"), ("HEAD", "/b"), ("GET", "/full"), ("GET", "/modified")]
PADDING = b"X-Padding: " + b"x" * 400 + b"\r\n"


def answer_to(method, path):
    if path == "/modified":
        message = response(b"x" * 3000, 304, "Not Modified", PADDING)
    elif path == "/nothing":
        message = response(b"x" * 3000, 204, "No Content", PADDING)
    else:
        return response(b"x" * 300, headers=PADDING)[: None if method == "GET" else -300]
    return message[:-3000]


def handler(connection):
    got = b""
    while got.count(b"\r\n\r\n") < len(PLAN):
        more = connection.recv(65536)
        if not more:
            return
        got += more
    connection.sendall(b"".join(answer_to(method, path) for method, path in PLAN))


listener = listen()
port = listener.getsockname()[1]
server = serve(listener, handler)
wait_for_go(port, server)
with connect(port) as connection:
    requests = [request(path, method) for method, path in PLAN]
    connection.sendall(b"".join(requests))
    expected = [answer_to(method, path) for method, path in PLAN]
    time.sleep(0.05)
    wanted = sum(map(len, expected))
    got = b""
    while len(got) < wanted:
        got += connection.recv(65536)
    assert got == b"".join(expected)
    for (method, path), sent, answered in zip(PLAN, requests, expected):
        note(f"{method} {path}", status_of(answered), len(sent), len(answered), server_pid=server)
report()
