"""RESP3: messages pushed to a subscriber before, between and after the replies to its own commands."""

from resp import *

wait_for_go(PORT)
subscriber, publisher = Redis(), Redis()
subscriber.call("HELLO", 3)
subscriber.call("SUBSCRIBE", "news", push_is_reply=True)
for n in range(3):
    assert publisher.call("PUBLISH", "news", f"message {n}") == b"1"
assert subscriber.call("PING") == b"PONG"
subscriber.call("GET", "nothing")
subscriber.call("UNSUBSCRIBE", "news", push_is_reply=True)
assert subscriber.call("ECHO", "last") == b"last"
assert [push[2] for push in subscriber.pushes] == ["message 0", "message 1", "message 2"], subscriber.pushes
subscriber.close()
publisher.close()
report(pushes=subscriber.pushes, push_bytes=subscriber.push_bytes)
