"""Promises of the pool about exchanges that end otherwise than well: in time, without harm to others, nothing left behind."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from random import Random

import gevent
import pytest

from proxy_app.http_pool import HttpPool
from proxy_app.upstream_http import BodyBroken, ConnectFailed, NoAnswer, Origin, UpstreamRequest
from proxy_app.upstream_socket import Expired, Severed
from tests.live.bare import Played, RawUpstream, Seen, chunked, json_answer, until
from tests.proxy_app.pooling import (
    FOR_EVER,
    STREAM,
    Clock,
    Line,
    after,
    and_then_wait,
    asked,
    open_files,
    opened,
    whole,
)
from tests.proxy_app.pooling import clock as clock
from tests.proxy_app.pooling import pool as pool
from tests.proxy_app.pooling import upstream as upstream


@pytest.mark.parametrize("pieces", [[], [b"HTTP/1.1 200 OK\r\n"]])
def test_an_upstream_that_does_not_answer_in_time_is_left(pool: HttpPool, upstream: RawUpstream, pieces: list[bytes]) -> None:
    left = threading.Event()
    upstream.answer = lambda seen: Played(and_then_wait(pieces, left))
    with pytest.raises(Expired):
        opened(pool, upstream, within_s=0.2)
    assert until(lambda: upstream.seen != [])  # it reads in a thread of its own, which may be late
    left.set()
    assert len(upstream.seen) == 1


def test_silence_inside_a_body_ends_by_its_deadline_and_the_answer_can_go_on(pool: HttpPool, upstream: RawUpstream) -> None:
    go_on = threading.Event()

    def pieces() -> Iterator[bytes]:
        yield STREAM + b"1\r\na\r\n"
        go_on.wait(20)
        yield chunked(b"b")

    upstream.answer = lambda seen: Played(pieces())
    answer = opened(pool, upstream)
    assert answer.read(FOR_EVER) == b"a"
    with pytest.raises(Expired):
        answer.read(time.monotonic() + 0.1)
    go_on.set()
    assert whole(answer) == b"b"


@pytest.mark.parametrize("end", ["fin", "rst"])
def test_a_body_that_breaks_off_says_so_after_what_had_come(pool: HttpPool, upstream: RawUpstream, end: str) -> None:
    upstream.answer = lambda seen: Played([STREAM, b"1\r\na\r\n"], end)  # type: ignore[arg-type]
    answer = opened(pool, upstream)
    with pytest.raises(BodyBroken):
        whole(answer)
    answer.close()
    upstream.answer = lambda seen: Played([json_answer(b"fine")])
    assert asked(pool, upstream) == b"fine"


def test_a_client_that_leaves_before_the_head_frees_the_upstream_at_once(pool: HttpPool, upstream: RawUpstream) -> None:
    left = threading.Event()
    upstream.answer = lambda seen: Played(and_then_wait([], left))
    line = Line()
    after(0.1, line.cut)
    with pytest.raises(Severed):
        opened(pool, upstream, line=line)
    left.set()
    assert line.held is None


def test_a_client_that_leaves_inside_the_body_frees_the_upstream_at_once(pool: HttpPool, upstream: RawUpstream) -> None:
    left = threading.Event()
    upstream.answer = lambda seen: Played(and_then_wait([STREAM, b"1\r\na\r\n"], left))
    line = Line()
    answer = opened(pool, upstream, line=line)
    after(0.1, line.cut)
    with pytest.raises(Severed):
        whole(answer)
    answer.close()
    left.set()
    assert line.held is None


def test_for_a_client_that_has_left_already_nothing_is_sent(pool: HttpPool, upstream: RawUpstream) -> None:
    with pytest.raises(Severed):
        opened(pool, upstream, line=Line(gone=True))
    assert upstream.seen == []


def test_a_line_that_is_cut_when_all_is_read_costs_no_other_request_its_connection(pool: HttpPool, upstream: RawUpstream) -> None:
    line = Line()
    assert whole(opened(pool, upstream, line=line)) == b"{}"
    line.cut()
    assert (line.held, asked(pool, upstream), upstream.connections) == (None, b"{}", 1)


def test_a_connection_that_was_severed_with_its_last_byte_is_not_used_again(pool: HttpPool, upstream: RawUpstream) -> None:
    line = Line()
    answer = opened(pool, upstream, line=line)
    assert answer.ended
    line.cut()
    assert (whole(answer), asked(pool, upstream), upstream.connections) == (b"{}", b"{}", 2)


def test_an_upstream_that_refuses_connections_is_told_apart(pool: HttpPool, upstream: RawUpstream) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        nobody = UpstreamRequest(Origin.of(f"http://127.0.0.1:{listener.getsockname()[1]}"), "GET", "/", (), b"")
    with pytest.raises(ConnectFailed):
        pool.send(nobody, None, FOR_EVER)


def test_an_upstream_that_does_not_accept_is_given_up_after_the_connect_timeout(clock: Clock) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(listener.getsockname())
        request = UpstreamRequest(Origin.of(f"http://127.0.0.1:{listener.getsockname()[1]}"), "GET", "/", (), b"")
        began = time.monotonic()
        with pytest.raises(ConnectFailed):
            HttpPool(0.3, clock).send(request, None, began + 60)
        for each in waiting:
            each.close()
    assert 0.2 < time.monotonic() - began < 10


def test_dead_flows_are_noticed_by_the_kernel(pool: HttpPool, upstream: RawUpstream) -> None:
    """Keepalive before a NAT gateway's 350 s, and half a minute for bytes that nobody acknowledges."""
    line = Line()
    answer = opened(pool, upstream, line=line)
    sock = line.held._sock  # type: ignore[union-attr]
    names = (socket.TCP_KEEPIDLE, socket.TCP_USER_TIMEOUT, socket.TCP_NODELAY)
    options = [sock.getsockopt(socket.IPPROTO_TCP, name) for name in names]
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    assert (options[0] <= 120, 5_000 <= options[1] <= 60_000, options[2]) == (True, True, 1)
    whole(answer)


KINDS = ["whole", "fin", "rst", "broken", "garbage", "expired", "severed", "closed early", "dead on reuse"]


def test_two_thousand_exchanges_of_every_kind_leave_no_socket_and_no_greenlet(pool: HttpPool, upstream: RawUpstream) -> None:
    upstream.answer = _by_kind
    greenlets, files = _greenlets(), open_files()
    random = Random(7)
    for _ in range(100):
        gevent.joinall([gevent.spawn(_exchange, pool, upstream, random.choice(KINDS)) for _ in range(20)], raise_error=True)
    pool.close()
    assert len(upstream.seen) >= 1900
    assert until(lambda: open_files() <= files + 2, 20)
    assert _greenlets() <= greenlets + 2


def _by_kind(seen: Seen) -> Played:
    kind = seen.body.decode()
    if kind in ("fin", "rst"):
        return Played([json_answer()], kind)  # type: ignore[arg-type]
    plays = {
        "whole": Played([json_answer()]),
        "broken": Played([STREAM, b"5\r\nab"], "rst"),
        "garbage": Played([b"garbage"], "fin"),
        "dead on reuse": Played([], "rst")
        if Random(len(seen.head) + seen.connection).random() < 0.5
        else Played([json_answer()]),
    }
    return plays.get(kind) or Played([STREAM, b"1\r\na\r\n", *[b"%x\r\n%b\r\n" % (50_000, bytes(50_000))] * 3])


def _exchange(pool: HttpPool, upstream: RawUpstream, kind: str) -> None:
    line = Line()
    try:
        answer = opened(pool, upstream, kind.encode(), line)
    except NoAnswer:
        return
    try:
        answer.read(FOR_EVER)
        if kind == "severed":
            gevent.spawn(line.cut)
        if kind != "closed early":
            while answer.read(time.monotonic() + (0.05 if kind == "expired" else FOR_EVER)):
                pass
    except (BodyBroken, Expired, Severed):
        pass
    finally:
        answer.close()


def _greenlets() -> int:
    import gc

    gc.collect()
    return sum(isinstance(each, gevent.Greenlet) and not each.dead for each in gc.get_objects())
