"""Sends mails: waits at a list in Redis (BLPOP), which is no slow request but what it is for."""

import os
import time

import redis
from service import NAMES

name, port = os.environ["SHOP_REDIS"].rsplit(":", 1)
QUEUE = redis.Redis(host=NAMES.address(name), port=int(port))
while True:
    if QUEUE.blpop("mails", timeout=5):
        time.sleep(0.02)
        QUEUE.incr("mails:sent")
