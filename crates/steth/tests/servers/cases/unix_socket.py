"""HTTP over a unix stream socket with a path."""

from conversation import *

PATH = "case.sock"
listener = socket.socket(socket.AF_UNIX)
listener.bind(PATH)
listener.listen()
server = serve(listener, answer)
wait_for_go(0, server, socket=os.path.abspath(PATH))
for connection_number in range(3):
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(PATH)
    for n in range(2):
        exchange(connection, f"/unix/{connection_number}/{n}")
    connection.close()
report()
