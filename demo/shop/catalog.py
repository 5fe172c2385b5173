"""The products: in MariaDB, with those that were asked for lately in Redis."""

import json
import os
import random

import pymysql
import redis
from service import NAMES, Pool, serve

KEEP = 20  # seconds that a product stays in the cache


def connect():
    name, port = os.environ["SHOP_MARIADB"].rsplit(":", 1)
    return pymysql.connect(
        host=NAMES.address(name), port=int(port), user="root", database="shop", autocommit=True,
        cursorclass=pymysql.cursors.DictCursor,
    )


DATABASE = Pool(connect, 3)
name, port = os.environ["SHOP_REDIS"].rsplit(":", 1)
CACHE = redis.Redis(host=NAMES.address(name), port=int(port))


def rows(sql, *values):
    with DATABASE as connection, connection.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchall()


def product(number):
    kept = CACHE.get(f"product:{number}")
    if kept:
        return 200, json.loads(kept)
    found = rows("SELECT id, name, price, stock FROM products WHERE id = %s", int(number))
    if not found:
        return 404, {"error": "no such product"}
    CACHE.setex(f"product:{number}", KEEP, json.dumps(found[0], default=str))
    return 200, found[0]


def page(page="0"):
    return 200, rows("SELECT id, name, price FROM products ORDER BY id LIMIT %s, 20", 20 * int(page))


def search(q=""):
    # No index helps here: it reads the whole table, and now and then the table is locked for a moment.
    if random.random() < 0.02:
        rows("SELECT SLEEP(0.25)")
    return 200, rows("SELECT id, name FROM products WHERE description LIKE %s ORDER BY price LIMIT 10", f"%{q}%")


serve([("GET", r"/products/(\d+)", product), ("GET", "/products", page), ("GET", "/search", search)])
