"""A tiny Redis client for the cases that talk to a real redis-server, whose port is the first argument."""

import sys

from conversation import *

PORT = int(sys.argv[1])


def command(*words):
    parts = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)


class Redis:
    def __init__(self):
        self.connection = connect(PORT)
        self.file = self.connection.makefile("rb")
        self.pushes = []
        self.push_bytes = 0

    def read(self):
        """Reads one value; returns (first byte, value, bytes on the wire)."""
        line = self.file.readline()
        kind, rest, size = line[:1], line[1:-2], len(line)
        if kind in (b"$", b"=", b"!") and rest != b"-1":
            value = self.file.read(int(rest) + 2)
            return kind, value[:-2], size + len(value)
        if kind in (b"*", b"~", b">", b"%"):
            values = []
            for _ in range(max(int(rest), 0) * (2 if kind == b"%" else 1)):
                _, value, length = self.read()
                values.append(value)
                size += length
            return kind, values, size
        return kind, rest, size

    def reply(self, push_is_reply=False):
        """Reads a reply; what is pushed before it is kept apart. (Un)subscribing is answered by a push."""
        while True:
            kind, value, size = self.read()
            if kind != b">" or push_is_reply:
                return kind, value, size
            self.pushes.append([part.decode() for part in value])
            self.push_bytes += size

    def call(self, *words, push_is_reply=False, inline=None):
        sent = inline or command(*words)
        self.connection.sendall(sent)
        kind, value, received = self.reply(push_is_reply)
        status = "error" if kind in (b"-", b"!") else "ok"
        note(str(words[0]), status, len(sent), received)
        return value

    def close(self):
        self.file.close()
        self.connection.close()
