"""Inline commands, as a person types them, one a write and then several in one."""

from resp import *

wait_for_go(PORT)
redis = Redis()
assert redis.call("PING", inline=b"PING\r\n") == b"PONG"
assert redis.call("SET", inline=b"SET inline value\r\n") == b"OK"
assert redis.call("GET", inline=b"GET inline\r\n") == b"value"
redis.call("LPUSH", inline=b"LPUSH inline x\r\n")  # the wrong type: an error
lines = [b"INCR counter\r\n", b"incr counter\r\n", b"GET counter\r\n"]
redis.connection.sendall(b"".join(lines))
for line in lines:
    _, _, received = redis.reply()
    note(line.split()[0].decode().upper(), "ok", len(line), received)
redis.close()
report()
