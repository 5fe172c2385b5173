"""The carts, in Redis: a hash each, which is forgotten after ten minutes."""

import os

import redis
from service import NAMES, serve

name, port = os.environ["SHOP_REDIS"].rsplit(":", 1)
STORE = redis.Redis(host=NAMES.address(name), port=int(port), decode_responses=True)


def read(user):
    return 200, STORE.hgetall(f"cart:{user}")


def add(user, product, number=1):
    with STORE.pipeline(transaction=False) as pipeline:
        pipeline.hincrby(f"cart:{user}", product, number)
        pipeline.expire(f"cart:{user}", 600)
        total, _ = pipeline.execute()
    return 201, {"product": product, "number": total}


def empty(user):
    STORE.delete(f"cart:{user}")
    return 200, {}


serve([("GET", r"/carts/(\d+)", read), ("POST", r"/carts/(\d+)/items", add), ("DELETE", r"/carts/(\d+)", empty)])
