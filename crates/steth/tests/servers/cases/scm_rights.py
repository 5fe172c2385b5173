"""Both ends of a connection move to other processes, over SCM_RIGHTS, between two exchanges.

    client  --exchange 1-->  acceptor
       | passes                 | passes
    heir    --exchange 2, 3->  worker
"""

import json

from conversation import *


def worker(control):
    _, descriptors, _, _ = socket.recv_fds(control, 16, 1)
    with socket.socket(fileno=descriptors[0]) as connection:
        answer(connection)


def acceptor(connection, control):
    answer(connection, 1)
    socket.send_fds(control, [b"take it"], [connection.fileno()])


def heir(control):
    EXCHANGES.clear()
    _, descriptors, _, _ = socket.recv_fds(control, 16, 1)
    with socket.socket(fileno=descriptors[0]) as connection:
        exchange(connection, "/heir/1")
        exchange(connection, "/heir/2")
    control.sendall(json.dumps(EXCHANGES).encode())


listener = listen()
port = listener.getsockname()[1]
to_worker, of_worker = socket.socketpair()
to_heir, of_heir = socket.socketpair()
worker_pid = fork(worker, of_worker)
heir_pid = fork(heir, of_heir)
server = serve(listener, acceptor, to_worker)
wait_for_go(port, server)
connection = connect(port)
exchange(connection, "/client")
socket.send_fds(to_heir, [b"take it"], [connection.fileno()])
connection.close()
EXCHANGES.extend(json.loads(to_heir.recv(65536)))
report(worker_pid=worker_pid, heir_pid=heir_pid)
