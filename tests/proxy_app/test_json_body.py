"""A body in pieces is the same body: parsing, writing, and the few fields that decide."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.conversations import conversation_bytes
from proxy_app.json_body import parse_object, read_head, serialise

PADDING = "x" * 300_000  # so that it is long enough to be taken in pieces
LONG = conversation_bytes(1_000_000, 301)
ODD = {
    "a lone surrogate": b'{"model":"m","stream":true,"messages":[{"content":"\\ud83d"}],"p":"%b"}',
    "a field twice": b'{"model":"x","stream":true,"model":"m","messages":[1],"messages":[2],"p":"%b"}',
    "messages that are no list": b'{"model":"m","stream":true,"messages":{"a":[1]},"p":"%b"}',
    "blanks everywhere": b' { "model" : "m" , "stream" : true , "messages" : [ 1 , { } ] , "p" : "%b" } ',
    "an escaped backslash before u": b'{"model":"m","stream":true,"messages":["\\\\ud83d"],"p":"%b"}',
}
WRONG = [
    b'{"a":[1,],"p":"%b"}',
    b'{"a":NaN,"p":"%b"}',
    b'{"p":"%b"',
    b'[{"p":"%b"}]',
    b'{"p":"%b"}x',
]
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)
BODIES = st.dictionaries(st.sampled_from(["messages", "model", "system", "\U0001f600"]), VALUES, max_size=4)


def padded(body: bytes) -> bytes:
    return body.replace(b"%b", PADDING.encode())


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD.keys())
def test_an_odd_long_body_is_parsed_as_the_standard_library_does(odd: bytes) -> None:
    body = padded(odd)
    assert parse_object(body) == json.loads(body)


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD.keys())
def test_what_decides_is_read_from_an_odd_long_body(odd: bytes) -> None:
    head = read_head(padded(odd))
    assert head is not None
    assert (head.model, head.stream) == ("m", True)


@pytest.mark.parametrize("wrong", WRONG)
def test_a_long_body_that_is_no_json_object_is_none(wrong: bytes) -> None:
    assert parse_object(padded(wrong)) is None
    assert read_head(padded(wrong)) is None


def test_a_long_body_that_is_no_utf8_is_none() -> None:
    assert parse_object(padded(b'{"messages":["\xff"],"p":"%b"}')) is None


def test_a_number_over_64_bits_is_taken_as_in_a_short_body() -> None:
    short = b'{"messages":[123456789012345678901234567890]}'
    assert (parse_object(padded(short[:-1] + b',"p":"%b"}')) or {})["messages"] == (parse_object(short) or {})["messages"]


@settings(max_examples=80, deadline=None)
@given(BODIES)
def test_a_long_body_in_pieces_has_the_same_value(body: dict[str, Any]) -> None:
    at_once = parse_object(json.dumps(body).encode())
    assert parse_object(json.dumps({**body, "p": PADDING}).encode()) == {**(at_once or {}), "p": PADDING}


@settings(max_examples=80, deadline=None)
@given(BODIES)
def test_a_body_written_in_pieces_means_the_same(body: dict[str, Any]) -> None:
    assert json.loads(serialise(body)) == body


def test_a_body_written_in_pieces_is_byte_for_byte_what_it_is_at_once() -> None:
    parsed = orjson.loads(LONG)
    assert serialise(parsed) == orjson.dumps(parsed)


def test_a_message_that_is_odd_does_not_change_the_bytes_of_the_others() -> None:
    messages = [{"content": "é"}, {"content": "\ud83d"}, {"content": "é"}]
    assert serialise({"messages": messages}).count("é".encode()) == 2


def test_others_get_their_turn_between_messages() -> None:
    rests: list[str] = []
    parsed = parse_object(LONG, lambda: rests.append("parsed"))
    serialise(parsed or {}, lambda: rests.append("written"))
    assert (rests.count("parsed") > 301, rests.count("written") > 301) == (True, True)
