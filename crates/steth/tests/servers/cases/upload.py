"""Bodies of a megabyte towards the server: counted to the byte, not copied, and the next request is seen all the same."""

from conversation import *

listener = listen()
port = listener.getsockname()[1]
server = serve(listener, answer)
wait_for_go(port, server)
with connect(port) as connection:
    for n in range(3):
        exchange(connection, f"/upload/{n}", "POST", body=bytes([n]) * (1 << 20))
        exchange(connection, f"/between/{n}")
report()
