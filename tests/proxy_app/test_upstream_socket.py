"""Promises of the upstream socket: a wait ends by data, by its deadline or by being severed, whichever comes first."""

from __future__ import annotations

import hashlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from random import Random

import gevent
import pytest
from gevent import get_hub
from gevent.event import Event

from proxy_app.upstream_socket import Deadlines, Expired, Severed, UpstreamSocket

FAR = float("inf")
RESOLUTION_S = 0.02


class Ends:
    """Both ends of a connection: `here` as the product holds it, `there` a plain blocking socket."""

    def __init__(self, deadlines: Deadlines) -> None:
        listener = socket.create_server(("127.0.0.1", 0))
        self.there = socket.create_connection(listener.getsockname())
        accepted, _ = listener.accept()
        listener.close()
        self.here = UpstreamSocket(accepted, deadlines)

    def close(self) -> None:
        self.here.close()
        self.there.close()


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self._now = 0.0
        self._asked = Event()

    def __call__(self) -> float:
        self._asked.set()
        return self._now

    def moved_to(self, moment: float, seen: Callable[[], int]) -> int:
        """What is seen once the watchdog has looked at that time, and whom it woke has run."""
        self._now = moment
        self._asked.clear()
        assert self._asked.wait(10)
        gevent.idle()
        return seen()


@pytest.fixture
def deadlines() -> Deadlines:
    return Deadlines(time.monotonic, RESOLUTION_S)


@pytest.fixture
def ends(deadlines: Deadlines) -> Iterator[Ends]:
    ends = Ends(deadlines)
    yield ends
    ends.close()


def in_a_moment(act: Callable[..., object], *arguments: object) -> None:
    gevent.spawn_later(0.05, act, *arguments)


def soon() -> float:
    return time.monotonic() + 0.1


def test_what_is_there_is_returned_without_waiting_for_more(ends: Ends) -> None:
    ends.there.sendall(b"one")
    assert ends.here.receive(FAR) == b"one"


def test_a_wait_ends_with_the_data_it_waited_for(ends: Ends) -> None:
    in_a_moment(ends.there.sendall, b"later")
    assert ends.here.receive(FAR) == b"later"


def test_the_peers_end_is_no_bytes(ends: Ends) -> None:
    in_a_moment(ends.there.close)
    assert ends.here.receive(FAR) == b""


def test_a_reset_is_an_error_of_the_socket(ends: Ends) -> None:
    ends.there.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    in_a_moment(ends.there.close)
    with pytest.raises(OSError, match="reset"):
        ends.here.receive(FAR)


def test_a_deadline_ends_a_wait_and_leaves_the_socket_usable(ends: Ends) -> None:
    with pytest.raises(Expired):
        ends.here.receive(soon())
    ends.there.sendall(b"after all")
    assert ends.here.receive(FAR) == b"after all"


def test_a_wait_whose_deadline_has_passed_already_ends_too(ends: Ends) -> None:
    with pytest.raises(Expired):
        ends.here.receive(time.monotonic() - 1)


def test_severing_ends_the_wait_under_way_and_every_later_one(ends: Ends) -> None:
    in_a_moment(ends.here.sever)
    with pytest.raises(Severed):
        ends.here.receive(FAR)
    with pytest.raises(Severed):
        ends.here.receive(FAR)
    with pytest.raises(Severed):
        ends.here.send(b"x", FAR)


def test_severing_works_from_a_callback_of_the_event_loop(ends: Ends) -> None:
    timer = get_hub().loop.timer(0.05)
    timer.start(ends.here.sever)
    with pytest.raises(Severed):
        ends.here.receive(FAR)
    timer.close()


def test_a_severed_socket_yields_nothing_though_there_is_more(ends: Ends) -> None:
    """An upstream that always has more would otherwise go on being read for a client that has gone."""
    ends.there.sendall(b"x" * 200_000)
    ends.here.receive(FAR)
    ends.here.sever()
    with pytest.raises(Severed):
        ends.here.receive(FAR)


def test_ten_megabytes_reach_a_slow_reader_whole(ends: Ends) -> None:
    content, received = Random(1).randbytes(10_000_000), hashlib.sha256()

    def read() -> None:
        left = len(content)
        while left:
            piece = ends.there.recv(3_000)
            received.update(piece)
            left -= len(piece)

    reader = threading.Thread(target=read)
    reader.start()
    ends.here.send(content, FAR)
    reader.join()
    assert received.digest() == hashlib.sha256(content).digest()


def test_a_long_body_leaves_the_loop_a_turn_for_each_piece_though_the_kernel_would_take_more(ends: Ends) -> None:
    """The kernel takes a megabyte at once, which would hold every stream up for as long as the copying takes."""
    turns: list[int] = []
    watcher = get_hub().loop.prepare()  # called once in each round of the loop
    watcher.start(turns.append, 1)
    ends.there.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_000_000)
    ends.here.send(bytes(1_000_000), FAR)
    watcher.close()
    assert len(turns) >= 3


def test_sending_to_a_peer_that_does_not_read_has_a_deadline(ends: Ends) -> None:
    with pytest.raises(Expired):
        ends.here.send(bytes(50_000_000), soon())


def test_sending_to_a_peer_that_does_not_read_can_be_severed(ends: Ends) -> None:
    in_a_moment(ends.here.sever)
    with pytest.raises(Severed):
        ends.here.send(bytes(50_000_000), FAR)


def test_other_greenlets_run_while_one_waits(ends: Ends) -> None:
    ran: list[int] = []
    gevent.spawn_later(0, ran.append, 1)
    in_a_moment(ends.there.sendall, b"x")
    ends.here.receive(FAR)
    assert ran == [1]


def test_closing_twice_is_harmless(ends: Ends) -> None:
    ends.here.close()
    ends.here.close()
    assert ends.there.recv(1) == b""


def test_a_silent_socket_is_one_with_neither_bytes_nor_an_end(ends: Ends) -> None:
    assert ends.here.is_silent()
    ends.there.sendall(b"x")
    assert not ends.here.is_silent()
    ends.here.receive(FAR)
    assert ends.here.is_silent()
    ends.there.close()
    assert not ends.here.is_silent()


def test_three_hundred_waits_expire_each_at_its_own_time_and_leave_nothing_behind() -> None:
    """By a clock that stands until it is moved, so that a busy machine changes nothing."""
    clock = Clock()
    deadlines, ended = Deadlines(clock, RESOLUTION_S), list[int]()
    pairs = [Ends(deadlines) for _ in range(300)]

    def wait(number: int) -> None:
        with pytest.raises(Expired):
            pairs[number].here.receive(1.0 + number % 4)
        ended.append(number % 4)

    waits = [gevent.spawn(wait, number) for number in range(300)]
    seen = [clock.moved_to(moment, lambda: len(ended)) for moment in (0.9, 1.0, 2.0, 2.9, 3.0, 4.0)]
    gevent.joinall(waits)
    [pair.close() for pair in pairs]
    assert seen == [0, 75, 150, 150, 225, 300]
    assert (ended, len(deadlines)) == (sorted(ended), 0)


def test_the_watchdog_wakes_again_after_it_had_nothing_to_watch(deadlines: Deadlines, ends: Ends) -> None:
    with pytest.raises(Expired):
        ends.here.receive(soon())
    gevent.sleep(RESOLUTION_S * 3)
    with pytest.raises(Expired):
        ends.here.receive(soon())
