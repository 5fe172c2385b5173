"""What the cases share: a server in a child process, the hand-shake with the test, a tiny HTTP client, the report.

A case prints {"port", "client_pid", "server_pid"}, waits for a line on stdin, talks, and prints {"exchanges": [...]}. Byte
counts are those of the whole message on the wire, head and body. Every answer's body ends in the pid that gave it.
"""

import ctypes
import json
import os
import re
import signal
import socket
import struct
import sys
import time

EXCHANGES = []
_children = []


def listen():
    return socket.create_server(("127.0.0.1", 0), backlog=1024)


def fork(run, *arguments):
    """Runs a function in a child process, which ends with it, and returns the child's pid."""
    pid = os.fork()
    if pid == 0:
        status = 1
        # Should the case fail, whoever reads its output must not wait for this child to end.
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        try:
            run(*arguments)
            status = 0
        except (ConnectionError, KeyboardInterrupt) as error:
            print(f"child: {error!r}", file=sys.stderr)
        finally:
            sys.stderr.flush()
            os._exit(status)
    _children.append(pid)
    return pid


def serve(listener, handler, *arguments):
    """Accepts in a child process, one connection after the other. The parent's copy of the listener is closed."""

    def accept():
        while True:
            connection, _ = listener.accept()
            with connection:
                handler(connection, *arguments)

    pid = fork(accept)
    listener.close()
    return pid


def wait_for_go(port, server_pid=0, **more):
    say({"port": port, "client_pid": os.getpid(), "server_pid": server_pid, **more})
    if not sys.stdin.readline():
        sys.exit("nobody said go")


def report(**more):
    """Prints what happened and ends the children."""
    time.sleep(0.02)  # a server sees the end of its connections before it is ended itself
    for pid in _children:
        try:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        except (ProcessLookupError, ChildProcessError):
            pass
    say({"exchanges": EXCHANGES, **more})


def say(value):
    print(json.dumps(value), flush=True)


def connect(port):
    return socket.create_connection(("127.0.0.1", port))


def note(operation, status, sent, received, outcome="answered", **more):
    """Notes an exchange as the client knows it. The operation is the agent's: a number in a path becomes {id}."""
    EXCHANGES.append(
        {
            "operation": re.sub(r"/\d+", "/{id}", operation),
            "path": operation.partition(" ")[2],
            "status": status,
            "request_bytes": sent,
            "response_bytes": received,
            "outcome": outcome,
            "client_pid": os.getpid(),
            **more,
        }
    )


def request(path, method="GET", headers=b"", body=b""):
    length = b"Content-Length: %d\r\n" % len(body) if body else b""
    return b"%s %s HTTP/1.1\r\nHost: lab\r\n%s%s\r\n%s" % (method.encode(), path.encode(), length, headers, body)


def response(body, status=200, reason="OK", headers=b""):
    return b"HTTP/1.1 %d %s\r\nContent-Length: %d\r\n%s\r\n%s" % (status, reason.encode(), len(body), headers, body)


def read_head(connection, got=b"", receive=None):
    """Reads up to the end of a header block; returns (head, what came after it). Nothing at all: the connection ended."""
    receive = receive or (lambda: connection.recv(65536))
    while b"\r\n\r\n" not in got:
        more = receive()
        if not more:
            if got:
                raise ConnectionError(f"ended inside a head: {got!r}")
            return b"", b""
        got += more
    head, _, rest = got.partition(b"\r\n\r\n")
    return head + b"\r\n\r\n", rest


def read_message(connection, got=b"", receive=None, body=True):
    """Reads a message with a Content-Length; returns (head, body, what came after it)."""
    receive = receive or (lambda: connection.recv(65536))
    head, got = read_head(connection, got, receive)
    length = content_length(head) if body else 0
    while len(got) < length:
        more = receive()
        if not more:
            raise ConnectionError("ended inside a body")
        got += more
    return head, got[:length], got[length:]


def content_length(head):
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


def path_of(head):
    return head.split(b" ")[1].decode()


def status_of(head):
    return int(head.split(b" ")[1])


def answer(connection, limit=None):
    """Answers requests until the client has no more, or `limit` of them. The body is the path and the server's pid."""
    rest = b""
    while limit is None or limit > 0:
        head, _, rest = read_message(connection, rest)
        if not head:
            return
        connection.sendall(response(f"{path_of(head)} {os.getpid()}\n".encode()))
        limit = limit and limit - 1


def exchange(connection, path, method="GET", headers=b"", body=b"", **more):
    """One request, one response, noted."""
    sent = request(path, method, headers, body)
    begun = time.monotonic_ns()
    connection.sendall(sent)
    head, got, _ = read_message(connection, body=method != "HEAD")
    elapsed = time.monotonic_ns() - begun
    pid = got.split()[-1:] or [b"0"]
    if pid[0].isdigit():
        more.setdefault("server_pid", int(pid[0]))
    note(f"{method} {path}", status_of(head), len(sent), len(head) + len(got), elapsed_ns=elapsed, **more)


def reset(connection):
    """Closes with a RST instead of a FIN."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def no_delay(connection):
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
