"""Promises of the pool over TLS: a certificate is believed only when it is right, and everything else is as without TLS."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import certifi
import gevent
import pytest

from proxy_app.http_pool import HttpPool
from proxy_app.upstream_http import BodyBroken, ConnectFailed
from proxy_app.upstream_socket import Expired, Severed
from tests.live.bare import Played, RawUpstream, answer_bytes, chunked, json_answer
from tests.proxy_app.certificates import Authority
from tests.proxy_app.pooling import FOR_EVER, STREAM, Line, after, and_then_wait, asked, opened, whole


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def pool(authority: Authority) -> Iterator[HttpPool]:
    pool = HttpPool(5.0, time.monotonic, authority.trusting())
    yield pool
    pool.close()


@pytest.fixture
def upstream(authority: Authority) -> Iterator[RawUpstream]:
    with _over_tls(authority.server()) as upstream:
        yield upstream


def _over_tls(context: ssl.SSLContext) -> RawUpstream:
    return RawUpstream(lambda seen: Played([json_answer(seen.body)]), lambda sock: context.wrap_socket(sock, server_side=True))


def test_a_certificate_of_the_authority_is_believed_and_its_connection_used_again(pool: HttpPool, upstream: RawUpstream) -> None:
    assert [asked(pool, upstream, b"%d" % number) for number in range(10)] == [b"%d" % number for number in range(10)]
    assert upstream.connections == 1


@pytest.mark.parametrize(
    "wrong", [{"signed": False}, {"address": "127.0.0.2"}, {"days": -1}], ids=["self-signed", "other address", "out of date"]
)
def test_a_wrong_certificate_is_refused_and_nothing_is_sent(pool: HttpPool, authority: Authority, wrong: dict[str, Any]) -> None:
    with _over_tls(authority.server(**wrong)) as upstream, pytest.raises(ConnectFailed):
        opened(pool, upstream)
    assert upstream.seen == []


def test_an_authority_of_nobody_is_not_believed_by_default(upstream: RawUpstream) -> None:
    with pytest.raises(ConnectFailed):
        opened(HttpPool(5.0, time.monotonic), upstream)
    assert upstream.seen == []


def test_a_prepared_pool_loads_no_certificates_for_its_first_connection(
    upstream: RawUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = HttpPool(5.0, time.monotonic).prepared()
    monkeypatch.setattr(certifi, "where", lambda: pytest.fail("loaded in a request"))
    with pytest.raises(ConnectFailed):
        opened(prepared, upstream)


def test_a_peer_that_speaks_no_tls_is_refused(pool: HttpPool) -> None:
    with RawUpstream(lambda seen: Played([]), _say_400) as plain, pytest.raises(ConnectFailed):
        opened(pool, plain)


def _say_400(sock: socket.socket) -> socket.socket:
    sock.sendall(answer_bytes("400 Bad Request", []))
    return sock


def test_a_handshake_that_never_ends_is_given_up_after_the_connect_timeout(authority: Authority) -> None:
    given_up = threading.Event()
    with RawUpstream(lambda seen: Played([]), lambda sock: (given_up.wait(20), sock)[1]) as mute:
        began = time.monotonic()
        with pytest.raises(ConnectFailed):
            opened(HttpPool(0.3, time.monotonic, authority.trusting()), mute)
        given_up.set()
    assert 0.2 < time.monotonic() - began < 10


def test_five_megabytes_pass_both_ways_whole(pool: HttpPool, upstream: RawUpstream) -> None:
    body = Random(1).randbytes(5_000_000)
    assert asked(pool, upstream, body) == body


def test_events_arrive_one_by_one(pool: HttpPool, upstream: RawUpstream) -> None:
    seen_by_client = threading.Semaphore(0)

    def pieces() -> Iterator[bytes]:
        yield STREAM
        for number in range(20):
            yield b"1\r\n%x\r\n" % (number % 10)
            seen_by_client.acquire(timeout=20)
        yield b"0\r\n\r\n"

    upstream.answer = lambda seen: Played(pieces())
    answer = opened(pool, upstream)
    events: list[bytes] = []
    for _ in range(20):
        events.append(answer.read(FOR_EVER))
        seen_by_client.release()
    assert events == [b"%x" % (number % 10) for number in range(20)]
    assert answer.read(FOR_EVER) == b""


@pytest.mark.parametrize("pieces", [[], [STREAM, b"1\r\na\r\n"]], ids=["before the head", "inside the body"])
def test_a_deadline_ends_a_wait(pool: HttpPool, upstream: RawUpstream, pieces: list[bytes]) -> None:
    left = threading.Event()
    upstream.answer = lambda seen: Played(and_then_wait(pieces, left))
    with pytest.raises(Expired):
        _read_with(lambda: time.monotonic() + 0.2, pool, upstream, None)
    left.set()


@pytest.mark.parametrize("pieces", [[], [STREAM, b"1\r\na\r\n"]], ids=["before the head", "inside the body"])
def test_a_client_that_leaves_ends_a_wait(pool: HttpPool, upstream: RawUpstream, pieces: list[bytes]) -> None:
    left, line = threading.Event(), Line()
    upstream.answer = lambda seen: Played(and_then_wait(pieces, left))
    after(0.2, line.cut)
    with pytest.raises(Severed):
        _read_with(lambda: FOR_EVER, pool, upstream, line)
    left.set()


def _read_with(deadline: Callable[[], float], pool: HttpPool, upstream: RawUpstream, line: Line | None) -> None:
    answer = opened(pool, upstream, line=line, within_s=deadline() - time.monotonic())
    try:
        while answer.read(deadline()):
            pass
    finally:
        answer.close()


@pytest.mark.parametrize("end", ["fin", "rst"])
def test_a_body_that_breaks_off_says_so(pool: HttpPool, upstream: RawUpstream, end: str) -> None:
    upstream.answer = lambda seen: Played([STREAM, b"1\r\na\r\n"], end)  # type: ignore[arg-type]
    with pytest.raises(BodyBroken):
        whole(opened(pool, upstream))


@pytest.mark.parametrize("end", ["fin", "rst"])
def test_connections_closed_while_idle_are_replaced(pool: HttpPool, upstream: RawUpstream, end: str) -> None:
    upstream.answer = lambda seen: Played([json_answer(seen.body)], end)  # type: ignore[arg-type]
    assert [asked(pool, upstream, b"%d" % number) for number in range(30)] == [b"%d" % number for number in range(30)]
    assert len(upstream.seen) == 30


def test_what_came_behind_an_answer_in_one_record_ends_the_connection(pool: HttpPool, upstream: RawUpstream) -> None:
    surplus = answer_bytes("500 Second", [("content-length", "0")])
    upstream.answer = lambda seen: Played([json_answer(seen.body) + surplus])
    assert [asked(pool, upstream, b"%d" % number) for number in range(5)] == [b"%d" % number for number in range(5)]
    assert upstream.connections == 5


def test_twenty_streams_over_tls_run_at_once(pool: HttpPool, upstream: RawUpstream) -> None:
    all_here = threading.Barrier(20)

    def pieces() -> Iterator[bytes]:
        yield STREAM
        all_here.wait(20)
        yield chunked(b"a" * 20_000, b"b" * 20_000)

    upstream.answer = lambda seen: Played(pieces())
    streams = [gevent.spawn(asked, pool, upstream) for _ in range(20)]
    gevent.joinall(streams, raise_error=True)
    assert {stream.value for stream in streams} == {b"a" * 20_000 + b"b" * 20_000}
