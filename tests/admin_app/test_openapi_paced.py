"""The API's description is made in pieces: nobody's answer waits for the whole of it."""

from __future__ import annotations

from tests import machine
from tests.core.patched import in_patched_process

LONGEST_MS = 50  # of this thread's own work; all of it together is some 200
PROGRAM = """
from admin_app.api_routes import OFFERS
from admin_app.openapi import describe
between = []
def go_round():
    while True:
        before = time.thread_time()
        time.sleep(0.001)
        between.append(time.thread_time() - before)
gevent.spawn(go_round)
time.sleep(0.002)
between.clear()
length = len(gevent.spawn(describe, OFFERS, "1.0").get())
time.sleep(0.002)
print(length > 100_000, int(max(between) * 1000))
"""


def test_while_the_api_is_described_everything_else_goes_on() -> None:
    is_whole, longest_ms = in_patched_process(PROGRAM).split()
    assert is_whole == "True"
    assert int(longest_ms) < LONGEST_MS * machine.slowness()
