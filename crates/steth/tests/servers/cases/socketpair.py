"""HTTP between parent and child over a socketpair: no address, no connect, no accept."""

from conversation import *

ours, theirs = socket.socketpair()
server = fork(answer, theirs)
theirs.close()
wait_for_go(0, server)
for n in range(5):
    exchange(ours, f"/pair/{n}")
ours.close()
report()
