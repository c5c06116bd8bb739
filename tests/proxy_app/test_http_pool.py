"""Promises of the pool, against a real upstream on a loopback socket: connections are reused when they may be, replaced once
when they turn out to be dead, never shared, and never left behind."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from proxy_app.http_pool import HttpPool
from proxy_app.upstream_http import NoAnswer, Origin, UpstreamRequest
from tests.live.bare import Played, RawUpstream, Seen, answer_bytes, chunked, json_answer, until
from tests.proxy_app.pooling import (
    FOR_EVER,
    STREAM,
    Clock,
    asked,
    open_files,
    opened,
    whole,
)
from tests.proxy_app.pooling import clock as clock
from tests.proxy_app.pooling import pool as pool
from tests.proxy_app.pooling import upstream as upstream


def on_reuse(played: Played, first: bytes | None = None) -> Callable[[Seen], Played]:
    """An upstream whose connections answer their first request well and meet `played` at the second."""
    served: set[int] = set()

    def answer(seen: Seen) -> Played:
        if seen.connection in served:
            return played
        served.add(seen.connection)
        return Played([first or json_answer(seen.body)])

    return answer


def test_one_after_another_share_a_connection(pool: HttpPool, upstream: RawUpstream) -> None:
    assert [asked(pool, upstream, b"%d" % number) for number in range(20)] == [b"%d" % number for number in range(20)]
    assert upstream.connections == 1


@pytest.mark.parametrize("framing", ["chunked", "interim", "empty"])
def test_every_kind_of_whole_answer_frees_its_connection(pool: HttpPool, upstream: RawUpstream, framing: str) -> None:
    wires = {"chunked": STREAM + chunked(b"a", b"b"), "interim": answer_bytes("100 Continue", []) + json_answer()}
    upstream.answer = lambda seen: Played([wires.get(framing, answer_bytes("204 No Content", []))])
    for _ in range(3):
        asked(pool, upstream)
    assert upstream.connections == 1


def test_connections_under_way_are_never_shared_and_never_waited_for(pool: HttpPool, upstream: RawUpstream) -> None:
    upstream.answer = lambda seen: Played([STREAM, chunked(seen.body)])
    answers = [opened(pool, upstream, b"%d" % number) for number in range(60)]
    assert upstream.connections == 60
    assert [whole(answer) for answer in answers] == [b"%d" % number for number in range(60)]
    assert len({seen.connection for seen in upstream.seen}) == 60


def test_the_connection_used_last_is_used_next(pool: HttpPool, upstream: RawUpstream) -> None:
    first, second = opened(pool, upstream, b"1"), opened(pool, upstream, b"2")
    whole(second), whole(first)
    asked(pool, upstream, b"3")
    used = {seen.body: seen.connection for seen in upstream.seen}
    assert used[b"3"] == used[b"1"]


def test_connections_that_idled_too_long_are_closed_though_others_are_in_use(
    pool: HttpPool, upstream: RawUpstream, clock: Clock
) -> None:
    before = open_files()
    answers = [opened(pool, upstream) for _ in range(5)]
    for answer in answers:
        whole(answer)
    clock.ahead_s = 200.0
    asked(pool, upstream)
    clock.ahead_s = 250.0
    asked(pool, upstream)
    assert upstream.connections == 5
    assert until(lambda: open_files() <= before + 2)


def test_nothing_older_than_the_idle_limit_is_used(pool: HttpPool, upstream: RawUpstream, clock: Clock) -> None:
    asked(pool, upstream)
    clock.ahead_s = 241.0
    asked(pool, upstream)
    assert upstream.connections == 2


@pytest.mark.parametrize("end", ["fin", "rst"])
def test_a_connection_closed_while_idle_is_not_used_again(pool: HttpPool, upstream: RawUpstream, end: str) -> None:
    upstream.answer = lambda seen: Played([json_answer(seen.body)], end)  # type: ignore[arg-type]
    assert [asked(pool, upstream, b"%d" % number) for number in range(100)] == [b"%d" % number for number in range(100)]
    assert len(upstream.seen) == 100


@pytest.mark.parametrize("end", ["fin", "rst"])
@pytest.mark.parametrize("size", [2, 3_000_000])
def test_a_reused_connection_that_dies_unanswered_is_replaced_once(
    pool: HttpPool, upstream: RawUpstream, end: str, size: int
) -> None:
    upstream.answer = on_reuse(Played([], end))  # type: ignore[arg-type]
    body = bytes(size)
    asked(pool, upstream)
    assert asked(pool, upstream, body) == body
    assert [(seen.connection, len(seen.body)) for seen in upstream.seen] == [(1, 2), (1, size), (2, size)]


def test_what_dies_twice_is_not_sent_a_third_time(pool: HttpPool, upstream: RawUpstream) -> None:
    asked(pool, upstream)
    upstream.answer = lambda seen: Played([], "rst")
    with pytest.raises(NoAnswer) as failed:
        asked(pool, upstream)
    assert (failed.value.silent, [seen.connection for seen in upstream.seen]) == (True, [1, 1, 2])


@pytest.mark.parametrize("end", ["fin", "rst"])
def test_a_fresh_connection_that_dies_unanswered_is_not_tried_again(pool: HttpPool, upstream: RawUpstream, end: str) -> None:
    upstream.answer = lambda seen: Played([], end)  # type: ignore[arg-type]
    with pytest.raises(NoAnswer) as failed:
        asked(pool, upstream)
    assert (failed.value.silent, len(upstream.seen)) == (True, 1)


@pytest.mark.parametrize("begun", [b"H", b"HTTP/1.1 200 OK\r\nX-A: 1\r\n", answer_bytes("100 Continue", []), b"garbage\r\n\r\n"])
@pytest.mark.parametrize("reused", [True, False])
def test_a_connection_that_dies_in_the_head_is_not_replaced(
    pool: HttpPool, upstream: RawUpstream, begun: bytes, reused: bool
) -> None:
    """The upstream may have been at work: a second try could be paid twice."""
    if reused:
        asked(pool, upstream)
    upstream.answer = lambda seen: Played([begun], "fin")
    with pytest.raises(NoAnswer) as failed:
        asked(pool, upstream)
    assert (failed.value.silent, len(upstream.seen)) == (False, 2 if reused else 1)


def test_an_unasked_answer_on_an_idle_connection_is_not_taken_for_the_next_ones(pool: HttpPool, upstream: RawUpstream) -> None:
    """Load balancers say 408 on connections that idled too long."""
    idle, said = threading.Event(), threading.Event()

    def pieces() -> Iterator[bytes]:
        yield json_answer(b"first")
        idle.wait(20)
        yield answer_bytes("408 Request Timeout", [("content-length", "0")])
        said.set()

    upstream.answer = lambda seen: Played(pieces() if seen.connection == 1 else [json_answer(b"second")])
    asked(pool, upstream)
    idle.set()
    assert said.wait(20)
    assert asked(pool, upstream) == b"second"
    assert [seen.connection for seen in upstream.seen] == [1, 2]


def test_an_answer_to_a_body_that_was_refused_half_way_is_read(pool: HttpPool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_answer_early, args=(listener,), daemon=True).start()
        origin = Origin.of(f"http://127.0.0.1:{listener.getsockname()[1]}")
        request = UpstreamRequest(origin, "POST", "/", (), bytes(20_000_000))
        answer = pool.send(request, None, FOR_EVER)
        assert (answer.status, whole(answer)) == (413, b"too large")


def _answer_early(listener: socket.socket) -> None:
    sock, _ = listener.accept()
    sock.recv(1000)
    sock.sendall(answer_bytes("413 Too Large", [("content-length", "9")], b"too large"))
    sock.close()  # with unread bytes: a reset
