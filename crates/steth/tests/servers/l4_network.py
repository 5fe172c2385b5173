"""A client here and a server in a namespace of its own, with a network between them that delays, loses and reorders: two
tunnels whose packets this process carries, because not every kernel is built with netem.

`l4_network.py GO FAMILY`: sockets and packets of IPv4, of IPv6, or (mapped) sockets of IPv6 whose packets are of IPv4. Behind the file that is
named: connections, and for each what `ss -tin` says of the client's socket at last; of a download, of the server's. Of an old one, which was
there before the file, of an idle one and of one that is reset: what it has moved. Then what `nstat` says of this namespace.
"""

import ctypes
import fcntl
import json
import os
import queue
import random
import re
import socket
import struct
import subprocess
import sys
import threading
import time

DELAY_MS = 10
FAMILY = sys.argv[2]
# Of packets, and of sockets.
V6 = FAMILY == "ipv6"
KIND = socket.AF_INET if FAMILY == "ipv4" else socket.AF_INET6
HERE, THERE, NOBODY, SILENT = (("fd99::" if V6 else "10.99.0.") + end for end in ("1", "2", "77", "99"))


def run(*words):
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def written(address):
    """As the socket's family writes it."""
    return "::ffff:" + address if FAMILY == "mapped" else address


def wire(address, device):
    run("ip", "link", "set", "lo", "up")
    run("ip", "address", "add", address + ("/64" if V6 else "/24"), "dev", device, *(["nodad"] if V6 else []))
    run("ip", "link", "set", device, "up")


def serve():
    sys.stdin.readline()
    wire(THERE, "tun1")
    listener = socket.socket(KIND)
    listener.bind((written(THERE), 0))
    listener.listen(8)
    print(listener.getsockname()[1], flush=True)
    while True:
        end, (_, port, *_) = listener.accept()
        threading.Thread(target=answer, args=(end, port), daemon=True).start()


def answer(end, port):
    """The last byte that has come says what is wanted."""
    try:
        while data := end.recv(1 << 16):
            match data[-1:]:
                case b"?":
                    end.sendall(b"!")
                case b"^":
                    # Nobody reads.
                    time.sleep(1)
                case b"~":
                    # Byte after byte, for as long as somebody is there.
                    while True:
                        end.sendall(b"x")
                        time.sleep(0.004)
                case b"<":
                    end.sendall(b"x" * DOWNLOAD)
                case b">":
                    time.sleep(0.8)
                    tell("download", port, statistics("dport", port))
                    end.sendall(b"!")
    except OSError:
        pass
    end.close()


def tunnel(name):
    """A network interface whose packets this process carries."""
    end = os.open("/dev/net/tun", os.O_RDWR)
    # TUNSETIFF: IFF_TUN, IFF_NO_PI
    fcntl.ioctl(end, 0x400454CA, struct.pack("16sH22x", name.encode(), 0x1001))
    return end


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF


def unreachable(packet):
    """What a router answers that knows no way to where this packet was to go (ICMP, type 3, code 1; ICMPv6, type 1, code 3)."""
    if V6:
        ends = packet[24:40] + packet[8:24]
        body = struct.pack("!BBHI", 1, 3, 0, 0) + packet[:60]
        body = body[:2] + struct.pack("!H", checksum(ends + struct.pack("!II", len(body), 58) + body)) + body[4:]
        return struct.pack("!IHBB", 6 << 28, len(body), 58, 64) + ends + body
    quoted = packet[:28]
    body = struct.pack("!BBHI", 3, 1, checksum(struct.pack("!BBHI", 3, 1, 0, 0) + quoted), 0) + quoted
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 0, 0, 64, 1, 0) + packet[16:20] + packet[12:16]
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + body


def carry(source, target):
    """Packets from one end to the other, DELAY_MS later, as long as none is to be lost. Some come later still, and others overtake
    them."""

    def way():
        under_way = queue.SimpleQueue()

        def deliver():
            while True:
                due, end, packet = under_way.get()
                time.sleep(max(0, due - time.monotonic()))
                os.write(end, packet)

        threading.Thread(target=deliver, daemon=True).start()
        return under_way

    under_way, detour = way(), way()
    chance = random.Random(1)
    silent, nobody = (socket.inet_pton(socket.AF_INET6 if V6 else socket.AF_INET, address) for address in (SILENT, NOBODY))
    while True:
        packet = os.read(source, 1 << 16)
        to = packet[24:40] if V6 else packet[16:20]
        # What IPv6 says of itself to its neighbours is nothing of theirs.
        if packet[0] >> 4 != (6 if V6 else 4) or to == silent or to[:1] == b"\xff":
            continue
        due = time.monotonic() + DELAY_MS / 1000
        if cut == "silently":
            continue
        if cut == "with a word" or to == nobody:
            under_way.put((due, source, unreachable(packet)))
        elif chance.random() < detours:
            detour.put((due + DELAY_MS / 2000, target, packet))
        elif chance.random() >= loss:
            under_way.put((due, target, packet))


def tell(name, local, said=None):
    print(json.dumps({"name": name, "port": local, "said": said}), flush=True)


def statistics(end, port):
    text = run("ss", "-tinH", end, "=", f":{port}")
    numbers = dict(re.findall(r"(\w+):(\d+(?:\.\d+)?)", text))
    numbers["rtt"], numbers["rttvar"] = re.search(r" rtt:([\d.]+)/([\d.]+)", text).groups()
    retransmitted = re.search(r"retrans:\d+/(\d+)", text)
    numbers["retrans"] = retransmitted.group(1) if retransmitted else "0"
    return {name: float(value) for name, value in numbers.items()}


DOWNLOAD = 300_000


if sys.argv[1] == "serve":
    serve()

# A network does not wait for a CPU: what is carried late for want of one would be taken for its delay.
try:
    os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
except OSError as error:
    print(f"packets may come late: {error}", file=sys.stderr)
loss, detours, cut = 0.0, 0.0, None
child = subprocess.Popen(
    ["unshare", "--net", "python3", __file__, "serve", FAMILY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
)
while os.readlink(f"/proc/{child.pid}/ns/net") == os.readlink("/proc/self/ns/net"):
    time.sleep(0.01)
here = tunnel("tun0")
wire(HERE, "tun0")
CLONE_NEWNET = 0x40000000
ours, theirs = os.open("/proc/self/ns/net", os.O_RDONLY), os.open(f"/proc/{child.pid}/ns/net", os.O_RDONLY)
libc = ctypes.CDLL(None, use_errno=True)
assert libc.setns(theirs, CLONE_NEWNET) == 0
there = tunnel("tun1")
assert libc.setns(ours, CLONE_NEWNET) == 0
child.stdin.write("\n")
child.stdin.flush()
port = int(child.stdout.readline())
for ends in (here, there), (there, here):
    threading.Thread(target=carry, args=ends, daemon=True).start()
with open("/proc/sys/net/ipv4/tcp_syn_retries", "w") as file:
    file.write("1")
tell("there", 0, int(re.search(r"\d+", os.readlink(f"/proc/{child.pid}/ns/net")).group()))


def client():
    end = socket.socket(KIND)
    end.bind((written(HERE), 0))
    return end, end.getsockname()[1]


def ask(end, size):
    end.sendall(b"x" * (size - 1) + b"?")
    assert end.recv(1) == b"!"


old, old_port = client()
old.connect((written(THERE), port))
ask(old, 5000)
print("ready", flush=True)
while not os.path.exists(sys.argv[1]):
    time.sleep(0.01)
idle, idle_port = client()
idle.connect((written(THERE), port))
ask(old, 70_001)
old.close()
tell("old", old_port, [70_001, 1])

end, local = client()
end.connect((written(THERE), port))
end.sendall(b"x" * 1234)
time.sleep(0.1)
end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
end.close()
tell("reset", local, [1234, 0])


def talk(name, size, before=b"", buffer=0):
    global loss
    end, local = client()
    if buffer:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
    end.connect((written(THERE), port))
    if before:
        end.sendall(before)
        time.sleep(0.1)
    ask(end, size - len(before))
    # What is sent behind the look is not lost, so that the kernel's last books are what it has shown.
    time.sleep(0.8 if loss else 0.3)
    loss = 0.0
    tell(name, local, statistics("sport", local))
    end.close()


talk("short", 1)
talk("delay", 100_000)
end, local = client()
end.connect((written(THERE), port))
time.sleep(0.009)
end.close()
tell("hang up", local)

for name, address, where in [("refused", THERE, 1), ("timed out", SILENT, port), ("unreachable", NOBODY, port)]:
    end, local = client()
    try:
        end.connect((written(address), where))
    except OSError as error:
        tell(name, local, error.errno)
    end.close()

end, local = client()
end.setblocking(False)
end.connect_ex((written(SILENT), port))
time.sleep(0.1)
end.close()
tell("abandoned", local)

talk("sleeping reader", 3_000_000, before=b"^")
talk("small buffer", 300_000, buffer=8192)
detours = 0.02
talk("detours", 1_000_000)
detours = 0.0

# It goes while more is on its way to it, and answers that with a reset.
end, local = client()
end.connect((written(THERE), port))
end.sendall(b"~")
for _ in range(10):
    assert end.recv(1 << 16)
end.close()
time.sleep(0.1)
tell("left early", local)

# Established, and then nobody answers any more, or a router says that there is no way.
for how in "silently", "with a word":
    end, local = client()
    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 700)
    end.connect((written(THERE), port))
    end.sendall(b"?")
    assert end.recv(1) == b"!"
    cut = how
    end.sendall(b"?")
    try:
        end.recv(1)
    except OSError as error:
        tell(f"cut {how}", local, error.errno)
    end.close()
    cut = None

loss = 0.03
talk("loss", 3_000_000)
loss = 0.03
end, local = client()
end.connect((written(THERE), port))
end.sendall(b"<")
left = DOWNLOAD
while left:
    left -= len(end.recv(1 << 16))
loss = 0.0
end.sendall(b">")
print(child.stdout.readline(), end="", flush=True)
assert end.recv(1) == b"!"
end.close()
idle.close()
tell("idle", idle_port, [0, 0])
time.sleep(0.5)
after = int(re.search(r"TcpRetransSegs +(\d+)", run("nstat", "-asz", "TcpRetransSegs")).group(1))
tell("nstat", 0, after)
tell("done", 0)
child.kill()
