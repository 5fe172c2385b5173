"""What a program does through MariaDB's own client library, and its command-line client does not: mariadb.py PORT.

Cursors, data in pieces, many rows in one execution, another user on the same connection.
"""

import ctypes
import sys

PORT = int(sys.argv[1])
ROWS = 250

lib = ctypes.CDLL("libmariadb.so.3")
for name in ("mysql_init", "mysql_stmt_init", "mysql_store_result", "mysql_list_fields", "mysql_fetch_row"):
    getattr(lib, name).restype = ctypes.c_void_p
lib.mysql_error.restype = lib.mysql_stmt_error.restype = ctypes.c_char_p

# `enum enum_stmt_attr_type`
CURSOR_TYPE, PREFETCH_ROWS, ARRAY_SIZE = 1, 2, 201
# `enum enum_field_types`
LONG, BLOB = 3, 252
READ_ONLY, NO_DATA = 1, 100


class Bind(ctypes.Structure):
    """`MYSQL_BIND`; what the library keeps for itself behind the type is room only."""

    _fields_ = [
        ("length", ctypes.c_void_p),
        ("is_null", ctypes.c_void_p),
        ("buffer", ctypes.c_void_p),
        ("own", ctypes.c_void_p * 5),
        ("buffer_length", ctypes.c_ulong),
        ("offset", ctypes.c_ulong),
        ("length_value", ctypes.c_ulong),
        ("flags", ctypes.c_uint),
        ("pack_length", ctypes.c_uint),
        ("type", ctypes.c_int),
        ("rest", ctypes.c_byte * 128),
    ]


class Connection:
    """One connection to the schema `shop`."""

    def __init__(self):
        self.handle = ctypes.c_void_p(lib.mysql_init(None))
        if not lib.mysql_real_connect(self.handle, b"127.0.0.1", b"root", None, b"shop", PORT, None, ctypes.c_ulong(0)):
            self.fail()

    def fail(self):
        raise RuntimeError(lib.mysql_error(self.handle).decode())

    def check(self, wrong):
        if wrong:
            self.fail()

    def query(self, text):
        """The first column of the first row, if there is one."""
        self.check(lib.mysql_query(self.handle, text))
        result = ctypes.c_void_p(lib.mysql_store_result(self.handle))
        if not result:
            return None
        row = lib.mysql_fetch_row(result)
        value = ctypes.cast(row, ctypes.POINTER(ctypes.c_char_p))[0] if row else None
        lib.mysql_free_result(result)
        return value

    def change_user(self, user, schema):
        return lib.mysql_change_user(self.handle, user, None, schema) & 0xFF == 0


class Statement:
    """A prepared statement."""

    def __init__(self, connection, text):
        self.handle = ctypes.c_void_p(lib.mysql_stmt_init(connection.handle))
        self.check(lib.mysql_stmt_prepare(self.handle, text, ctypes.c_ulong(len(text))))

    def check(self, wrong):
        if wrong:
            raise RuntimeError(lib.mysql_stmt_error(self.handle).decode())

    def set(self, attribute, number):
        self.check(lib.mysql_stmt_attr_set(self.handle, attribute, ctypes.byref(ctypes.c_ulong(number))) & 0xFF)

    def bind(self, bind):
        self.check(lib.mysql_stmt_bind_param(self.handle, ctypes.byref(bind)) & 0xFF)

    def execute(self):
        self.check(lib.mysql_stmt_execute(self.handle))

    def close(self):
        lib.mysql_stmt_close(self.handle)


connection = Connection()
connection.query(b"CREATE TABLE numbers (id INT)")
connection.query(b"CREATE TABLE words (word LONGBLOB)")

# One execution with many rows: STMT_BULK_EXECUTE.
many = Statement(connection, b"INSERT INTO numbers VALUES (?)")
numbers = (ctypes.c_int * ROWS)(*range(ROWS))
many.set(ARRAY_SIZE, ROWS)
many.bind(Bind(buffer=ctypes.addressof(numbers), type=LONG))
many.execute()
many.close()

# A cursor: an execution without rows, and a hundred with each STMT_FETCH.
cursor = Statement(connection, b"SELECT id FROM numbers ORDER BY id")
cursor.set(CURSOR_TYPE, READ_ONLY)
cursor.set(PREFETCH_ROWS, 100)
cursor.execute()
fetched = 0
while (status := lib.mysql_stmt_fetch(cursor.handle)) == 0:
    fetched += 1
assert (status, fetched) == (NO_DATA, ROWS), (status, fetched)
cursor.check(lib.mysql_stmt_reset(cursor.handle) & 0xFF)
cursor.close()

# A parameter in two pieces, which nobody answers; the second has more than one packet.
pieces = Statement(connection, b"INSERT INTO words VALUES (?)")
pieces.bind(Bind(type=BLOB))
for piece in (b"secret ", b"word" * 5_000_000):
    pieces.check(lib.mysql_stmt_send_long_data(pieces.handle, 0, piece, ctypes.c_ulong(len(piece))) & 0xFF)
pieces.execute()
pieces.close()
assert connection.query(b"SELECT LENGTH(word) FROM words") == b"20000007"

# The same connection, elsewhere; and with nothing of before.
assert connection.change_user(b"root", b"mysql")
assert connection.query(b"SELECT DATABASE()") == b"mysql"
connection.check(lib.mysql_reset_connection(connection.handle))
assert connection.query(b"SELECT DATABASE()") == b"mysql"
connection.check(lib.mysql_select_db(connection.handle, b"shop"))
columns = ctypes.c_void_p(lib.mysql_list_fields(connection.handle, b"numbers", None))
assert columns
lib.mysql_free_result(columns)
assert not connection.change_user(b"nobody", b"shop")
lib.mysql_close(connection.handle)
