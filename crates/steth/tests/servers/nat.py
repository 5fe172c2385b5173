"""A host, in a network namespace of its own, that sends what goes to a virtual address on to servers elsewhere: what kube-proxy and published
ports do. One client is on the host, the other one in a namespace behind it, as in a pod. The servers are behind the host too, and whoever
observes ports 53 and 80 does not see them.

`nat.py GO` waits for the file, talks, and says "done".
"""

import ctypes
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

VIRTUAL, VIRTUAL6 = "10.99.99.99", "fd99::99"
BACKENDS, BACKEND6 = ("10.0.2.2", "10.0.2.3"), "fd02::2"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n"


def run(*words):
    subprocess.run(words, check=True)


def wait_for(line):
    assert sys.stdin.readline().strip() == line


def answer(listener):
    def serve(end):
        try:
            while data := end.recv(1 << 16):
                end.sendall(ANSWER if data.startswith(b"GET") else b"\xf7" * 300)
        except ConnectionResetError:
            pass
        end.close()

    while True:
        threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()


def serve():
    wait_for("wired")
    run("ip", "link", "set", "lo", "up")
    for address in BACKENDS:
        run("ip", "address", "add", address + "/24", "dev", "eth0")
    run("ip", "address", "add", BACKEND6 + "/64", "dev", "eth0", "nodad")
    run("ip", "link", "set", "eth0", "up")
    run("ip", "route", "add", "default", "via", "10.0.2.1")
    run("ip", "-6", "route", "add", "default", "via", "fd02::1")
    for address in BACKENDS:
        threading.Thread(target=answer, args=(socket.create_server((address, 8080)),), daemon=True).start()
    six = socket.create_server((BACKEND6, 8080), family=socket.AF_INET6)
    threading.Thread(target=answer, args=(six,), daemon=True).start()
    names = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    names.bind((BACKENDS[0], 5353))
    print("ready", flush=True)
    while True:
        query, client = names.recvfrom(512)
        names.sendto(query[:2] + b"\x81\x83" + query[4:], client)


class Client:
    """Talks as often as it is told to, by a word on a line."""

    def __init__(self):
        self.old = None

    def connect(self, family=socket.AF_INET, address=VIRTUAL):
        end = socket.socket(family)
        end.settimeout(10)
        end.connect((address, 80))
        return end

    def talk(self, end, request):
        end.sendall(request)
        assert end.recv(1 << 16)

    def do(self, word):
        http, raw = b"GET /%s HTTP/1.1\r\nHost: x\r\n\r\n" % word.encode(), b"\xf7" * 1000
        match word:
            case "old":
                self.old = self.connect()
            case "old-goes-on":
                self.talk(self.old, raw)
                self.old.close()
            case "raw":
                with self.connect() as end:
                    self.talk(end, raw)
            case "silent":
                self.connect().close()
            case "reset":
                end = self.connect()
                self.talk(end, raw)
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                end.close()
            case "ipv6":
                with self.connect(socket.AF_INET6, VIRTUAL6) as end:
                    self.talk(end, http)
            case "mapped":
                with self.connect(socket.AF_INET6, "::ffff:" + VIRTUAL) as end:
                    self.talk(end, http)
            case "dns":
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end:
                    end.settimeout(10)
                    end.connect((VIRTUAL, 53))
                    end.send(b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x04nope\x00\x00\x01\x00\x01")
                    assert len(end.recv(512)) == 22
            case _:
                with self.connect() as end:
                    self.talk(end, http)


def pod():
    wait_for("wired")
    run("ip", "link", "set", "lo", "up")
    run("ip", "address", "add", "10.0.1.2/24", "dev", "eth0")
    run("ip", "address", "add", "fd01::2/64", "dev", "eth0", "nodad")
    run("ip", "link", "set", "eth0", "up")
    run("ip", "route", "add", "default", "via", "10.0.1.1")
    run("ip", "-6", "route", "add", "default", "via", "fd01::1")
    client = Client()
    print("ready", flush=True)
    for line in sys.stdin:
        client.do(line.strip())
        print("ready", flush=True)


if sys.argv[1] in ("serve", "pod"):
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    serve() if sys.argv[1] == "serve" else pod()
    sys.exit()

run("ip", "link", "set", "lo", "up")
for name in "net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding":
    with open("/proc/sys/" + name, "w") as file:
        file.write("1")


def child(word, network, service):
    """A process in a namespace of its own, behind this one."""
    process = subprocess.Popen(
        ["unshare", "--net", "python3", __file__, word],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OTEL_SERVICE_NAME": service},
    )
    while os.readlink(f"/proc/{process.pid}/ns/net") == os.readlink("/proc/self/ns/net"):
        time.sleep(0.01)
    near = f"to-{word}"
    run("ip", "link", "add", near, "type", "veth", "peer", "name", "eth0", "netns", str(process.pid))
    run("ip", "address", "add", f"10.0.{network}.1/24", "dev", near)
    run("ip", "address", "add", f"fd0{network}::1/64", "dev", near, "nodad")
    run("ip", "link", "set", near, "up")
    process.stdin.write("wired\n")
    process.stdin.flush()
    assert process.stdout.readline() == "ready\n"
    return process


def to(backend):
    """Where what goes to the virtual address goes from now on."""
    for chain in "PREROUTING", "OUTPUT":
        for program, virtual, target in [
            ("iptables", VIRTUAL, f"{backend}:8080"),
            ("ip6tables", VIRTUAL6, f"[{BACKEND6}]:8080"),
        ]:
            nat = [program, "-w", "-t", "nat"]
            run(*nat, "-F", chain)
            run(*nat, "-A", chain, "-p", "tcp", "-d", virtual, "--dport", "80", "-j", "DNAT", "--to-destination", target)
        run("iptables", "-w", "-t", "nat", "-A", chain, "-p", "udp", "-d", VIRTUAL, "--dport", "53", "-j", "DNAT",
            "--to-destination", f"{backend}:5353")
    run("iptables", "-w", "-t", "nat", "-F", "POSTROUTING")
    run("iptables", "-w", "-t", "nat", "-A", "POSTROUTING", "-s", "10.0.1.0/24", "-j", "MASQUERADE")


server = child("serve", 2, "test-elsewhere")
there = child("pod", 1, "test-pod")
# As a default route would: this host knows a way, before the rule says another one.
run("ip", "route", "add", VIRTUAL + "/32", "via", BACKENDS[0])
run("ip", "-6", "route", "add", VIRTUAL6 + "/128", "via", BACKEND6)
here = Client()


def do(word):
    here.do(word)
    there.stdin.write(word + "\n")
    there.stdin.flush()
    assert there.stdout.readline() == "ready\n", word


to(BACKENDS[0])
do("old")
print("ready", flush=True)
while not os.path.exists(sys.argv[1]):
    time.sleep(0.01)
do("first")
do("old-goes-on")
do("raw")
do("silent")
do("ipv6")
do("mapped")
do("dns")
to(BACKENDS[1])
do("second")
do("reset")
print("done", flush=True)
time.sleep(120)
