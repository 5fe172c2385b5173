"""HEAD is answered with a Content-Length and no body; the next response on the connection must not be taken for it."""

from conversation import *


def handler(connection):
    rest = b""
    while True:
        head, _, rest = read_message(connection, rest)
        if not head:
            return
        message = response(b"x" * 5000)
        connection.sendall(message[: message.index(b"\r\n\r\n") + 4] if head.startswith(b"HEAD") else message)


listener = listen()
port = listener.getsockname()[1]
server = serve(listener, handler)
wait_for_go(port, server)
with connect(port) as connection:
    for method, path in (("HEAD", "/a"), ("GET", "/b"), ("HEAD", "/c"), ("HEAD", "/d"), ("GET", "/e")):
        exchange(connection, path, method, server_pid=server)
report()
