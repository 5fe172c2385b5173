"""Quotes for shipping: the slow dependency. Half a second is usual, and sometimes it is more than one."""

import random
import time

from service import serve


def quote(postcode):
    time.sleep(min(random.lognormvariate(-0.9, 0.5), 2.0))
    return 200, {"postcode": postcode, "price": 4 + int(postcode) % 5}


serve([("GET", r"/quotes/(\d+)", quote)])
