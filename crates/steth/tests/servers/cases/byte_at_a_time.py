"""Header blocks sent a byte at a time, in both directions."""

from conversation import *


def slowly(connection, message):
    no_delay(connection)
    for n in range(len(message)):
        connection.sendall(message[n : n + 1])


def handler(connection):
    rest = b""
    while True:
        head, _, rest = read_message(connection, rest)
        if not head:
            return
        slowly(connection, response(b"slowly\n"))


listener = listen()
port = listener.getsockname()[1]
server = serve(listener, handler)
wait_for_go(port, server)
with connect(port) as connection:
    for path in ("/one", "/two"):
        sent = request(path, headers=b"X-Long: " + b"x" * 300 + b"\r\n")
        slowly(connection, sent)
        head, body, _ = read_message(connection)
        note(f"GET {path}", status_of(head), len(sent), len(head) + len(body), server_pid=server)
report()
