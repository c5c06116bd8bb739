"""The same calls work with gevent's patches and without; only with them does anybody else get a turn meanwhile."""

from __future__ import annotations

import threading

import pytest

from core.threads import NativeThread, TookTooLong, is_cooperative, paced, spawn, within
from tests.core.patched import in_patched_process


def test_without_gevent_the_caller_runs_the_work_itself() -> None:
    thread = NativeThread()

    assert not is_cooperative()
    assert thread.run(threading.get_ident) == threading.get_ident()
    thread.close()


def test_without_gevent_what_is_spawned_runs_beside_the_caller() -> None:
    ran = threading.Event()

    running = spawn(ran.set)
    assert ran.wait(30)
    running.stop(30)


def test_an_exception_reaches_the_caller() -> None:
    with pytest.raises(ZeroDivisionError):
        NativeThread().run(lambda: 1 / 0)


def test_what_ends_in_time_gives_its_result_or_its_exception() -> None:
    assert within(30, lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        within(30, lambda: 1 / 0)


def test_what_takes_too_long_is_left_to_end_by_itself() -> None:
    go_on, ended = threading.Event(), threading.Event()

    def work() -> None:
        go_on.wait(30)
        ended.set()

    with pytest.raises(TookTooLong):
        within(0.05, work)
    assert not ended.is_set()
    go_on.set()
    assert ended.wait(30)


PATCHED = """
import hashlib
from core.threads import NativeThread, is_cooperative, sleep, spawn
import threading
turns = []
beside = spawn(lambda: [(sleep(0.001), turns.append("hub")) for _ in range(100_000)])
thread = NativeThread()
here = monkey.get_original("threading", "get_ident")
native = thread.run(lambda: (here(), hashlib.pbkdf2_hmac("sha256", b"x", b"y", 400_000))[0])
print(is_cooperative(), native != here(), len(turns) > 2)
try:
    thread.run(lambda: 1 / 0)
except ZeroDivisionError:
    print("raised")
beside.stop(0)
print(len(turns) < 100_000)
thread.close()
"""


def test_with_gevent_native_work_leaves_the_hub_to_others() -> None:
    assert in_patched_process(PATCHED).split() == ["True", "True", "True", "raised", "True"]


TURNS = """
from core.threads import Turns
turns, order = Turns(0.002), []
def work(name):
    with turns.take() as rest:
        for _ in range(6):
            until = time.monotonic() + 0.001
            while time.monotonic() < until: pass
            order.append(name)
            rest()
"""


def test_long_work_goes_in_turns_one_at_a_time_and_none_is_left_out() -> None:
    program = TURNS + "gevent.joinall([gevent.spawn(work, name) for name in 'abc'])\nprint(''.join(order))"
    order = in_patched_process(program)
    assert sorted(order) == sorted("abc" * 6)
    assert order.rindex("a") > order.index("b"), "the first one did not run to its end before the others began"


def test_between_turns_whoever_waits_for_the_clock_is_served() -> None:
    program = (
        TURNS
        + """
def tick():
    while True: order.append('.'); time.sleep(0.001)
ticking = gevent.spawn(tick)
gevent.joinall([gevent.spawn(work, name) for name in 'abcdefgh'])
ticking.kill()
print(max(len(run) for run in ''.join(order).split('.')))"""
    )
    assert int(in_patched_process(program)) <= 4


def test_work_that_is_cut_off_in_the_middle_leaves_the_line_to_the_next() -> None:
    program = (
        TURNS
        + """
workers = [gevent.spawn(work, name) for name in 'abc']
time.sleep(0.003)
gevent.killall(workers[:2])
workers[2].join()
with turns.take(): print(order.count('c'))"""
    )
    assert in_patched_process(program) == "6"


PACED = """
from core.threads import NativeThread, paced
order = []
def piece():
    until = time.monotonic() + 0.001
    while time.monotonic() < until: pass
    order.append('x')
def rows():
    for _ in paced(range(12)): piece()
def tick():
    while True: order.append('.'); time.sleep(0.0005)
ticking = gevent.spawn(tick)
"""


def test_between_pieces_of_a_long_row_others_are_served() -> None:
    program = PACED + "gevent.spawn(rows).join()\nprint(max(map(len, ''.join(order).split('.'))), order.count('x'))"
    longest, all_of_them = map(int, in_patched_process(program).split())
    assert (longest <= 4, all_of_them) == (True, 12)


NEVER_IDLE = """
import socket
def send_back(ours, first):
    if first: ours.sendall(b'.')
    while True: ours.sendall(ours.recv(1)); order.append(',')
one, other = socket.socketpair()
playing = [gevent.spawn(send_back, one, True), gevent.spawn(send_back, other, False)]
"""


def test_a_long_row_comes_to_its_end_beside_a_loop_that_is_never_idle_and_holds_it_for_a_moment_at_a_time() -> None:
    program = PACED + NEVER_IDLE + "gevent.spawn(rows).join(10)\nprint(''.join(order).strip(','))"
    played = in_patched_process(program).strip().replace(".", "")
    assert (played.count("x"), max(map(len, played.split(",")))) == (12, 1)


def test_in_a_native_thread_a_long_row_touches_no_greenlet() -> None:
    program = PACED + "NativeThread().run(rows)\nprint(order.count('x'))"
    assert in_patched_process(program) == "12"


def test_without_gevent_a_long_row_is_what_it_was() -> None:
    assert list(paced(range(3))) == [0, 1, 2]
