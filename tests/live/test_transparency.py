"""Byte for byte, both ways: what the Plan answers is what the client gets, what the client asks is what the Plan gets.

The product's server in the middle, bare sockets at both ends. What may differ is listed here (for requests) and in
random_answers.py (for answers); nothing else may.
"""

from __future__ import annotations

import hashlib
import json
import queue
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest

from tests.live.bare import ANSWER, Got, Pairs, Played, RawClient, RawUpstream, Seen, answer_bytes, json_answer, request_bytes
from tests.live.bare import chunked as in_chunks
from tests.live.random_answers import EVENTS, Made

ANSWERS = 1000

# Requests: names in lower case; dropped are the fields of one connection and `x-proxy-*`; `host`, `accept-encoding` and
# `content-length` are the proxy's own.
REQUEST_OWN = {"host", "accept-encoding", "content-length"}


class Bench:
    """Answers waiting to be asked for by number, and what was asked."""

    def __init__(self) -> None:
        self.answers: dict[str, Played] = {}

    def play(self, seen: Seen) -> Played:
        return self.answers.get(seen.first(ANSWER)) or Played([json_answer()])


@pytest.fixture(scope="module")
def bench() -> Bench:
    return Bench()


@pytest.fixture(scope="module")
def upstream(bench: Bench) -> Iterator[RawUpstream]:
    with RawUpstream(bench.play) as upstream:
        yield upstream


@pytest.fixture(scope="module")
def product_settings(upstream: RawUpstream) -> dict[str, str]:
    return {"PROXY_PLAN_URL": upstream.url + "/base"}


@pytest.fixture
def asker(stack: Any, upstream: RawUpstream) -> Iterator[Asker]:
    upstream.seen.clear()
    with RawClient(stack.url) as client:
        yield Asker(client, "/ak/" + stack.developer().access_key, upstream)


class Asker:
    """A client with a valid key."""

    def __init__(self, client: RawClient, prefix: str, upstream: RawUpstream) -> None:
        self.client = client
        self.prefix = prefix
        self.upstream = upstream

    def ask(self, target: str = "/v1/messages", body: bytes = b"", headers: Pairs = [], method: str = "POST") -> Got:  # noqa: B006
        return self.client.ask(self.prefix + target, [("host", "proxy"), ("authorization", "Bearer x"), *headers], body, method)

    def arrived(self) -> Seen:
        return self.upstream.seen[-1]


def messages(stream: bool) -> bytes:
    return json.dumps({"model": "claude-opus-5-5", "stream": stream, "messages": [], "max_tokens": 5}).encode()


def test_a_thousand_answers_arrive_byte_for_byte_with_their_headers(asker: Asker, bench: Bench, stack: Any) -> None:
    made = {str(number): Made(number) for number in range(ANSWERS)}
    bench.answers = {number: each.played for number, each in made.items()}
    differences = {
        number: each.differs(asker.ask(body=messages(each.stream), headers=[(ANSWER, number)])) for number, each in made.items()
    }
    assert {number: why for number, why in differences.items() if why} == {}
    assert stack.bedrock_posts() == []
    assert len(asker.upstream.seen) == ANSWERS


@pytest.mark.parametrize("stream", [True, False])
def test_two_answers_in_one_packet_are_never_spliced(asker: Asker, bench: Bench, stream: bool) -> None:
    body = EVENTS[0] + EVENTS[-1]
    surplus = answer_bytes("500 Second", [("content-length", "6"), ("x-second", "1")], b"second")
    whole = answer_bytes("200 First", [("content-length", str(len(body)))], body) + surplus
    bench.answers = {"1": Played((whole,))}
    got = asker.ask(body=messages(stream), headers=[(ANSWER, "1")])
    assert (got.line, got.body, got.first("x-second")) == ("HTTP/1.1 200 First", body, "")
    assert asker.ask(body=messages(False)).body == b"{}"
    assert asker.upstream.seen[0].connection != asker.upstream.seen[1].connection


@pytest.mark.parametrize("framing", ["chunked", "length", "close"])
def test_an_answer_of_ten_megabytes_arrives_whole(asker: Asker, bench: Bench, framing: str) -> None:
    body = Random(framing).randbytes(10 * 1024 * 1024)
    named = {"chunked": ("transfer-encoding", "chunked"), "length": ("content-length", str(len(body))), "close": ("x", "y")}
    wire = in_chunks(body[:7_000_001], body[7_000_001:]) if framing == "chunked" else body
    bench.answers = {"1": Played((answer_bytes("200 OK", [named[framing]]), wire), "fin" if framing == "close" else "keep")}
    got = asker.ask("/v1/files/x/content", headers=[(ANSWER, "1")], method="GET")
    assert (got.whole, hashlib.sha256(got.body).hexdigest()) == (True, hashlib.sha256(body).hexdigest())


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens", "/v1/unknown"])
@pytest.mark.parametrize("seed", range(8))
def test_a_request_body_arrives_byte_for_byte_whatever_is_in_it(asker: Asker, path: str, seed: int) -> None:
    random = Random(seed)
    bodies = [b"", b"{", b'{"stream": true, "a": 1e400}', b"\xff\xfe\x00{", random.randbytes(300_000), b"\r\n\r\n"]
    bodies += [b'{"model":"x","stream":false,"dup":1,"dup":2,"big":%d}' % (1 << 70)]
    bodies += [b'  {"unknown": {"deep": [[[]]]}, "text": "\xc3\xa9 \\ud800"}\n']
    asker.ask(path, bodies[seed])
    assert hashlib.sha256(asker.arrived().body).digest() == hashlib.sha256(bodies[seed]).digest()
    assert asker.arrived().first("content-length") == str(len(bodies[seed]))


def test_a_chunked_request_body_arrives_whole_and_framed_by_length(asker: Asker) -> None:
    body = Random(1).randbytes(200_000)
    head = request_bytes(asker.prefix + "/v1/x", [("host", "proxy"), ("transfer-encoding", "chunked")], method="PUT")
    asker.client.send(head + in_chunks(body[:1], body[1:70_000], body[70_000:], trailers=b"x-trailer: 1\r\n"))
    assert asker.client.receive().status == 200
    assert (asker.arrived().body == body, asker.arrived().first("content-length")) == (True, "200000")
    assert asker.arrived().first("transfer-encoding") == ""


@pytest.mark.parametrize(
    "target",
    [
        "/v1/messages?beta=true",
        "/v1/messages?",
        "//v1//messages",
        "/v1/messages;v=1",
        "/v1/%6Dessages",
        "/v1/a%2Fb%2fc",
        "/v1/%ff%FE%00%0d%0a",
        "/v1/%E2%80%AE",
        "/v1/../secret/./x",
        "/v1/x?a=b&a=%20+c&=&?&#",
        "/v1/x#fragment",
        "/v1/~!$&'()*+,;=:@[]{}|\\^`\"<>",
        "/",
        "/v1/models/claude%3Aopus?x=%",
        "/ak/another/v1/messages",
    ],
)
def test_a_target_arrives_byte_for_byte(asker: Asker, target: str) -> None:
    got = asker.ask(target, b"{}")
    assert got.status == 200
    assert asker.arrived().line == b"POST /base" + target.encode() + b" HTTP/1.1"


@pytest.mark.parametrize(("after_the_key", "arrives"), [("", b"/base/"), ("?x=1", b"/base/?x=1")])
def test_a_target_without_a_path_asks_for_the_root(asker: Asker, after_the_key: str, arrives: bytes) -> None:
    asker.ask(after_the_key, method="GET")
    assert asker.arrived().line == b"GET " + arrives + b" HTTP/1.1"


def test_the_header_form_of_the_key_keeps_the_target_and_stays_here(asker: Asker) -> None:
    key = asker.prefix.removeprefix("/ak/")
    got = asker.client.ask("/v1/x?y=%2e", [("Host", "proxy"), ("X-Proxy-Key", key)], method="GET")
    assert (got.status, asker.arrived().line) == (200, b"GET /base/v1/x?y=%2e HTTP/1.1")
    assert key.encode() not in asker.arrived().head


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens", "/v1/unknown"])
def test_request_headers_arrive_in_order_known_or_unknown(asker: Asker, path: str) -> None:
    sent = [
        ("x-unknown", "1"),
        ("x-repeated", "b"),
        ("x_under_score", "kept"),
        ("x-under-score", "apart"),
        ("x-repeated", "a"),
        ("anthropic-beta", "a,b , c"),
        ("anthropic-beta", "d"),
        ("cookie", "a=b; c=d"),
        ("x-empty", ""),
        ("x-latin", "caf\xe9"),
        ("user-agent", "claude-cli/9.9 (external, cli)"),
        ("x-stainless-retry-count", "0"),
        ("content-type", "application/json; charset=utf-8"),
        ("forwarded", "for=1.2.3.4"),
        ("x-long", "v" * 16_000),
    ]
    asker.ask(path, messages(False), sent)
    arrived = [(name, value) for name, value in asker.arrived().headers if name not in REQUEST_OWN]
    assert arrived == [("authorization", "Bearer x"), *sent]


def test_request_headers_of_one_connection_and_our_own_stay_here(asker: Asker) -> None:
    sent = [("connection", "keep-alive, x-hop"), ("x-hop", "1"), ("te", "trailers"), ("keep-alive", "timeout=5")]
    sent += [("proxy-authorization", "secret"), ("upgrade", "h2c"), ("x-proxy-whatever", "1"), ("accept-encoding", "gzip, br")]
    asker.ask("/v1/messages", messages(False), sent)
    names = [name for name, _ in asker.arrived().headers]
    assert names == ["host", "authorization", "accept-encoding", "content-length"]
    assert asker.arrived().first("accept-encoding") == "identity"


def test_a_client_cannot_have_its_credentials_dropped_by_naming_them_in_connection(asker: Asker) -> None:
    asker.ask("/v1/messages", messages(False), [("connection", "authorization, anthropic-beta"), ("anthropic-beta", "a")])
    assert (asker.arrived().first("authorization"), asker.arrived().first("anthropic-beta")) == ("Bearer x", "a")


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"])
def test_any_method_passes(asker: Asker, method: str) -> None:
    assert asker.ask("/v1/x", b"body" if method != "GET" else b"", method=method).status == 200
    assert asker.arrived().line.startswith(method.encode() + b" ")


@pytest.mark.parametrize(("status", "fault"), [("204 No Content", ""), ("304 Not Modified", "rejected")])
def test_an_answer_without_a_body_is_recorded_and_frees_its_connection(
    asker: Asker, bench: Bench, stack: Any, status: str, fault: str
) -> None:
    bench.answers = {"1": Played((answer_bytes(status, [("x-a", "1")]),))}
    got = asker.ask("/v1/x", headers=[(ANSWER, "1")], method="DELETE")
    asker.ask("/v1/x", method="GET")
    assert (got.line, got.first("x-a")) == (f"HTTP/1.1 {status}", "1")
    assert asker.upstream.seen[0].connection == asker.upstream.seen[1].connection
    recorded = stack.access_line(got.first("x-proxy-request-id"))["context"]
    assert (recorded["status"], recorded["fault"]) == (int(status[:3]), fault)


def _event(number: int) -> bytes:
    name = b"message_start" if number == 0 else b"content_block_delta"
    return b'event: %b\ndata: {"type":"%b","n":%d}\n\n' % (name, name, number)


class Stepwise:
    """An upstream that sends its next event only after the test has the one before."""

    def __init__(self) -> None:
        self.events: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()

    def __call__(self, seen: Seen) -> Played:
        head = answer_bytes("200 OK", [("content-type", "text/event-stream"), ("transfer-encoding", "chunked")])
        return Played(_steps(head, self.events))


def _steps(head: bytes, events: Any) -> Iterator[bytes]:
    yield head
    while event := events.get(timeout=30):
        yield b"%x\r\n%b\r\n" % (len(event), event)
    yield b"0\r\n\r\n"


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/unknown"])
def test_an_event_is_at_the_client_before_the_upstream_sends_the_next(asker: Asker, path: str) -> None:
    stepwise = Stepwise()
    asker.upstream.answer, before = stepwise, asker.upstream.answer
    try:
        asker.client.send(request_bytes(asker.prefix + path, [("host", "p"), ("authorization", "x")], messages(True)))
        stepwise.events.put(_event(0))
        received = [asker.client.first_chunk()]
        for number in range(1, 50):
            stepwise.events.put(_event(number))
            received.append(asker.client.chunk())
        stepwise.events.put(None)
    finally:
        asker.upstream.answer = before
    assert received == [_event(number) for number in range(50)]
    assert asker.client.chunk() == b""
