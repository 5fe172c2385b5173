"""Connections of every kind on the loopback of this namespace, and what the applications themselves say of each.

Prints a line for each connection: what it is called, its client's port, bytes that the client sent and read, and the same of the
server. `old` ones are opened before the file that is named appears, used and closed behind it. With `big` behind the name, one moves more
bytes than 32 bits count.
"""

import json
import os
import socket
import struct
import subprocess
import sys
import time

subprocess.run(["ip", "link", "set", "lo", "up"], check=True)

# Two connections with different servers may have the same port at the client otherwise, and be taken for each other.
ports = iter(range(10_000, 20_000))
FAMILIES = {"ipv4": (socket.AF_INET, "127.0.0.1"), "ipv6": (socket.AF_INET6, "::1"), "mapped": (socket.AF_INET6, "::ffff:127.0.0.1")}


def pair(family, wait=0):
    kind, address = FAMILIES[family]
    listener = socket.socket(kind)
    if kind == socket.AF_INET6:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    listener.bind((address, 0))
    listener.listen(8)
    client = socket.socket(kind)
    client.bind((address, next(ports)))
    client.connect(listener.getsockname()[:2])
    time.sleep(wait)
    server, _ = listener.accept()
    listener.close()
    return client, server


def move(sender, receiver, length):
    data = memoryview(b"\xf7" * min(length, 1 << 20))
    left, room = length, bytearray(1 << 20)
    while left:
        sent = sender.send(data[:left])
        left -= sent
        while sent:
            sent -= receiver.recv_into(room, sent)


def tell(name, port, client=(0, 0), server=None):
    print(json.dumps({"name": name, "port": port, "client": client, "server": server}), flush=True)


def linger_off(end):
    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


old = [(family, pair(family)) for family in FAMILIES]
for family, (client, server) in old:
    move(client, server, 1000)
    move(server, client, 2000)
print("ready", flush=True)
while not os.path.exists(sys.argv[1]):
    time.sleep(0.01)

for family, (client, server) in old:
    move(client, server, 31)
    move(server, client, 70_001)
    port = client.getsockname()[1]
    client.close()
    server.close()
    # Of what was before the agent nobody can know.
    tell(f"old {family}", port, (31, 70_001), (70_001, 31))

for family in FAMILIES:
    for name, there, back in [("silent", 0, 0), ("short", 1, 7), ("long", 3_000_000, 200_003)]:
        client, server = pair(family)
        port = client.getsockname()[1]
        move(client, server, there)
        move(server, client, back)
        client.close()
        assert server.recv(1) == b""
        server.close()
        tell(f"{name} {family}", port, (there, back), (back, there))

    # It goes on for longer than a look at it takes.
    client, server = pair(family)
    port = client.getsockname()[1]
    for _ in range(60):
        move(client, server, 1009)
        move(server, client, 13)
        time.sleep(0.005)
    client.close()
    server.close()
    tell(f"steady {family}", port, (60_540, 780), (780, 60_540))

    # The server ends it first, and the client reads what is left behind the end.
    client, server = pair(family)
    port = client.getsockname()[1]
    move(client, server, 10)
    server.send(b"\xf7" * 20)
    server.close()
    time.sleep(0.02)
    client.shutdown(socket.SHUT_WR)
    assert len(client.recv(100)) == 20 and client.recv(1) == b""
    client.close()
    tell(f"server first {family}", port, (10, 20), (20, 10))

    # Ended with a byte unread: a reset goes out.
    client, server = pair(family)
    port = client.getsockname()[1]
    move(client, server, 10)
    client.send(b"\xf7" * 5)
    time.sleep(0.02)
    server.close()
    time.sleep(0.02)
    client.close()
    tell(f"unread {family}", port, (15, 0), (0, 10))

    client, server = pair(family)
    port = client.getsockname()[1]
    move(client, server, 100)
    linger_off(client)
    client.close()
    time.sleep(0.02)
    server.close()
    tell(f"reset {family}", port, (100, 0), (0, 100))

    client, server = pair(family, 0.05)
    port = client.getsockname()[1]
    move(client, server, 3)
    client.close()
    server.close()
    tell(f"late {family}", port, (3, 0), (0, 3))

    kind, address = FAMILIES[family]
    client = socket.socket(kind)
    client.bind((address, next(ports)))
    port = client.getsockname()[1]
    try:
        client.connect((address, 1))
    except ConnectionRefusedError:
        pass
    client.close()
    tell(f"refused {family}", port)

if sys.argv[2:] == ["big"]:
    client, server = pair("ipv4")
    port = client.getsockname()[1]
    for end in (client, server):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    move(client, server, (1 << 32) + 12_345)
    move(server, client, 1_001)
    client.close()
    server.close()
    tell("big", port, ((1 << 32) + 12_345, 1_001), (1_001, (1 << 32) + 12_345))

# Of these the kernel keeps no books: they say at a sweep how far they are.
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", 0))
client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
client.connect(server.getsockname())
for size in range(1, 6):
    client.send(b"\xf7" * size)
    assert len(server.recv(100)) == size
here, there = socket.socketpair()
move(here, there, 12_345)
print("done", flush=True)
time.sleep(60)
