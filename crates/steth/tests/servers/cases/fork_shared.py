"""A connection shared by parent and child after fork: each has exchanges on it."""

import json

from conversation import *

listener = listen()
port = listener.getsockname()[1]
server = serve(listener, answer)
wait_for_go(port, server)
connection = connect(port)
exchange(connection, "/parent/before")

reader, writer = os.pipe()
pid = os.fork()
if pid == 0:
    EXCHANGES.clear()
    exchange(connection, "/child")
    os.write(writer, json.dumps(EXCHANGES).encode())
    os._exit(0)
os.waitpid(pid, 0)
EXCHANGES.extend(json.loads(os.read(reader, 65536)))
exchange(connection, "/parent/after")
connection.close()
report(child_pid=pid)
