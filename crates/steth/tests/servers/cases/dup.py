"""One connection under three descriptors: the request goes out on one, the response comes in on another."""

from conversation import *

listener = listen()
port = listener.getsockname()[1]
server = serve(listener, answer)
wait_for_go(port, server)
first = connect(port)
exchange(first, "/original")
second = first.dup()
third = second.dup()
first.close()
exchange(second, "/dup")
sent = request("/crossed")
second.sendall(sent)
second.close()
head, body, _ = read_message(third)
note("GET /crossed", status_of(head), len(sent), len(head) + len(body), server_pid=server)
exchange(third, "/last")
third.close()
report()
