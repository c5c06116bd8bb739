"""The line to a client: it is cut by whatever kind of end the client makes, severs the upstream, and leaves nothing behind."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import gevent
import pytest

from proxy_app.hangup import ClientLine, LiveCalls


@dataclass
class Connection:
    """An upstream connection, as far as a line knows it."""

    severed: list[float] = field(default_factory=list)

    def sever(self) -> None:
        self.severed.append(time.monotonic())


class Ends:
    """A client's end and the server's."""

    def __init__(self) -> None:
        listener = socket.create_server(("127.0.0.1", 0))
        self.client = socket.create_connection(listener.getsockname())
        self.server, _ = listener.accept()
        listener.close()

    def close(self) -> None:
        self.client.close()
        self.server.close()


@pytest.fixture
def ends() -> Iterator[Ends]:
    ends = Ends()
    yield ends
    ends.close()


def watched(ends: Ends, live: LiveCalls) -> ClientLine:
    line = ClientLine(ends.server, live)
    line.watch()
    return line


def fin(ends: Ends) -> None:
    ends.client.close()


def rst(ends: Ends) -> None:
    ends.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    ends.client.close()


def half(ends: Ends) -> None:
    ends.client.shutdown(socket.SHUT_WR)


def soon(happened: Callable[[], object], within_s: float = 60.0) -> bool:
    """Let the loop run until it did."""
    deadline = time.monotonic() + within_s
    while not happened() and time.monotonic() < deadline:
        gevent.sleep(0.01)
    return bool(happened())


@pytest.mark.parametrize("leave", [fin, rst, half])
def test_a_client_that_goes_severs_the_upstream(ends: Ends, leave: Callable[[Ends], None]) -> None:
    line, upstream = watched(ends, LiveCalls()), Connection()
    line.hold(upstream)
    leave(ends)
    assert soon(lambda: line.gone)
    assert len(upstream.severed) == 1
    line.close()


@pytest.mark.parametrize("leave", [fin, rst, half])
def test_a_client_that_sent_more_than_its_request_is_missed_all_the_same(ends: Ends, leave: Callable[[Ends], None]) -> None:
    line = watched(ends, LiveCalls())
    ends.client.sendall(b"the next request")
    assert not soon(lambda: line.gone, 0.4)
    leave(ends)
    assert soon(lambda: line.gone)
    line.close()


def test_bytes_that_wait_do_not_keep_the_loop_busy(ends: Ends) -> None:
    line = watched(ends, LiveCalls())
    ends.client.sendall(b"the next request")
    began = time.thread_time()  # of the loop's own thread, whatever else this process has
    gevent.sleep(0.5)
    assert time.thread_time() - began < 0.25
    line.close()


def test_the_next_request_stays_to_be_read(ends: Ends) -> None:
    line = watched(ends, LiveCalls())
    ends.client.sendall(b"next")
    gevent.sleep(0.1)
    line.close()
    assert ends.server.recv(10) == b"next"


def test_who_has_gone_before_the_upstream_is_asked_severs_it_at_once(ends: Ends) -> None:
    line, upstream = watched(ends, LiveCalls()), Connection()
    fin(ends)
    assert soon(lambda: line.gone)
    line.hold(upstream)
    assert len(upstream.severed) == 1
    line.close()


def test_a_connection_that_was_released_is_not_severed(ends: Ends) -> None:
    line, upstream = watched(ends, LiveCalls()), Connection()
    line.hold(upstream)
    line.release()
    fin(ends)
    assert soon(lambda: line.gone)
    assert upstream.severed == []
    line.close()


def test_a_pause_ends_when_the_client_goes(ends: Ends) -> None:
    line = watched(ends, LiveCalls())
    gevent.spawn_later(0.1, fin, ends)
    began = time.monotonic()
    line.pause(10)
    assert time.monotonic() - began < 5
    line.close()


def test_while_the_body_is_read_its_bytes_are_no_hang_up(ends: Ends) -> None:
    line = ClientLine(ends.server, LiveCalls())
    ends.client.sendall(b"body")
    half(ends)
    assert not soon(lambda: line.gone, 0.3)
    line.watch()
    assert soon(lambda: line.gone)
    line.close()


def test_nothing_is_noticed_after_the_end_and_closing_twice_is_harmless(ends: Ends) -> None:
    live = LiveCalls()
    line = watched(ends, live)
    assert len(live) == 1
    line.close()
    line.close()
    fin(ends)
    assert not soon(lambda: line.gone, 0.3)
    assert len(live) == 0


def test_a_drain_cuts_what_is_under_way_and_all_that_comes_later(ends: Ends) -> None:
    live, upstream = LiveCalls(), Connection()
    line = watched(ends, live)
    line.hold(upstream)
    assert live.drain() == 1
    late, late_upstream = ClientLine(None, live), Connection()
    late.hold(late_upstream)
    assert (line.draining, line.gone, late.draining) == (True, False, True)
    assert (len(upstream.severed), len(late_upstream.severed)) == (1, 1)
    line.close()
    late.close()


def test_abandoning_ends_a_write_that_waits_for_the_client_to_read(ends: Ends) -> None:
    live = LiveCalls()
    line = watched(ends, live)
    writing = gevent.get_hub().threadpool.spawn(written_until_it_fails, ends.server)
    assert not soon(writing.ready, 0.3)
    assert live.abandon() == 1
    assert isinstance(writing.get(timeout=5), OSError)
    line.close()


def written_until_it_fails(sock: socket.socket) -> Any:
    try:
        while True:
            sock.sendall(b"x" * 65_536)
    except OSError as error:
        return error
