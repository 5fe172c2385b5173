"""Programs that are started, waited for, and ended in good order by whoever started them."""

import ctypes
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import sys
import time

# Debian's own programs come first: they can be read by the user as whom the shop runs, which a tool in somebody's home cannot.
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SETUP = "`scripts/setup demo` installs what the demo needs"
PR_SET_PDEATHSIG = 1
# Below the range from which the kernel takes the client side of connections.
PORTS = range(10_000, 32_768)

libc = ctypes.CDLL(None, use_errno=True)


class Failure(Exception):
    """The demo cannot go on; the text is one line for the person who started it."""


def program(name, *elsewhere):
    """The path of a program."""
    found = shutil.which(name, path=":".join([PATH, *elsewhere, os.environ.get("PATH", "")]))
    if found is None:
        raise Failure(f"{name} is missing; {SETUP}")
    return found


class User:
    """As whom the shop runs. Root's databases refuse to run as root, and nothing here needs to: who called sudo, else nobody."""

    def __init__(self):
        self.other = os.geteuid() == 0
        entry = pwd.getpwuid(os.geteuid())
        if self.other:
            entry = pwd.getpwnam("nobody")
            caller = os.environ.get("SUDO_UID", "")
            if caller.isdigit() and int(caller):
                entry = pwd.getpwuid(int(caller))
        self.uid, self.gid = entry.pw_uid, entry.pw_gid

    def own(self, path):
        """Gives it a directory."""
        os.makedirs(path, exist_ok=True)
        if self.other:
            os.chown(path, self.uid, self.gid)
        return path

    def become(self):
        return {"user": self.uid, "group": self.gid, "extra_groups": []} if self.other else {}


def free_port(address, taken):
    """A port of this address on which nobody listens and that is not in `taken`, to which it is added."""
    for _ in range(1000):
        port = random.choice(PORTS)
        if port in taken:
            continue
        try:
            with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
                tcp.bind((address, port))
                udp.bind((address, port))
        except OSError:
            continue
        taken.add(port)
        return port
    raise Failure(f"no port of {address} is free between {PORTS.start} and {PORTS.stop - 1}")


def listens(address, port):
    """Whether anybody listens at this IPv4 address and TCP port, by the kernel's own table."""
    # Addresses are words in the order of the machine's bytes, in hexadecimal.
    words = {f"{int.from_bytes(socket.inet_aton(at), sys.byteorder):08X}:{port:04X}" for at in (address, "0.0.0.0")}
    with open("/proc/self/net/tcp") as table:
        next(table)
        # The columns: number, local address, remote address, state; 0A is LISTEN.
        return any(fields[1] in words and fields[3] == "0A" for fields in map(str.split, table))


class Process:
    """A running program, in a process group of its own. It ends when the demo does, also when that is killed."""

    def __init__(self, name, arguments, log, user=None, environment=None, end=signal.SIGTERM, orphan=signal.SIGTERM):
        self.name, self.log, self.end = name, log, end
        demo = os.getpid()

        def prepare():
            libc.prctl(PR_SET_PDEATHSIG, int(orphan), 0, 0, 0)
            if os.getppid() != demo:
                os._exit(1)  # the demo ended just before

        environment = {"PATH": PATH, "LANG": "C.UTF-8", "HOME": os.path.dirname(log)} | (environment or {})
        with open(log, "wb") as out:
            try:
                self.popen = subprocess.Popen(
                    arguments, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environment, cwd=os.path.dirname(log),
                    start_new_session=True, preexec_fn=prepare, **(user.become() if user else {}),
                )
            except (OSError, subprocess.SubprocessError) as error:
                raise Failure(f"{name} does not start: {error}") from error
        self.pid = self.popen.pid

    def ended(self):
        """True once it has ended. It is not reaped: its id and its group stay its own."""
        if self.popen.returncode is not None:
            return True
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def said(self):
        """What it has written so far."""
        with open(self.log, errors="replace") as log:
            return log.read()

    def failure(self, what):
        last = [line.strip() for line in self.said().splitlines() if line.strip()][-1:]
        return Failure(f"{self.name} {what}" + (f": {last[0]}" if last else ""))

    def wait_for(self, what, is_so, seconds=60):
        """Waits until a condition holds that the program brings about."""
        until = time.monotonic() + seconds
        while not is_so():
            if self.ended():
                raise self.failure(f"ended before {what}")
            if time.monotonic() > until:
                raise self.failure(f"was not ready in {seconds} s ({what})")
            time.sleep(0.02)

    def wait_for_port(self, address, port):
        """Looks, and does not knock: a connect that is refused would be the first thing that the map shows."""
        self.wait_for(f"it listened at {address}:{port}", lambda: listens(address, port))

    def wait_for_end(self, seconds=120):
        """Waits for its end, which must be a success."""
        until = time.monotonic() + seconds
        while not self.ended():
            if time.monotonic() > until:
                raise self.failure(f"has not ended in {seconds} s")
            time.sleep(0.02)
        if self.popen.wait() != 0:
            raise self.failure("failed")


def stop(processes, seconds=8):
    """Asks all of them to end, kills those that have not after so many seconds, and whatever they have started."""
    running = [process for process in processes if process.popen.returncode is None]
    for process in running:
        os.kill(process.pid, process.end)
    until = time.monotonic() + seconds
    while time.monotonic() < until and not all(process.ended() for process in running):
        time.sleep(0.02)
    for process in running:
        # The leader is not reaped yet, so the group cannot be anybody else's.
        os.killpg(process.pid, signal.SIGKILL)
        process.popen.wait()
