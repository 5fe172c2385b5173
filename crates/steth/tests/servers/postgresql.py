"""What a PostgreSQL client does, by its name: postgresql.py PORT NAME [COUNT].

Prints `ready` when its connection stands, and goes on when a line comes in.
"""

import pathlib
import select
import socket
import struct
import sys
import threading
import time

import psycopg

PORT, NAME = int(sys.argv[1]), sys.argv[2]
COUNT = int((sys.argv[3:] or [1000])[0])


def connect(**options):
    settings = {"host": "127.0.0.1", "port": PORT, "user": "postgres", "dbname": "postgres", "autocommit": True}
    return psycopg.connect(**{**settings, **options})


def go():
    print("ready", flush=True)
    sys.stdin.readline()


def pipeline():
    """COUNT inserts in one pipeline; then one that fails in the middle of five."""
    with connect() as conn:
        conn.execute("CREATE TEMPORARY TABLE pipelined(id int PRIMARY KEY)")
        go()
        with conn.pipeline():
            for n in range(COUNT):
                conn.execute("INSERT INTO pipelined VALUES (%s)", (n,))
        # The driver sends nothing behind an error that it has read, and when that is, chance decides.
        errors = at_once(conn, b"INSERT INTO pipelined VALUES ($1)", (COUNT + 1, COUNT + 2, 7, COUNT + 3, COUNT + 4))
        assert errors == [b"23505"], errors
        conn.execute("SELECT count(*) FROM pipelined")


def deep():
    """Twice COUNT inserts, all sent before the first reply is read."""
    with connect() as conn:
        conn.execute("CREATE TEMPORARY TABLE deep(id int PRIMARY KEY)")
        go()
        assert at_once(conn, b"INSERT INTO deep VALUES ($1)", range(2 * COUNT)) == []


def at_once(conn, text, values):
    """Executes a statement with each of the values in a pipeline with one Sync at its end. The errors' SQLSTATEs."""
    pgconn, errors = conn.pgconn, []
    pgconn.nonblocking = 1
    pgconn.enter_pipeline_mode()
    for value in values:
        pgconn.send_query_params(text, [b"%d" % value])
    pgconn.pipeline_sync()
    while pgconn.flush():
        select.select([], [pgconn.socket], [])
    while True:
        while pgconn.is_busy():
            select.select([pgconn.socket], [], [])
            pgconn.consume_input()
        result = pgconn.get_result()
        if result is None:
            continue
        if result.status == psycopg.pq.ExecStatus.PIPELINE_SYNC:
            break
        if result.status == psycopg.pq.ExecStatus.FATAL_ERROR:
            errors.append(result.error_field(psycopg.pq.DiagnosticField.SQLSTATE))
    pgconn.exit_pipeline_mode()
    pgconn.nonblocking = 0
    return errors


def copy():
    """COUNT rows in, out, and a COPY that the client takes back."""
    with connect() as conn, conn.cursor() as cursor:
        conn.execute("CREATE TEMPORARY TABLE copied(id int, text text)")
        go()
        with cursor.copy("COPY copied FROM STDIN") as to:
            for n in range(COUNT):
                to.write_row((n, "x" * 100))
        with cursor.copy("COPY copied TO STDOUT") as rows:
            assert sum(1 for _ in rows.rows()) == COUNT
        try:
            with cursor.copy("COPY copied FROM STDIN") as to:
                to.write_row((1, "a"))
                raise InterruptedError
        except psycopg.errors.QueryCanceled:
            pass


def errors():
    """One error of each kind, at every stage."""
    with connect() as conn:
        go()
        for text, parameters in (
            ("SELEC nothing", None),
            ("SELECT nothing FROM nowhere", None),
            ("SELECT 1 / %s", (0,)),
            ("SELECT %s::int", ("secret",)),
            ("BEGIN; SELECT 1; SELECT 1/0; SELECT 2", None),
            ("SELECT 3", None),
            ("ROLLBACK", None),
        ):
            try:
                conn.execute(text, parameters)
            except psycopg.Error:
                pass


def cancel():
    """A statement that another connection takes back once it runs."""

    def when_it_runs(process):
        # The server writes into its title what it is about to execute.
        while b" SELECT" not in pathlib.Path(f"/proc/{process}/cmdline").read_bytes():
            time.sleep(0.01)
        conn.cancel()

    with connect() as conn:
        go()
        thread = threading.Thread(target=when_it_runs, args=(conn.info.backend_pid,))
        thread.start()
        try:
            conn.execute("SELECT pg_sleep(60)")
        except psycopg.errors.QueryCanceled:
            pass
        thread.join()


def notify():
    """Notifications come between replies and within them."""
    with connect() as conn, connect() as other:
        go()
        conn.execute("LISTEN news")
        for n in range(5):
            other.execute("NOTIFY news, 'item'")
            conn.execute("SELECT 1")
        conn.execute("DO $$ BEGIN RAISE NOTICE 'hello'; END $$")


def large():
    """Results far beyond what is captured, each followed by a small one."""
    with connect() as conn:
        go()
        for parameters in (None, (200,)):
            for _ in range(10):
                rows = "%s" if parameters else "200"
                conn.execute(f"SELECT repeat('x', 10000) FROM generate_series(1, {rows})", parameters)
                conn.execute("SELECT 1")


def parameters():
    """Parameters far beyond what is captured, each with the rest of its statement behind it; three in one pipeline."""
    with connect() as conn:
        go()
        conn.execute("SELECT length(%s)", ("x" * 1_000_000,))
        conn.execute("SELECT length(%s), %s::int", ("x" * 1_000_000, 5))
        with conn.pipeline():
            for _ in range(3):
                conn.execute("SELECT 1, length(%s)", ("x" * 300_000,))
        conn.execute("SELECT 1")


def slow():
    """A result far beyond what is captured, whose last row comes late; then a small one."""
    with connect() as conn:
        go()
        conn.execute("SELECT repeat('x', 10000) FROM generate_series(1, 20) UNION ALL SELECT pg_sleep(0.5)::text")
        conn.execute("SELECT 1")


def prepared():
    """Statements prepared before the agent looks."""
    with connect() as conn:
        for n in range(3):
            conn.execute("SELECT %s + 1", (n,), prepare=True)
        go()
        for n in range(100):
            conn.execute("SELECT %s + 1", (n,), prepare=True)
            conn.execute("SELECT now()")


def strings():
    """Backslashes that escape and do not, as the session says."""
    with connect() as conn:
        go()
        for text in (
            r"SELECT 'C:\', 5 AS n, 'last'",
            "SET standard_conforming_strings = off",
            r"SELECT 'O\'Dea', 6 AS n",
            "RESET standard_conforming_strings",
            r"SELECT 'C:\', 7 AS n, 'last'",
        ):
            conn.execute(text)


def encrypted():
    """TLS asked for, and had or not."""
    with connect(sslmode="prefer") as conn:
        go()
        conn.execute("SELECT 1")


def gssapi():
    """GSSAPI's encryption asked for and had, by hand: libpq does not ask without a ticket. The server has no keytab, so it hangs up."""
    with socket.create_connection(("127.0.0.1", PORT)) as raw:
        go()
        raw.sendall(struct.pack("!II", 8, 80877104))
        assert raw.recv(1) == b"G"
        token = b"Q\0\0\0\x0dSELECT 1\0" * 5  # in the clear, a query
        raw.sendall(struct.pack("!I", len(token)) + token)
        while raw.recv(4096):
            pass


globals()[NAME]()
