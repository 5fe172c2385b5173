"""Hundreds of requests in one write, read in one go, and all answers in one write: far more than one record holds."""

from conversation import *

COUNT = 400


def handler(connection):
    got = b""
    while got.count(b"\r\n\r\n") < COUNT:
        more = connection.recv(1 << 20)
        if not more:
            return
        got += more
        time.sleep(0.05)  # so that the next read takes all that is on its way
    paths = [line.split(b" ")[1].decode() for line in got.split(b"\r\n") if line.startswith(b"GET ")]
    connection.sendall(b"".join(response(f"{path} {os.getpid()}\n".encode()) for path in paths))


listener = listen()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
port = listener.getsockname()[1]
server = serve(listener, handler)
wait_for_go(port, server)
with connect(port) as connection:
    requests = [request(f"/deep/{n}", headers=b"X-Padding: " + b"x" * 60 + b"\r\n") for n in range(COUNT)]
    assert connection.send(b"".join(requests)) == sum(map(len, requests)) > 16384
    rest = b""
    for sent in requests:
        head, got, rest = read_message(connection, rest)
        note(f"GET {path_of(sent)}", status_of(head), len(sent), len(head) + len(got), server_pid=server)
report()
