"""The orders, in PostgreSQL. One takes a quote for shipping, a payment, sometimes the tax office, and a mail."""

import itertools
import os

import psycopg
import redis
from service import NAMES, Peer, Pool, serve


def connect():
    name, port = os.environ["SHOP_POSTGRESQL"].rsplit(":", 1)
    address = NAMES.address(name)
    return psycopg.connect(host=address, port=int(port), user="shop", dbname="postgres", autocommit=True, sslmode="disable")


DATABASE = Pool(connect, 4)
CART, SHIPPING = Peer("cart"), Peer("shipping")
# A connection for each payment: whoever is free over there takes the next.
PAYMENTS = Peer("payments", timeout=6.0, keep_alive=False)
TAX = Peer("tax", timeout=0.8, keep_alive=False)
name, port = os.environ["SHOP_REDIS"].rsplit(":", 1)
MAILS = redis.Redis(host=NAMES.address(name), port=int(port))
NUMBERS = itertools.count(1)


def order(user, product=1, price=10):
    number = next(NUMBERS)
    if number % 12 == 0:
        try:
            TAX.ask("GET", f"/rates/{user}")
        except OSError:
            pass  # it hangs; the usual rate will do
    _, quote = SHIPPING.ask("GET", f"/quotes/{10_000 + int(user)}")
    status, payment = PAYMENTS.ask("POST", "/payments", {"user": user, "amount": price + quote["price"]})
    with DATABASE as connection:
        row = connection.execute(
            "INSERT INTO orders (customer, product, price, state) VALUES (%s, %s, %s, %s) RETURNING id",
            (user, product, price, "paid" if status == 201 else "refused"),
        ).fetchone()
    if status != 201:
        return 402, payment
    CART.ask("DELETE", f"/carts/{user}")
    MAILS.lpush("mails", f"order {row[0]} of {user}")
    return 201, {"order": row[0]}


def orders_of(user):
    with DATABASE as connection:
        found = connection.execute(
            "SELECT id, product, price, state FROM orders WHERE customer = %s ORDER BY id DESC LIMIT 10", (user,)
        ).fetchall()
    return 200, found


with DATABASE as connection:
    connection.execute(
        "CREATE TABLE IF NOT EXISTS orders (id serial PRIMARY KEY, customer int, product int, price numeric,"
        " state text, at timestamptz DEFAULT now())"
    )
    connection.execute("CREATE INDEX IF NOT EXISTS orders_by_customer ON orders (customer)")
serve([("POST", r"/orders/(\d+)", order), ("GET", r"/orders/(\d+)", orders_of)])
