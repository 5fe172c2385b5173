"""A request that is never answered: the server closes after 100 ms."""

from conversation import *


def handler(connection):
    read_message(connection)
    time.sleep(0.1)


listener = listen()
port = listener.getsockname()[1]
server = serve(listener, handler)
wait_for_go(port, server)
for n in range(3):
    with connect(port) as connection:
        sent = request(f"/never/{n}")
        connection.sendall(sent)
        assert connection.recv(1) == b""
        note(f"GET /never/{n}", None, len(sent), 0, "unanswered", server_pid=server)
report()
