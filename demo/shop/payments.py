"""The payments. Two workers take connections in turn and each is busy for 0.1 to 0.3 s with a payment, so at most about nine
payments a second get through. Whoever comes while both are busy waits in the kernel: the queue that this process's own times do not
show. Some cards are refused (402). Every few seconds the day's sum goes to a bank outside, which cannot be reached."""

import os
import random
import socket
import threading
import time

from service import NAMES, Handler, listening_at

WORKERS = 2


def pay(user, amount):
    time.sleep(random.uniform(0.1, 0.3))
    if random.random() < 0.03:
        return 402, {"error": "the card was refused"}
    return 201, {"user": user, "amount": amount}


class Payment(Handler):
    # One request for each connection: then the worker is free for whoever is next.
    protocol_version = "HTTP/1.0"
    routes = [("POST", "/payments", pay)]


def work(listener):
    while True:
        connection, address = listener.accept()
        with connection:
            try:
                Payment(connection, address, None)
            except OSError:
                pass  # the client is gone


def settle():
    name, port = os.environ["SHOP_BANK"].rsplit(":", 1)
    while True:
        time.sleep(4)
        try:
            with socket.create_connection((NAMES.address(name), int(port)), timeout=1) as bank:
                bank.sendall(b"POST /settlements HTTP/1.1\r\nHost: bank\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                bank.recv(4096)
        except OSError:
            pass  # tried again later


listener = socket.create_server(listening_at(), backlog=128)
threading.Thread(target=settle, daemon=True).start()
workers = [threading.Thread(target=work, args=(listener,)) for _ in range(WORKERS)]
for worker in workers:
    worker.start()
