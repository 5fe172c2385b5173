"""The client ends its direction with the request; the server reads to the end and then answers."""

from conversation import *


def handler(connection):
    got = b""
    while more := connection.recv(65536):
        got += more
    time.sleep(0.03)
    connection.sendall(response(b"answered after the end\n"))


listener = listen()
port = listener.getsockname()[1]
server = serve(listener, handler)
wait_for_go(port, server)
for n in range(3):
    with connect(port) as connection:
        sent = request(f"/half/{n}", "POST", body=b"body")
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        head, body, _ = read_message(connection)
        note(f"POST /half/{n}", status_of(head), len(sent), len(head) + len(body), server_pid=server)
report()
