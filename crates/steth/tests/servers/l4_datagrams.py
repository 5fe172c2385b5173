"""Talks over UDP and unix sockets: `l4_datagrams.py ROLE WHERE…`. Says "ready" or "done" and waits to be killed: of these sockets nobody
tells the end. No datagram looks like one of DNS."""

import socket
import sys
import time

role, where = sys.argv[1], sys.argv[2:]
LOCAL = "127.0.0.1"


def udp():
    return socket.socket(socket.AF_INET, socket.SOCK_DGRAM)


def answer(server):
    """Answers each datagram with one of twice its length, for ever."""
    while True:
        data, who = server.recvfrom(2000)
        server.sendto(data * 2, who)


if role == "server":
    server = udp()
    server.bind((LOCAL, int(where[0])))
    print("ready", flush=True)
    answer(server)
elif role == "ask":
    # One socket that is not connected, and one server: how resolvers do it.
    client = udp()
    for size in (10, 20, 30):
        client.sendto(b"\xf7" * size, (LOCAL, int(where[0])))
        assert len(client.recv(2000)) == 2 * size
elif role == "ask-both":
    client = udp()
    for port, size in ((where[0], 100), (where[1], 7), (where[0], 50)):
        client.sendmsg([b"\xf7" * size], [], 0, (LOCAL, int(port)))
        assert len(client.recv(2000)) == 2 * size
elif role == "ask-connected":
    client = udp()
    client.connect((LOCAL, int(where[0])))
    for size in (5, 6):
        client.send(b"\xf7" * size)
        assert len(client.recv(2000)) == 2 * size
elif role == "short":
    # A socket for each question; a third of them is connected, and of another nobody waits for the answer.
    for n in range(150):
        with udp() as client:
            if n % 3 == 0:
                client.connect((LOCAL, int(where[0])))
                client.send(b"\xf7" * 10)
            else:
                client.sendto(b"\xf7" * 10, (LOCAL, int(where[0])))
            if n % 3 != 1:
                assert len(client.recv(2000)) == 20
elif role == "unix-short-server":
    stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    stream.bind(where[0])
    stream.listen()
    print("ready", flush=True)
    for _ in range(20):
        there, _ = stream.accept()
        with there:
            assert len(there.recv(50, socket.MSG_WAITALL)) == 50
            there.sendall(b"\xf7" * 15)
            assert there.recv(1) == b""
elif role == "unix-short-client":
    for _ in range(20):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stream:
            stream.connect(where[0])
            stream.sendall(b"\xf7" * 50)
            assert len(stream.recv(15, socket.MSG_WAITALL)) == 15
elif role == "unix-server":
    stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    stream.bind(where[0])
    stream.listen()
    datagrams = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    datagrams.bind(where[1])
    print("ready", flush=True)
    there, _ = stream.accept()
    assert len(there.recv(1000, socket.MSG_WAITALL)) == 1000
    there.sendall(b"\xf7" * 300)
    for size in (40, 50):
        assert len(datagrams.recv(1000)) == size
elif role == "unix-client":
    stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    stream.connect(where[0])
    stream.sendall(b"\xf7" * 1000)
    assert len(stream.recv(300, socket.MSG_WAITALL)) == 300
    datagrams = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    datagrams.connect(where[1])
    for size in (40, 50):
        datagrams.send(b"\xf7" * size)
print("done", flush=True)
time.sleep(120)
