"""The server resets the connection in the middle of a response body."""

from conversation import *


def handler(connection):
    read_message(connection)
    message = response(b"x" * 100_000)
    connection.sendall(message[:1000])
    time.sleep(0.05)  # the client has read them: a reset throws away what was not
    reset(connection)


listener = listen()
port = listener.getsockname()[1]
server = serve(listener, handler)
wait_for_go(port, server)
for n in range(3):
    with connect(port) as connection:
        sent = request(f"/reset/{n}")
        connection.sendall(sent)
        got = b""
        try:
            while more := connection.recv(65536):
                got += more
            raise SystemExit("the connection ended without a reset")
        except ConnectionResetError:
            note(f"GET /reset/{n}", status_of(got), len(sent), len(got), "reset", server_pid=server)
report()
