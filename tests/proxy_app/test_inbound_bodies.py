"""What a request's body decides, and that it is read no further than it may be, whatever it is."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from gunicorn.http.errors import InvalidChunkSize
from hypothesis import given
from hypothesis import strategies as st

from proxy_app.call import Asked, Endpoint
from tests.proxy_app.front_door import GRANT, LIMIT, Door
from tests.proxy_app.front_door import door as door


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
