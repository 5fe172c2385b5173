"""A connection that was open, and used, before the agent started."""

from conversation import *

listener = listen()
port = listener.getsockname()[1]
server = serve(listener, answer)
connection = connect(port)
exchange(connection, "/before")
before = EXCHANGES[:]
EXCHANGES.clear()
wait_for_go(port, server)
for n in range(3):
    exchange(connection, f"/after/{n}")
connection.close()
report(before=before)
