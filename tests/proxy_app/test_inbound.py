"""A request into a call: the bytes that stay as they are, the bounds, and who gets no further."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from gunicorn.http.errors import InvalidChunkSize
from hypothesis import given
from hypothesis import strategies as st

from core.types import Grant, Strategy
from proxy_app.call import Asked, Endpoint
from proxy_app.directory import Unavailable, Unknown
from proxy_app.errors import Refused
from proxy_app.hangup import LiveCalls
from proxy_app.inbound import Arrival, Inbound, Reading

LIMIT = 200_000
GRANT = Grant("usr_1", "key_1", Strategy.PLAN_FIRST)
KEY = "ak_" + "x" * 44
VISIBLE = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="/?#"), min_size=1, max_size=60)


class Directory:
    """Knows one key."""

    error: type[Exception] = Unknown

    def grant_of(self, access_key: str) -> Grant:
        if access_key != KEY:
            raise self.error
        return GRANT


class Seen:
    """Who was seen, and with what addresses."""

    def __init__(self) -> None:
        self.noted: list[tuple[str, str, list[str]]] = []

    def note(self, access_key_id: str, peer: str, forwarded_for: Iterable[str]) -> None:
        self.noted.append((access_key_id, peer, list(forwarded_for)))


class Door:
    """An `Inbound` with hand-made clocks and a directory of one key."""

    def __init__(self) -> None:
        self.directory: Any = Directory()
        self.live = LiveCalls()
        self.seen: Any = Seen()
        self.now = 100.0
        clocks = (lambda: self.now, lambda: 1_800_000_000.0)
        self.inbound = Inbound(
            self.directory, self.live, Reading(LIMIT, 60.0, 240.0), lambda now: f"req_{now:.0f}", clocks, self.seen
        )

    def arrival(
        self, raw: str = f"/ak/{KEY}/v1/messages", headers: list[tuple[str, str]] | None = None, **environ: Any
    ) -> Arrival:
        given: Mapping[str, Any] = {
            "REQUEST_METHOD": "POST",
            "RAW_URI": raw,
            "PATH_INFO": "/decoded",
            "proxy.headers": [("HOST", "a"), *(headers or [])],
            **environ,
        }
        return self.inbound.arrival(given)

    def read(self, body: Any, endpoint: Endpoint = Endpoint.MESSAGES, **environ: Any) -> Any:
        stream = io.BytesIO(body) if isinstance(body, bytes) else body
        arrival = self.arrival(**{"wsgi.input": stream, **environ})
        return self.inbound.call(arrival, GRANT, endpoint)

    def refusal(self, body: Any, **environ: Any) -> tuple[int, str, bool]:
        with pytest.raises(Refused) as caught:
            self.read(body, **environ)
        assert len(self.live) == 0
        return caught.value.status, caught.value.error_type, caught.value.close


@pytest.fixture
def door() -> Door:
    return Door()


@given(key=VISIBLE, rest=st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=80))
def test_the_key_is_cut_off_and_the_target_behind_it_stays_as_it_was_sent(key: str, rest: str) -> None:
    arrival = Door().arrival(f"/ak/{key}/{rest}")
    assert (arrival.access_key, arrival.target) == (key, f"/{rest}")


@pytest.mark.parametrize(
    ("raw", "key", "target"),
    [
        (f"/ak/{KEY}/v1/messages?beta=true&x=%2F", KEY, "/v1/messages?beta=true&x=%2F"),
        (f"/ak/{KEY}/v1//a/../b/%2e%2e", KEY, "/v1//a/../b/%2e%2e"),
        (f"/ak/{KEY}", KEY, "/"),
        (f"/ak/{KEY}?beta=true", KEY, "/?beta=true"),
        (f"http://other.test/ak/{KEY}/v1/models", KEY, "/v1/models"),
        ("/ak/%0d%0aX/v1/messages", "%0d%0aX", "/v1/messages"),
        ("/ak//v1/messages", "", "/v1/messages"),
        ("/ak", "", "/ak"),
        ("/akk/x/y", "", "/akk/x/y"),
        ("/v1/messages", "", "/v1/messages"),
        ("*", "", "*"),
        ("http://other.test", "", "/"),
    ],
)
def test_where_the_key_stands_and_what_is_left(door: Door, raw: str, key: str, target: str) -> None:
    arrival = door.arrival(raw)
    assert (arrival.access_key, arrival.target) == (key, target)


def test_the_header_counts_where_the_path_has_no_key_and_only_there(door: Door) -> None:
    headers = [("X-Proxy-Key", "from the header")]
    assert door.arrival("/v1/messages", headers).access_key == "from the header"
    assert door.arrival(f"/ak/{KEY}/v1/messages", headers).access_key == KEY
    assert door.arrival("/v1/messages", [("X_Proxy_Key", "underscored")]).access_key == ""


def test_every_header_arrives_apart_and_in_order(door: Door) -> None:
    sent = [("ANTHROPIC-BETA", "a"), ("X", "1"), ("ANTHROPIC-BETA", "b"), ("A_B", "2"), ("A-B", "3")]
    assert door.arrival(headers=sent).headers[1:] == tuple((name.lower(), value) for name, value in sent)


def test_of_a_key_no_more_than_its_prefix_is_shown(door: Door) -> None:
    assert door.arrival(f"/ak/{KEY}/x").key_shown == f"key {KEY[:9]}"
    assert [door.arrival(f"/ak/{odd}/x").key_shown for odd in (KEY[:-1], KEY + "x", "%61" + KEY[1:], "secret" * 9, "")] == [
        ""
    ] * 5


@pytest.mark.parametrize(
    ("error", "status", "kind", "wait"), [(Unknown, 403, "permission_error", None), (Unavailable, 503, "overloaded_error", 5)]
)
def test_a_bad_key_is_403_and_one_that_cannot_be_looked_up_503(
    door: Door, error: type[Exception], status: int, kind: str, wait: int | None
) -> None:
    door.directory.error = error
    with pytest.raises(Refused) as caught:
        door.inbound.grant(door.arrival("/ak/other/v1/messages"))
    refused = caught.value
    assert (refused.status, refused.error_type, refused.retry_after_s, refused.close) == (status, kind, wait, True)


def test_without_a_host_nothing_is_looked_up(door: Door) -> None:
    arrival = replace(door.arrival(), headers=(("x", "y"),))
    with pytest.raises(Refused, match="Host"):
        door.inbound.grant(arrival)


def test_a_whole_body_is_in_the_call_as_it_was_sent(door: Door) -> None:
    body = b'{ "model" : "m","stream":true, "x":1.0 }'
    call = door.read(body, CONTENT_LENGTH=str(len(body)))
    assert (call.body, call.asked.model, call.asked.stream) == (body, "m", True)
    assert (call.grant, call.endpoint, call.method, call.target) == (GRANT, Endpoint.MESSAGES, "POST", "/v1/messages")


@pytest.mark.parametrize("size", [0, 1, LIMIT])
def test_a_body_up_to_the_limit_is_read_in_either_framing(door: Door, size: int) -> None:
    body = b"x" * size
    assert door.read(body, CONTENT_LENGTH=str(size)).body == body
    assert door.read(body, HTTP_TRANSFER_ENCODING="chunked").body == body


def test_no_more_is_read_than_announced(door: Door) -> None:
    stream = io.BytesIO(b"12345the next request")
    assert door.read(stream, CONTENT_LENGTH="5").body == b"12345"
    assert stream.read() == b"the next request"


def test_a_request_without_a_body_reads_nothing(door: Door) -> None:
    assert door.read(Untouchable()).body == b""


class Untouchable:
    def read(self, size: int) -> bytes:
        raise AssertionError("nobody may read this")


class Endless:
    """Counts what is read of it."""

    given = 0

    def read(self, size: int) -> bytes:
        self.given += size
        return b"x" * size


@pytest.mark.parametrize("announced", [LIMIT + 1, 10**30])
def test_a_body_announced_too_large_is_refused_unread(door: Door, announced: int) -> None:
    assert door.refusal(Untouchable(), CONTENT_LENGTH=str(announced)) == (413, "request_too_large", True)


def test_a_body_that_turns_out_too_large_is_not_read_to_its_end(door: Door) -> None:
    endless = Endless()
    assert door.refusal(endless, HTTP_TRANSFER_ENCODING="chunked") == (413, "request_too_large", True)
    assert endless.given < LIMIT + 100_000


class Breaking:
    def __init__(self, error: Exception) -> None:
        self._error = error

    def read(self, size: int) -> bytes:
        raise self._error


@pytest.mark.parametrize("error", [InvalidChunkSize(b"zz"), ConnectionResetError(), ValueError("framing")])
def test_a_body_that_breaks_is_400(door: Door, error: Exception) -> None:
    assert door.refusal(Breaking(error), HTTP_TRANSFER_ENCODING="chunked") == (400, "invalid_request_error", True)


def test_a_body_shorter_than_announced_is_400(door: Door) -> None:
    assert door.refusal(b"short", CONTENT_LENGTH="6") == (400, "invalid_request_error", True)


def test_a_stream_must_commit_in_time_and_nothing_else_must(door: Door) -> None:
    stream, whole = b'{"stream":true}', b'{"stream":false}'
    assert door.read(stream, CONTENT_LENGTH=str(len(stream))).commit_by == door.now + 240.0
    assert door.read(whole, CONTENT_LENGTH=str(len(whole))).commit_by == float("inf")


def test_a_refused_request_is_its_developers_and_is_not_under_way(door: Door) -> None:
    call = door.inbound.unread_call(door.arrival(), GRANT, Endpoint.MESSAGES)
    assert (call.grant, call.body, call.asked, len(door.live)) == (GRANT, b"", Asked(), 0)


@pytest.mark.parametrize("endpoint", [Endpoint.MODELS, Endpoint.PASSTHROUGH])
def test_bodies_that_decide_nothing_are_not_looked_into(door: Door, endpoint: Endpoint) -> None:
    body = b'{"model":"m","stream":true}'
    assert door.read(body, endpoint, CONTENT_LENGTH=str(len(body))).asked == Asked()


def asked(body: bytes) -> Asked:
    read: Asked = Door().read(body, CONTENT_LENGTH=str(len(body))).asked
    return read


JSON = st.lists(st.text(max_size=9) | st.floats(), max_size=5).map(lambda value: json.dumps(value).encode())


@given(st.binary(max_size=200) | JSON)
def test_whatever_a_body_is_it_is_read_without_complaint(body: bytes) -> None:
    assert asked(body) == Asked() or asked(body).body is not None


@pytest.mark.parametrize(
    ("body", "model", "stream"),
    [
        (b'{"model":"m"}', "m", False),
        (b'{"model":7,"stream":"true"}', "", False),
        (b'{"model":"m","stream":1}', "m", False),
        (b'{"model":"\\ud800","stream":true}', "\ud800", True),
        (b'{"model":"m","stream":true,"max_tokens":1' + b"0" * 400 + b"}", "m", True),
        (b'{"model":"m","max_tokens":1e999}', "m", False),
    ],
)
def test_what_decides_is_read_also_from_odd_json(body: bytes, model: str, stream: bool) -> None:
    found = asked(body)
    assert (found.model, found.stream) == (model, stream) and found.body is not None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b'"x"',
        b"{",
        b'{"a":NaN}',
        b'{"a":-Infinity}',
        b'{"a":1' + b"0" * 5000 + b"}",
        b"[" * 100_000,
        b"\xff",
    ],
)
def test_what_is_no_json_object_decides_nothing(body: bytes) -> None:
    assert asked(body) == Asked()
    assert asked(body).body is None


def probe(**changes: Any) -> bytes:
    return json.dumps({"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "quota"}], **changes}).encode()


def test_claude_codes_quota_probe_is_known_and_nothing_like_it_is_taken_for_it() -> None:
    assert asked(probe()).quota_probe
    others = (
        probe(max_tokens=2),
        probe(messages=[]),
        probe(messages="quota"),
        probe(messages=[{"role": "user", "content": "quota?"}]),
        probe(messages=[{"role": "assistant", "content": "quota"}]),
        probe(messages=[{"role": "user", "content": "quota"}] * 2),
        probe(messages=["quota"]),
    )
    assert [asked(other).quota_probe for other in others] == [False] * len(others)


def test_a_key_that_is_let_in_is_seen_with_both_ends_of_its_way(door: Door) -> None:
    headers = [("X-Forwarded-For", "192.0.2.1, 10.0.0.1"), ("x_forwarded_for", "6.6.6.6"), ("x-forwarded-for", "10.0.0.2")]
    door.inbound.grant(door.arrival(headers=headers, REMOTE_ADDR="10.0.0.3"))

    assert door.seen.noted == [("key_1", "10.0.0.3", ["192.0.2.1, 10.0.0.1", "10.0.0.2"])]


def test_who_is_not_let_in_is_not_seen(door: Door) -> None:
    with pytest.raises(Refused):
        door.inbound.grant(door.arrival("/ak/another/v1/messages"))

    assert door.seen.noted == []
