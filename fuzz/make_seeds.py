#!/usr/bin/env python3
"""Writes the seeds under seeds/ from readable conversations: `python3 fuzz/make_seeds.py`. Run it again after a change of
a format; the result is the same every time."""

import pathlib
import re
import struct
import zlib

HOME = pathlib.Path(__file__).resolve().parent / "seeds"
REQUEST, RESPONSE, SHUTDOWN, CLOSE = 0, 1, 12, 14


def save(target, name, data):
    folder = HOME / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)


def script(*steps):
    """The input of the targets `http1`, `redis` and `mysql`: a command, a length, that many bytes; longer ones in several steps."""
    out = b""
    for command, data in steps:
        for at in range(0, max(len(data), 1), 255):
            part = data[at : at + 255]
            out += bytes([command, len(part)]) + part
    return out


def bytewise(command, data):
    return [(command, data[n : n + 1]) for n in range(len(data))]


def http():
    def seed(name, *steps):
        save("http1", name, script(*steps))

    get = b"GET /users/42?x=1 HTTP/1.1\r\nHost: shop:8080\r\nUser-Agent: lab\r\n\r\n"
    ok = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nContent-Type: text/plain\r\n\r\nhello\n"
    seed("get", (REQUEST, get), (RESPONSE, ok), (REQUEST, get), (RESPONSE, ok))
    seed("pipelined", (REQUEST, get * 4), (RESPONSE, ok * 4))
    seed("byte_at_a_time", *bytewise(REQUEST, get), *bytewise(RESPONSE, ok))
    seed("head", (REQUEST, get.replace(b"GET", b"HEAD")), (RESPONSE, ok[:-6]), (REQUEST, get), (RESPONSE, ok))
    chunked = b"Transfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\nA\r\n0123456789\r\n0\r\nX-Sum: 2\r\n\r\n"
    post = b"POST /orders HTTP/1.1\r\nHost: a\r\n"
    seed("chunked", (REQUEST, post + chunked), (RESPONSE, b"HTTP/1.1 201 Created\r\n" + chunked))
    expect = post + b"Expect: 100-continue\r\nContent-Length: 4\r\n\r\n"
    seed("continue", (REQUEST, expect), (RESPONSE, b"HTTP/1.1 100 Continue\r\n\r\n"), (REQUEST, b"body"), (RESPONSE, ok))
    upgrade = b"GET /ws HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    switch = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    seed("upgrade", (REQUEST, upgrade), (RESPONSE, switch), (REQUEST, b"\x81\x05hello"), (RESPONSE, b"\x81\x02ok"))
    tunnel = b"CONNECT db:5432 HTTP/1.1\r\nHost: db:5432\r\n\r\n"
    seed("connect", (REQUEST, tunnel), (RESPONSE, b"HTTP/1.1 200 Connection established\r\n\r\n"), (REQUEST, b"\0\0\0\x08"))
    until_end = b"HTTP/1.0 200 OK\r\nServer: old\r\n\r\nuntil the end"
    seed("until_close", (REQUEST, b"GET / HTTP/1.0\r\n\r\n"), (RESPONSE, until_end), (SHUTDOWN | 1, b""), (CLOSE, b""))
    seed("no_content", (REQUEST, get * 2), (RESPONSE, b"HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 304 Not Modified\r\n\r\n"))
    errors = b"".join(b"HTTP/1.1 %d Why\r\nContent-Length: 0\r\n\r\n" % s for s in (301, 404, 500, 503))
    seed("errors", (REQUEST, get * 4), (RESPONSE, errors))
    big = b"HTTP/1.1 200 OK\r\nContent-Length: 300\r\n\r\n"
    seed("skipped_body", (REQUEST, get), (RESPONSE, big), (RESPONSE | 8, b"s" * 200), (RESPONSE | 8, b"s" * 100), (REQUEST, get))
    seed("lost", (REQUEST, get), (RESPONSE | 10, b"lost"), (REQUEST, get), (RESPONSE, ok), (CLOSE, b"xy"))
    seed("smuggled", (REQUEST, post + b"Content-Length: 5\r\nContent-Length: 6\r\n" + chunked), (RESPONSE, ok))
    seed("folded", (REQUEST, b"GET / HTTP/1.1\r\nHost: a\r\n folded\r\nX :y\r\n: z\r\n\r\n"), (RESPONSE, ok.replace(b"\r\n", b"\n")))


def redis():
    def seed(name, *steps):
        save("redis", name, script(*steps))

    def command(*words):
        return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words)

    get, put = command(b"GET", b"user:1"), command(b"SET", b"user:1", b"x" * 30, b"EX", b"10")
    bulk = b"$5\r\nhello\r\n"
    seed("get", (REQUEST, get), (RESPONSE, bulk), (REQUEST, put), (RESPONSE, b"+OK\r\n"), (REQUEST, get), (RESPONSE, b"$-1\r\n"))
    seed("pipelined", (REQUEST, get * 16), (RESPONSE, bulk * 16))
    seed("byte_at_a_time", *bytewise(REQUEST, put), *bytewise(RESPONSE, b"-ERR wrong\r\n"))
    seed("inline", (REQUEST, b"PING\r\nSET a b\r\n"), (RESPONSE, b"+PONG\r\n+OK\r\n"))
    types = b"*3\r\n:1\r\n$-1\r\n*2\r\n+a\r\n-ERR b\r\n%2\r\n+k\r\n,1.5\r\n+l\r\n#t\r\n~1\r\n_\r\n(123456789012345678901\r\n=7\r\ntxt:abc\r\n!5\r\nERR x\r\n"
    seed("resp3", (REQUEST, command(b"HELLO", b"3") + get * 6), (RESPONSE, types))
    push = b">3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$2\r\nhi\r\n"
    subscribe = b">3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n"
    seed("pushes", (REQUEST, command(b"SUBSCRIBE", b"news")), (RESPONSE, subscribe + push), (REQUEST, get), (RESPONSE, push + bulk + push))
    seed("attributes", (REQUEST, get), (RESPONSE, b"|1\r\n+ttl\r\n:3600\r\n" + bulk))
    seed("streamed", (REQUEST, get), (RESPONSE, b"$?\r\n;4\r\nabcd\r\n;0\r\n*?\r\n:1\r\n.\r\n"))
    seed("transaction", (REQUEST, command(b"MULTI") + get + command(b"EXEC")), (RESPONSE, b"+OK\r\n+QUEUED\r\n*1\r\n" + bulk))
    seed("monitor", (REQUEST, command(b"MONITOR")), (RESPONSE, b'+OK\r\n+1700000000.1 [0 127.0.0.1:1] "GET" "a"\r\n'))
    seed("script", (REQUEST, command(b"EVALSHA", b"a" * 40, b"1", b"k")), (RESPONSE, b"-NOSCRIPT No matching script\r\n"))
    seed("moved", (REQUEST, get), (RESPONSE, b"-MOVED 3999 127.0.0.1:6381\r\n"))
    big = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$400\r\n"
    seed("skipped_value", (REQUEST, big), (REQUEST | 8, b"v" * 250), (REQUEST | 8, b"v" * 152), (RESPONSE, b"+OK\r\n"))
    seed("lost", (REQUEST, get), (RESPONSE | 10, b"lost"), (REQUEST, get), (RESPONSE, bulk), (CLOSE, b"x"))
    seed("blocked", (REQUEST, command(b"BLPOP", b"q", b"0")), (CLOSE | 1, b""))


def mysql():
    def seed(name, *steps):
        save("mysql", name, script(*steps))

    def packet(number, payload):
        return struct.pack("<I", len(payload))[:3] + bytes([number]) + payload

    def packets(*payloads):
        return b"".join(packet(n + 1, payload) for n, payload in enumerate(payloads))

    def query(text):
        return packet(0, b"\x03" + text)

    def frame(number, packed, length=0):
        return struct.pack("<I", len(packed))[:3] + bytes([number]) + struct.pack("<I", length)[:3] + packed

    ok, eof, end = b"\0\x01\0\x02\0\0\0", b"\xfe\0\0\x02\0", b"\xfe\0\0\x02\0\0\0"
    more = b"\xfe\0\0\x0a\0"
    column = b"\x03def\x01a\x01b\x01b\x01c\x01c\x0c\x21\0\x01\0\0\0\x03\0\0\0\0\0"
    error = b"\xff\x28\x04#42000You have an error in your SQL syntax"
    ping, quit_ = packet(0, b"\x0e"), packet(0, b"\x01")
    greeting = packet(0, b"\x0a5.5.5-10.11.6-MariaDB\0\x08\0\0\0abcdefgh\0\xff\xf7\x08\x02\0\xff\xff\x15" + b"\0" * 10 + b"abcdefghijkl\0mysql_native_password\0")

    def login(flags=0):
        return packet(1, struct.pack("<I", flags | 1 << 9 | 1 << 15 | 1 << 3) + b"\0" * 28 + b"root\0\x03abcshop\0")

    rows = packets(b"\x01", column, eof, b"\x01x", b"\xfb", eof)
    seed("login", (RESPONSE, greeting), (REQUEST, login()), (RESPONSE, packet(2, ok)), (REQUEST, query(b"SELECT 1")), (RESPONSE, rows), (REQUEST, quit_))
    switch = packet(2, b"\xfecaching_sha2_password\0abcdefghijklmnopqrst\0")
    seed("auth_switch", (RESPONSE, greeting), (REQUEST, login()), (RESPONSE, switch), (REQUEST, packet(3, b"x" * 32)), (RESPONSE, packet(4, b"\x01\x03") + packet(5, ok)))
    seed("refused", (RESPONSE, greeting), (REQUEST, login()), (RESPONSE, packet(2, error)), (CLOSE, b""))
    seed("tls", (RESPONSE, greeting), (REQUEST, packet(1, struct.pack("<I", 1 << 9 | 1 << 11) + b"\0" * 28)), (REQUEST, b"\x16\x03\x01"))
    seed("no_eof", (REQUEST, query(b"SELECT 1")), (RESPONSE, packets(b"\x01", column, b"\x01x", end)))
    seed("results", (REQUEST, query(b"CALL p()")), (RESPONSE, packets(b"\x01", column, eof, b"\x01x", more, b"\x01", column, eof, more, ok)))
    seed("error", (REQUEST, query(b"SELEC 1")), (RESPONSE, packet(1, error)), (REQUEST, ping), (RESPONSE, packet(1, ok)))
    prepare, execute = packet(0, b"\x16SELECT a FROM t WHERE b = ?"), packet(0, b"\x17\x05\0\0\0\0\x01\0\0\0\0\x01\x08\0" + b"\7" * 8)
    prepared = packets(b"\0\x05\0\0\0\x01\0\x01\0\0\0\0", column, eof, column, eof)
    close, data = packet(0, b"\x19\x05\0\0\0"), packet(0, b"\x18\x05\0\0\0\0\0long data")
    binary = packets(b"\x01", column, eof, b"\0\0\x01a", eof)
    seed("prepared", (REQUEST, prepare), (RESPONSE, prepared), (REQUEST, data + execute), (RESPONSE, binary), (REQUEST, close + ping), (RESPONSE, packet(1, ok)))
    seed("prepared_late", (REQUEST, prepare), (RESPONSE, packets(b"\0\x05\0\0\0\x01\0\0\0\0\0\0", column)), (REQUEST, execute), (RESPONSE, binary))
    seed("fetch", (REQUEST, packet(0, b"\x1c\x05\0\0\0\x02\0\0\0")), (RESPONSE, packets(b"\0\0\x01a", b"\xfe\0\0\x82\0")))
    seed("infile", (REQUEST, query(b"LOAD DATA LOCAL INFILE 'f' INTO TABLE t")), (RESPONSE, packet(1, b"\xfbf")), (REQUEST, packet(2, b"1\t2\n") + packet(3, b"")), (RESPONSE, packet(4, ok)))
    seed("progress", (REQUEST, query(b"ALTER TABLE t ENGINE=InnoDB")), (RESPONSE, packets(b"\xff\xff\xff\x01\x01\x02\x10\x27\0\x05alter", ok)))
    seed("byte_at_a_time", *bytewise(REQUEST, query(b"USE shop")), *bytewise(RESPONSE, packet(1, ok)))
    seed("large", (REQUEST, b"\xff\xff\xff\0\x03INSERT"), (REQUEST | 8 | 48, b"s"), (RESPONSE, packet(2, ok)), (REQUEST, ping), (RESPONSE, packet(1, ok)))
    seed("skipped_rows", (REQUEST, query(b"SELECT 1")), (RESPONSE, rows[:50]), (RESPONSE | 8, b"s" * 200), (REQUEST, ping), (RESPONSE, packet(1, ok)))
    seed("lost", (REQUEST, ping), (RESPONSE | 10, b"lost"), (REQUEST, ping), (RESPONSE, packet(1, ok)), (CLOSE, b"x"))
    seed("binlog", (REQUEST, packet(0, b"\x12\x04\0\0\0\0\0\x01\0\0\0")), (RESPONSE, packet(1, b"\0" * 40)))
    long = query(b"SELECT '" + b"x" * 100 + b"'")
    start = [(RESPONSE, greeting), (REQUEST, login(1 << 5)), (RESPONSE, packet(2, ok))]
    seed("compressed", *start, (REQUEST, frame(0, ping)), (RESPONSE, frame(1, packet(1, ok))), (REQUEST, frame(0, zlib.compress(long), len(long))), (RESPONSE, frame(1, zlib.compress(rows), len(rows))))
    begin = [(RESPONSE, greeting), (REQUEST, login(1 << 26)), (RESPONSE, packet(2, ok))]
    magic = b"\x28\xb5\x2f\xfd"
    # A frame of one raw block; many blocks of one repeated byte behind a window of 2 GiB; a block of many long repetitions.
    raw = magic + b"\x20" + bytes([len(long)]) + struct.pack("<I", len(long) << 3 | 1)[:3] + long
    seed("zstd", *begin, (REQUEST, frame(0, raw, len(long))), (RESPONSE, frame(1, packet(1, ok))))
    bomb = magic + b"\x00\xa8" + b"\x02\x00\x10x" * 60 + b"\x01\x00\x00"
    seed("zstd_bomb", *begin, (REQUEST, frame(0, bomb, 200)), (RESPONSE, frame(1, packet(1, ok))))
    block = b"\x20abcd\x81\x90\x54\x00\x00\x34" + bytes(800) + b"\x01"
    bomb = magic + b"\x00\x50\x82\x00\x00x" + struct.pack("<I", len(block) << 3 | 5)[:3] + block
    seed("zstd_bomb_of_sequences", *begin, (REQUEST, frame(0, bomb, 200)), (RESPONSE, frame(1, packet(1, ok))))
    seed("compressed_lost", *start, (REQUEST, frame(0, ping)), (RESPONSE, frame(1, b"x" * 20, 500)[:15]), (RESPONSE | 8, b"s" * 99), (REQUEST, frame(0, ping)), (RESPONSE, frame(1, packet(1, ok))))


def postgresql():
    def seed(name, *steps):
        save("postgresql", name, script(*steps))

    def message(kind, body=b""):
        return kind + struct.pack(">I", len(body) + 4) + body

    start = message(b"", struct.pack(">I", 3 << 16) + b"user\0me\0database\0shop\0\0")
    ready = message(b"Z", b"I")
    welcome = message(b"R", bytes(4)) + message(b"S", b"TimeZone\0UTC\0") + message(b"K", bytes(8)) + ready
    opened = [(REQUEST, start), (RESPONSE, welcome)]
    query = message(b"Q", b"SELECT a FROM t WHERE b = 'x'\0")
    fields = message(b"T", b"\0\1a\0" + bytes(6) + b"\0\0\0\x17\0\4" + b"\xff" * 4 + b"\0\0")
    row = message(b"D", b"\0\1\0\0\0\2ab")
    done = message(b"C", b"SELECT 1\0")
    rows = fields + row + done + ready
    error = message(b"E", b"SERROR\0VERROR\0C23505\0Mduplicate key\0\0")
    parse, bind = message(b"P", b"s\0SELECT $1\0\0\0"), message(b"B", b"\0s\0\0\0\0\1\0\0\0\1x\0\0")
    describe, execute, sync = message(b"D", b"P\0"), message(b"E", bytes(5)), message(b"S")
    run, ran = parse + bind + describe + execute, message(b"1") + message(b"2") + message(b"n") + done
    seed("query", *opened, (REQUEST, query), (RESPONSE, rows))
    seed("byte_at_a_time", *bytewise(REQUEST, start + query), *bytewise(RESPONSE, welcome + rows))
    seed("statements", (REQUEST, message(b"Q", b"BEGIN; SELECT ';'; COMMIT\0")), (RESPONSE, done * 3 + ready))
    seed("extended", *opened, (REQUEST, run + sync), (RESPONSE, ran + ready))
    seed("pipeline", *opened, (REQUEST, run * 4 + sync + run + sync), (RESPONSE, ran + error + ready + ran + ready))
    seed("at_commit", *opened, (REQUEST, run + sync), (RESPONSE, ran + error + ready))
    seed("suspended", (REQUEST, run + message(b"H")), (RESPONSE, ran[:15] + row + message(b"s")), (REQUEST, execute + sync), (RESPONSE, done + ready))
    closes = message(b"C", b"Ss\0") + message(b"C", b"P\0")
    seed("closed", (REQUEST, parse + closes + sync), (RESPONSE, message(b"1") + message(b"3") * 2 + ready))
    copy = message(b"Q", b"COPY t FROM STDIN\0")
    data = message(b"d", b"1\n")
    seed("copy_in", (REQUEST, copy), (RESPONSE, message(b"G", bytes(3))), (REQUEST, data * 3 + message(b"c")), (RESPONSE, done + ready))
    seed("copy_in_extended", (REQUEST, run + sync), (RESPONSE, ran[:15] + message(b"G", bytes(3))), (REQUEST, data + sync + message(b"f", b"no\0") + sync), (RESPONSE, error + ready))
    seed("copy_out", (REQUEST, query), (RESPONSE, message(b"H", bytes(3)) + data * 3 + message(b"c") + done + ready))
    seed("replication", (REQUEST, query), (RESPONSE, message(b"W", bytes(3)) + data))
    seed("function", (REQUEST, message(b"F", bytes(10))), (RESPONSE, message(b"V", bytes(4)) + ready))
    ssl, gss = (message(b"", struct.pack(">I", code)) for code in (80877103, 80877104))
    seed("refused", (REQUEST, gss), (RESPONSE, b"N"), (REQUEST, ssl), (RESPONSE, b"N"), *opened, (REQUEST, query), (RESPONSE, rows))
    seed("encrypted", (REQUEST, ssl), (RESPONSE, b"S"), (REQUEST, b"\x16\x03\x01"), (CLOSE, b"x"))
    seed("cancel", (REQUEST, message(b"", struct.pack(">III", 80877102, 1, 2))), (CLOSE, b""))
    password = message(b"R", b"\0\0\0\5salt")
    seed("password", (REQUEST, start), (RESPONSE, password), (REQUEST, message(b"p", b"md5\0")), (RESPONSE, error), (CLOSE, b""))
    seed("asynchronous", *opened, (RESPONSE, message(b"A", bytes(4) + b"c\0p\0")), (REQUEST, query), (RESPONSE, message(b"N", b"C00000\0\0") + rows))
    seed("skipped_rows", *opened, (REQUEST, query), (RESPONSE, fields), (RESPONSE | 8, b"s" * 200), (REQUEST, query), (RESPONSE, rows))
    seed("skipped_requests", *opened, (REQUEST, run), (REQUEST | 8, b"s" * 90), (RESPONSE, ran * 2 + ready), (REQUEST, query), (RESPONSE, rows))
    seed("lost", *opened, (REQUEST, run + sync), (RESPONSE | 10, b"lost"), (REQUEST, query), (RESPONSE, rows), (CLOSE, b"xy"))
    seed("late", (RESPONSE, row + done + ready), (REQUEST, bind + execute + sync), (RESPONSE, ran[5:10] + done + ready))


def dns():
    def seed(name, *steps):
        save("dns", name, script(*steps))

    def message(id, flags, name, kind=1, answers=(), extra=b"", questions=1):
        header = struct.pack(">6H", id, flags, questions, len(answers), 0, 1 if extra else 0)
        labels = b"".join(bytes([len(label)]) + label for label in name.split(b".") if label) + b"\0"
        return header + (labels + struct.pack(">HH", kind, 1)) * min(questions, 1) + b"".join(answers) + extra

    def record(kind, data, ttl=300, owner=b"\xc0\x0c"):
        return owner + struct.pack(">HHIH", kind, 1, ttl, len(data)) + data

    def framed(*messages):
        return b"".join(struct.pack(">H", len(m)) + m for m in messages)

    four, six = record(1, b"\xc0\0\2\1"), record(28, b"\x20\1\x0d\xb8" + b"\0" * 11 + b"\1")
    opt = b"\0\0\x29\x04\xd0\0\0\0\0\0\0"
    ask, ask6 = message(1, 0x0100, b"www.Example.org"), message(2, 0x0100, b"www.example.org", 28, extra=opt)
    say, say6 = message(1, 0x8180, b"www.example.org", 1, [four]), message(2, 0x8180, b"www.example.org", 28, [six], opt)
    seed("pair", (REQUEST, ask), (REQUEST, ask6), (RESPONSE, say6), (RESPONSE, say))
    seed("again", (REQUEST, ask), (REQUEST | 0x80, ask), (RESPONSE, say), (RESPONSE, say))
    seed("timeout", (REQUEST, ask), (RESPONSE | 0xC0, say))
    alias = [record(5, b"\x03cdn\xc0\x14"), record(1, b"\xc0\0\2\2", owner=b"\xc0\x2d")]
    seed("alias", (REQUEST, ask), (RESPONSE, message(1, 0x8180, b"www.example.org", 1, alias)))
    seed("codes", *[s for c in range(6) for s in ((REQUEST, ask), (RESPONSE, message(1, 0x8180 | c, b"www.example.org")))])
    seed("truncated", (REQUEST, ask), (RESPONSE, message(1, 0x8380, b"www.example.org")[:20]))
    seed("no_question", (REQUEST, ask), (RESPONSE, message(1, 0x8181, b"", questions=0)))
    seed("circle", (REQUEST, ask), (RESPONSE, message(1, 0x8180, b"www.example.org", 1, [record(5, b"\xc0\x0c")] * 4)))
    seed("not_text", (REQUEST, message(3, 0x0100, b"\xff\\. .a")), (CLOSE, b"x"))
    seed("cut", (REQUEST, ask[:20]), (REQUEST | 8, b"s" * 13), (RESPONSE, say[:40]), (RESPONSE | 8, b"s" * 9))
    seed("lost", (REQUEST, ask), (RESPONSE | 10, b"lost"), (REQUEST | 10, b"lost"), (RESPONSE, say6), (CLOSE, b""))
    seed("stream", (REQUEST, framed(ask, ask6)), (RESPONSE, framed(say6, say)))
    seed("stream_bytewise", *bytewise(REQUEST, framed(ask)), *bytewise(RESPONSE, framed(say)))
    soa = record(6, b"\0" * 22)
    whole = framed(message(1, 0x8400, b"zone", 252, [soa, four]), message(1, 0x8400, b"", 0, [four, soa], questions=0))
    seed("stream_transfer", (REQUEST, framed(message(1, 0, b"zone", 252))), (RESPONSE, whole))
    two = framed(ask, ask6)
    seed("stream_gap", (REQUEST, two[:20]), (REQUEST | 8, b"s" * 10), (REQUEST, two[30:]), (RESPONSE, framed(say, say6)))


def pcap():
    def ends(payload, *addresses):
        """Whoever sends from port 80 is the server."""
        return addresses[::-1] if payload[:2] == b"\0\x50" else addresses

    def ip4(protocol, payload, flags=0x4000, identifier=1):
        pair = ends(payload, b"\x0a\0\0\1", b"\x0a\0\0\2")
        return struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), identifier, flags, 64, protocol, 0, *pair) + payload

    def ip6(protocol, payload):
        pair = ends(payload[-20:] if protocol == 44 else payload, b"\xfd" + b"\0" * 14 + b"\1", b"\xfd" + b"\0" * 14 + b"\2")
        return struct.pack(">IHBB16s16s", 6 << 28, len(payload), protocol, 64, *pair) + payload

    def tcp(source, target, seq, ack, flags, data=b""):
        return struct.pack(">HHIIBBHHH", source, target, seq, ack, 0x50, flags, 8192, 0, 0) + data

    def udp(data):
        return struct.pack(">HHHH", 5353, 53, 8 + len(data), 0) + data

    get, ok = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
    there, back = (40000, 80), (80, 40000)
    talk = [
        tcp(*there, 1000, 0, 0x02),
        tcp(*back, 5000, 1001, 0x12),
        tcp(*there, 1001, 5001, 0x18, get),
        tcp(*back, 5001, 1001 + len(get), 0x18, ok[:20]),
        tcp(*back, 5021, 1001 + len(get), 0x18, ok[20:]),
        tcp(*there, 1001 + len(get), 5001 + len(ok), 0x11),
        tcp(*back, 5001 + len(ok), 1002 + len(get), 0x11),
    ]

    def capture(link, packets, magic=0xA1B23C4D, order="<"):
        out = struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 65535, link)
        for n, packet in enumerate(packets):
            out += struct.pack(order + "IIII", 1700000000, n * 1000, len(packet), len(packet)) + packet
        return out

    def ethernet(packet, kind=0x0800):
        return b"\2" * 6 + b"\4" * 6 + struct.pack(">H", kind) + packet

    frames = [ethernet(ip4(6, segment)) for segment in talk]
    save("pcap", "ethernet", capture(1, frames))
    save("pcap", "big_endian_microseconds", capture(1, frames, 0xA1B2C3D4, ">"))
    save("pcap", "vlan", capture(1, [f[:12] + b"\x81\0\0\7" + f[12:] for f in frames]))
    save("pcap", "raw_ip6", capture(101, [ip6(6, segment) for segment in talk]))
    save("pcap", "loopback", capture(0, [struct.pack("<I", 2) + ip4(6, segment) for segment in talk]))
    save("pcap", "cooked_v1", capture(113, [struct.pack(">HHH8sH", 0, 1, 6, b"\2" * 8, 0x0800) + ip4(6, s) for s in talk]))
    save("pcap", "cooked_v2", capture(276, [struct.pack(">HHIHBB8s", 0x0800, 0, 1, 1, 0, 6, b"\2" * 8) + ip4(6, s) for s in talk]))
    save("pcap", "reordered_and_repeated", capture(1, [frames[n] for n in (0, 1, 2, 4, 3, 3, 4, 2, 6, 5)]))
    save("pcap", "missing_and_overlapping", capture(1, [frames[0], frames[2], frames[4], ethernet(ip4(6, tcp(*back, 5010, 1028, 0x18, ok[9:30])))]))
    long = udp(b"d" * 100)
    parts = [ip4(17, long[:48], 0x2000, 9), ip4(17, long[96:], 12, 9), ip4(17, long[48:96], 0x2006, 9)]
    save("pcap", "udp_fragments", capture(101, parts + [ip4(17, udp(b"whole"))]))
    hop = struct.pack(">BB6s", 6, 0, b"\0" * 6)
    fragment = struct.pack(">BBHI", 6, 0, 0, 77)
    save("pcap", "ip6_extensions", capture(101, [ip6(0, hop + talk[0]), ip6(44, fragment + talk[1])]))

    def block(kind, body):
        body += b"\0" * (-len(body) % 4)
        return struct.pack("<II", kind, len(body) + 12) + body + struct.pack("<I", len(body) + 12)

    section = block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))
    interface = block(1, struct.pack("<HHI", 1, 0, 0) + struct.pack("<HHB3xHH", 9, 1, 9, 0, 0))
    enhanced = [block(6, struct.pack("<IIIII", 0, 0, n * 1000, len(f), len(f)) + f) for n, f in enumerate(frames)]
    save("pcap", "pcapng", section + interface + b"".join(enhanced))
    simple = block(3, struct.pack("<I", len(frames[0])) + frames[0])
    save("pcap", "pcapng_simple_and_unknown", section + interface + simple + block(0xBAD, b"what") + section + interface + enhanced[2])


def recording():
    reader = (HOME.parent.parent / "crates/event/src/recording.rs").read_text()
    version = int(re.search(r"const VERSION: u32 = (\d+);", reader)[1])

    def file(*records):
        out = b"STETHREC" + struct.pack("<II", version, 0)
        for record in records:
            out += struct.pack("<II", len(record), 0) + record + b"\0" * (-len(record) % 8)
        return out

    def opened(local=b"\x7f\0\0\1" + b"\0" * 12):
        return struct.pack("<8B2I6Q2HI16s16s16s", 1, 2, 6, 1, 1, 0, 0, 0, 42, 1, 7, 1000, 900, 800, 1, 1, 40000, 80, 43, local, local, b"curl")

    def chunk(direction, data, captured=None, offset=1):
        captured = len(data) if captured is None else captured
        head = struct.pack("<4BI4QIH2B2I", 2, direction, 1, 1, 42, 7, 2000, offset, 1, len(data), captured, 1, 1, 5, 0)
        return head + data[:captured]

    def books(kind):
        return struct.pack("<4BI5Q6I", kind, 9, 1, 1, 42, 7, 3000, 100, 200, 4, 5, 6, 0, 90, 0, 0)

    shutdown = struct.pack("<2B6x3Q", 3, 0, 7, 2500, 100)
    executable, line = b"/usr/bin/curl", b"curl\0-s\0http://a/\0"
    executed = struct.pack("<B3xI2Q2HI", 6, 42, 100, 90, len(executable), len(line), 1) + executable + line
    ended = struct.pack("<B3xIQ", 7, 42, 4000)
    clock = struct.pack("<B7x2Q", 16, 1000, 1_700_000_000_000_000_000)
    process = b"\x11" + b"\0" * 7 + b'{"pid":42,"started":90,"name":"curl","executable":"/usr/bin/curl","command_line":"curl -s","container":"abc","look_up":"under_way"}'
    counters = struct.pack("<B7x32Q", 18, *range(32))
    tick = struct.pack("<B7xQ", 19, 5000)
    request = chunk(0, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    reply = chunk(1, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", 20)
    save("recording", "conversation", file(clock, process, executed, opened(), request, reply, shutdown, books(4), ended, tick, counters))
    save("recording", "no_payload", file(opened(), chunk(1, b"x" * 5000, 0), books(5)))
    save("recording", "cut", file(clock, opened(), request)[:-9])
    save("recording", "empty", file())
    for name, record in {"open": opened(), "chunk": request, "process": process, "exec": executed}.items():
        save("recording", f"record_{name}", record)


def infer():
    """First messages, raw."""
    messages = {
        "http_get": b"GET /index.html HTTP/1.1\r\nHost: a\r\n\r\n",
        "http_absolute": b"GET http://example.org/ HTTP/1.1\r\n\r\n",
        "http_connect": b"CONNECT [::1]:443 HTTP/1.1\r\n\r\n",
        "http_options": b"OPTIONS * HTTP/1.1\r\n\r\n",
        "http_response": b"HTTP/1.1 200 OK\r\nServer: a\r\nContent-Length: 5\r\n\r\nhello",
        "http_lengths": b"HTTP/1.1 200 OK\ncontent-LENGTH: \t5, 5 \nContent-Length: 6\n\nhello",
        "http_odd_length": b"HTTP/1.1 200 OK\r\nContent-Length : 1\r\nContent-Length: +5\r\n\r\n",
        "http_bare_cr": b"HTTP/1.1 200 OK\r\nCon\rtent-Length: 1\r\nContent-Length: 7\r8\r\n\r\n",
        "redis_array": b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\nb\r\n",
        "redis_longest": b"*12345678\r\n$12345678\r\n",
        "redis_too_long": b"*123456789\r\n",
        "redis_inline": b"pInG\r\n",
        "redis_inline_get": b"get key\r\n",
        "postgresql_ssl": b"\0\0\0\x08\x04\xd2\x16\x2f",
        "postgresql_startup": b"\0\0\0\x29\0\3\0\0user\0me\0",
        "postgresql_query": b"Q\0\0\0\x0dSELECT 1\0",
        "postgresql_bind": b"B\0\0\0\x0c\0\0\0\0\0\0\0\0",
        "postgresql_complete": b"C\0\0\0\x0dSELECT 1\0Z\0\0\0\5I",
        "postgresql_row": b"D\0\0\0\x0b\0\1\0\0\0\0011",
        "redis_inline_full": b"SET key a-value-that-fills-the-prefix\r\n",
        "ssh": b"SSH-2.0-OpenSSH_9.2\r\n",
        "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x5a\xb9\x11",
        "mysql": b"\x4a\x00\x00\x00\x0a8.0.36\x00\x08\x00\x00\x00\x5c\x4b",
        "mysql_mariadb": b"\x5d\x00\x00\x00\x0a5.5.5-10.11.6-MariaDB\x00",
        "mysql_query": b"\x09\x00\x00\x00\x03SELECT 1",
        "mysql_attributes": b"\x0b\x00\x00\x00\x03\x00\x01select 1",
        "mysql_prepare": b"\x20\x00\x00\x00\x16\n  (SELECT a FROM t WHERE",
        "mysql_execute": b"\x0a\x00\x00\x00\x17\x01\x00\x00\x00\x00\x01\x00\x00\x00",
        "postgresql": b"\x00\x00\x00\x29\x00\x03\x00\x00user\x00postgres\x00database\x00shop\x00\x00",
        "dns": b"\x00\x1d\xab\xcd\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07example\x03org\x00",
        "dns_answer": b"\x00\x30\xab\xcd\x85\x80\x00\x01\x00\x01\x00\x00\x00\x00\x07example\x03org\x00",
        "dns_datagram": b"\xab\xcd\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07example\x03org\x00\x00\x01\x00\x01",
        "kafka": b"\x00\x00\x00\x23\x00\x12\x00\x04\x00\x00\x00\x01\x00\x07console",
        "smtp": b"220 mail.example.org ESMTP\r\n",
        "memcached": b"get key:1\r\nset key 0 0 5\r\n",
        "http2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x12\x04",
    }
    for name, message in messages.items():
        save("infer", name, message)


def sql():
    statements = {
        "select": "SELECT a, b FROM t WHERE c = 'it''s' AND d IN (1, -2.5e3, 0xAB) LIMIT 10",
        "insert": "INSERT INTO t (a, b) VALUES (1, NULL), (2, 'x') ON DUPLICATE KEY UPDATE a = VALUES(a), b = 3",
        "backslashes": "SELECT 'O\\'Brien', \"a\\\"b\", 'C:\\', E'\\'', \\N",
        "comments": "SELECT /* a /* b */ c */ 1 -- it's\n, 2 # \"\n /*!50001 , 3 */ /*+ hint */",
        "dollars": "SELECT $$a 'b' $c$$, $tag$ $$ $tag$, $1, a$b$c",
        "prefixes": "SELECT N'a', B'01', X'4a', U&'d\\0061', U&\"d\", _utf8'x', DATE '2024-01-01', 'a'\n'b'",
        "with": "WITH x AS (SELECT 1 FROM a) INSERT INTO b SELECT * FROM x JOIN `c` USING (id), \"d\".e",
        "several": "BEGIN; CREATE FUNCTION f() BEGIN ATOMIC SELECT 1; END; SELECT ';'; COMMIT",
        "session": "SAVEPOINT s1; FETCH 10 FROM c_1; ROLLBACK TO s1; DEALLOCATE p1",
        "operators": "SELECT a->>'b', c::int[1:2], @x := -1, d <-> 'e', :name, ?, {call p}",
        "open": "SELECT 'never closed, \"a\" /*",
    }
    for name, text in statements.items():
        for choice, suffix in ((2, "mysql"), (3, "postgresql")):
            save("sql", f"{name}_{suffix}", bytes([choice, 128]) + text.encode())
    save("sql", "latin1", b"\x00\xc0SELECT caf\xe9 FROM t WHERE a = '\xbf\\' , 'b'")


dns()
http()
infer()
mysql()
postgresql()
redis()
sql()
pcap()
recording()
