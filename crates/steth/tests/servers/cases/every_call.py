"""Each call that moves bytes on a socket, as sender of a request and of a response, and as receiver of both.

One connection per pair of calls, two exchanges on each, both ends using the same pair. The path names it.
"""

import ctypes
import select
import tempfile

from conversation import *

libc = ctypes.CDLL(None, use_errno=True)


class Iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


class Header(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("vectors", ctypes.POINTER(Iovec)),
        ("vector_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    ]


class Message(ctypes.Structure):
    _fields_ = [("header", Header), ("moved", ctypes.c_uint)]


def messages(buffers):
    vectors = [Iovec(ctypes.cast(b, ctypes.c_void_p), len(b)) for b in buffers]
    headers = (Header(vectors=ctypes.pointer(vector), vector_count=1) for vector in vectors)
    batch = (Message * len(buffers))(*map(Message, headers))
    return batch, vectors


def checked(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def halves(data):
    return data[: len(data) // 2], data[len(data) // 2 :]


def send_by_sendfile(connection, data):
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        assert os.sendfile(connection.fileno(), file.fileno(), 0, len(data)) == len(data)


def send_by_splice(connection, data):
    reader, writer = os.pipe()
    os.write(writer, data)
    assert os.splice(reader, connection.fileno(), len(data)) == len(data)
    os.close(reader)
    os.close(writer)


def send_by_sendmmsg(connection, data):
    buffers = [ctypes.create_string_buffer(part, len(part)) for part in halves(data)]
    batch, _keep = messages(buffers)
    assert checked(libc.sendmmsg(connection.fileno(), batch, 2, 0)) == 2
    assert sum(message.moved for message in batch) == len(data)


def send_by_more(connection, data):
    first, second = halves(data)
    connection.send(first, socket.MSG_MORE)
    connection.send(second)


SEND = {
    "write": lambda c, data: os.write(c.fileno(), data),
    "writev": lambda c, data: os.writev(c.fileno(), halves(data)),
    "send": lambda c, data: c.send(data),
    "sendto": lambda c, data: c.sendto(data, c.getpeername()),
    "sendmsg": lambda c, data: c.sendmsg(halves(data)),
    "sendmmsg": send_by_sendmmsg,
    "sendfile": send_by_sendfile,
    "splice": send_by_splice,
    "more": send_by_more,
}


def receive_by_readv(connection):
    first, second = bytearray(20), bytearray(65536)
    count = os.readv(connection.fileno(), [first, second])
    return bytes(first + second)[:count]


def receive_by_recvmmsg(connection):
    buffers = [ctypes.create_string_buffer(4096) for _ in range(2)]
    batch, _keep = messages(buffers)
    count = checked(libc.recvmmsg(connection.fileno(), batch, 2, 0x10000, None))  # MSG_WAITFORONE
    return b"".join(bytes(buffers[n])[: batch[n].moved] for n in range(count))


def receive_by_splice(connection):
    reader, writer = os.pipe()
    count = os.splice(connection.fileno(), writer, 65536)
    data = os.read(reader, count) if count else b""
    os.close(reader)
    os.close(writer)
    return data


def receive_by_poll(connection):
    connection.setblocking(False)
    try:
        while True:
            try:
                return connection.recv(65536)
            except BlockingIOError:
                select.select([connection], [], [])
    finally:
        connection.setblocking(True)


def receive_after_peek(connection):
    seen = connection.recv(65536, socket.MSG_PEEK)
    return connection.recv(len(seen), socket.MSG_WAITALL) if seen else b""


RECEIVE = {
    "read": lambda c: os.read(c.fileno(), 65536),
    "readv": receive_by_readv,
    "recv": lambda c: c.recv(65536),
    "recvfrom": lambda c: c.recvfrom(65536)[0],
    "recvmsg": lambda c: c.recvmsg(65536)[0],
    "recvmmsg": receive_by_recvmmsg,
    "splice": receive_by_splice,
    "poll": receive_by_poll,
    "peek": receive_after_peek,
}

PAIRS = [(send, "recv") for send in SEND] + [("send", receive) for receive in RECEIVE if receive != "recv"]


def handler(connection, pairs):
    send, receive = next(pairs)
    rest = b""
    while True:
        head, _, rest = read_message(connection, rest, lambda: RECEIVE[receive](connection))
        if not head:
            return
        SEND[send](connection, response(f"{path_of(head)} {os.getpid()}\n".encode()))


listener = listen()
port = listener.getsockname()[1]
server = serve(listener, handler, iter(PAIRS))
wait_for_go(port, server)
for send, receive in PAIRS:
    with connect(port) as connection:
        no_delay(connection)
        for n in range(2):
            path = f"/{send}/{receive}/{n}"
            sent = request(path)
            SEND[send](connection, sent)
            head, body, _ = read_message(connection, b"", lambda: RECEIVE[receive](connection))
            note(f"GET {path}", status_of(head), len(sent), len(head) + len(body), server_pid=server)
report()
