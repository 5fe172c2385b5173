"""A value of 10 MB, stored and fetched, between two small commands."""

from resp import *

VALUE = bytes(range(256)) * (10 * 1024 * 1024 // 256)
wait_for_go(PORT)
redis = Redis()
redis.call("PING")
redis.call("SET", "big", VALUE)
assert redis.call("GET", "big") == VALUE
assert redis.call("STRLEN", "big") == str(len(VALUE)).encode()
redis.close()
report(value_bytes=len(VALUE))
