"""The shop's servers from Debian's packages: how each is configured, and the databases' first contents."""

import glob
import os
import random
import signal

from processes import program

# Each has an address of its own, as hosts have: what is refused or hangs then has a name of its own, too.
ADDRESSES = {
    "dns": "127.77.0.2",
    "redis": "127.77.0.3",
    "mariadb": "127.77.0.4",
    "postgresql": "127.77.0.5",
    "nginx": "127.77.0.10",
    "storefront": "127.77.0.11",
    "catalog": "127.77.0.12",
    "cart": "127.77.0.13",
    "orders": "127.77.0.14",
    "payments": "127.77.0.15",
    "shipping": "127.77.0.16",
    "recommendations": "127.77.0.17",
    "tax": "127.77.0.18",
    # Nobody listens there.
    "loyalty": "127.77.0.19",
}
# An address that is nobody's (RFC 5737), and a port of it.
BANK = ("198.51.100.7", 443)

WORDS = ["red", "green", "blue", "small", "large", "wool", "linen", "oak", "round", "plain"]
THINGS = ["chair", "table", "lamp", "scarf", "cup", "shelf", "blanket", "bowl"]

NGINX = """daemon off;
worker_processes 1;
pid {directory}/pid;
error_log stderr error;
events {{ worker_connections 512; }}
http {{
    access_log off;
    default_type image/svg+xml;
    client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy; fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi; scgi_temp_path {directory}/scgi;
    keepalive_requests 100000;
    upstream storefront {{ server {storefront}; keepalive 32; }}
    server {{
        listen {listen} backlog=256;
        location /static/ {{ root {directory}; }}
        location / {{
            proxy_pass http://storefront;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
        }}
    }}
}}
"""
LOGO = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><circle cx="4" cy="4" r="4"/></svg>\n'


def products():
    """The statements that make MariaDB's table, the same each time. Of an init file each line is a statement, and short."""
    chance = random.Random(1)
    rows = []
    for number in range(1, 201):
        words = chance.sample(WORDS, 4)
        name = f"{words[0]} {chance.choice(THINGS)}"
        values = f"{number}, '{name}', {chance.randint(5, 300)}, {chance.randint(0, 50)}, '{' '.join(words * 20)}'"
        rows.append(f"INSERT INTO shop.products VALUES ({values});")
    return "\n".join([
        "CREATE DATABASE shop;",
        "CREATE TABLE shop.products (id int PRIMARY KEY, name varchar(80), price decimal(8,2), stock int, description text);",
        *rows,
        "",
    ])


def postgresql(name):
    """A program of PostgreSQL, which Debian keeps apart for each version."""
    folders = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda path: float(path.split("/")[-2]), reverse=True)
    return program(name, *folders)


def make_databases(demo):
    """Makes the directories of MariaDB and PostgreSQL, both at once."""
    for name in ("mariadb", "postgresql"):
        demo.user.own(demo.path(name))
    mariadb = [program("mariadb-install-db"), "--no-defaults", f"--datadir={demo.path('mariadb', 'data')}"]
    mariadb += ["--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve"]
    initdb = [postgresql("initdb"), "-D", demo.path("postgresql", "data"), "-U", "shop", "-A", "trust", "-E", "UTF8"]
    initdb += ["--locale=C", "--no-sync"]
    making = [demo.start("servers", "mariadb-install-db", mariadb), demo.start("servers", "initdb", initdb)]
    for process in making:
        process.wait_for_end()


def configurations(demo):
    """The name of each server, and its arguments and whatever else its start needs."""
    address, port = ADDRESSES, demo.ports
    hosts = [f"--host-record={name}.shop.internal,{at}" for name, at in address.items()]
    yield "dns", {"arguments": [
        program("dnsmasq"), "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--pid-file=",
        "--user=", "--bind-interfaces", "--log-facility=-", "--local=/shop.internal/", "--local-ttl=5",
        f"--listen-address={address['dns']}", f"--port={port['dns']}", f"--host-record=bank.shop.internal,{BANK[0]}", *hosts,
    ]}
    yield "redis", {"arguments": [
        program("redis-server"), "--bind", address["redis"], "--port", str(port["redis"]), "--save", "", "--appendonly", "no",
        "--dir", demo.path("redis"),
    ]}
    seed = demo.path("mariadb", "seed.sql")
    with open(seed, "w") as file:
        file.write(products())
    yield "mariadb", {"arguments": [
        program("mariadbd"), "--no-defaults", f"--datadir={demo.path('mariadb', 'data')}",
        f"--socket={demo.path('mariadb', 'socket')}", f"--bind-address={address['mariadb']}", f"--port={port['mariadb']}",
        "--skip-name-resolve", "--innodb-buffer-pool-size=32M", "--innodb-log-file-size=16M",
        "--innodb-flush-log-at-trx-commit=0", f"--init-file={seed}",
    ]}
    # SIGINT is its fast end. When the demo is killed it has to be faster yet.
    yield "postgresql", {"end": signal.SIGINT, "orphan": signal.SIGQUIT, "arguments": [
        postgresql("postgres"), "-D", demo.path("postgresql", "data"), "-h", address["postgresql"],
        "-p", str(port["postgresql"]), "-k", demo.path("postgresql"), "-c", "fsync=off", "-c", "shared_buffers=16MB",
    ]}
    folder = demo.user.own(demo.path("nginx"))
    os.makedirs(os.path.join(folder, "static"), exist_ok=True)
    with open(os.path.join(folder, "static", "logo.svg"), "w") as file:
        file.write(LOGO)
    text = NGINX.format(directory=folder, storefront=demo.at("storefront"), listen=demo.at("nginx"))
    with open(os.path.join(folder, "nginx.conf"), "w") as file:
        file.write(text)
    yield "nginx", {"end": signal.SIGTERM, "arguments": [program("nginx"), "-e", "stderr", "-p", folder, "-c", os.path.join(folder, "nginx.conf")]}
