"""Pipelines far longer than what is copied of a turn without a look at it: short commands, long values between them, calls that
end in the middle of anything, and many buffers in a call."""

from resp import *

wait_for_go(PORT)
redis = Redis()


def pipeline(commands, send):
    """Sends all of them before it reads any reply."""
    parts = [command(*words) for words in commands]
    send(parts)
    for words, part in zip(commands, parts):
        kind, _, received = redis.reply()
        note(words[0], "error" if kind == b"-" else "ok", len(part), received)


def at_once(parts):
    redis.connection.sendall(b"".join(parts))


def in_pieces(size):
    def send(parts):
        data = b"".join(parts)
        for at in range(0, len(data), size):
            redis.connection.sendall(data[at : at + size])

    return send


def vectors(parts):
    """A thousand buffers in a call, two of each command."""
    buffers = [half for part in parts for half in (part[: len(part) // 2], part[len(part) // 2 :])]
    for at in range(0, len(buffers), 1000):
        some = buffers[at : at + 1000]
        assert os.writev(redis.connection.fileno(), some) == sum(map(len, some))


short = [["SET", f"key:{n:06}", "x" * (n % 40)] if n % 2 else ["GET", f"key:{n:06}"] for n in range(5000)]
pipeline(short, at_once)
pipeline(short[:2000], in_pieces(300))
pipeline(short[:2000], in_pieces(8191))
pipeline(short[:2000], vectors)
long = [["SET", f"long:{n}", b"\r\n$5\r\n*1\r\n" * 10000] if n % 3 == 0 else ["INCR", f"count:{n}"] for n in range(60)]
pipeline(long, at_once)
pipeline(long, in_pieces(16384))
middling = [["SET", f"mid:{n}", b"*" * (n * 20)] if n % 2 else ["INCR", "number"] for n in range(400)]
pipeline(middling, at_once)
pipeline(middling, in_pieces(8191))
pipeline([["LPUSH", "list", *(f"element {n}" for n in range(500))] for _ in range(50)], at_once)
redis.close()
report()
