"""Promises of the header rules: the list is open, what is not named stays, in order, with its repetitions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy_app.headers import to_client, to_upstream

HOP_BY_HOP = [
    "connection",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
]
IDENTITY = ("accept-encoding", "identity")

names = st.from_regex(r"[a-z0-9!#$%&'*+.^_`|~-]{1,12}", fullmatch=True).map(lambda name: f"u-{name}")
values = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=20)
pairs = st.lists(st.tuples(names, values), max_size=12)


@given(pairs)
def test_unknown_request_headers_pass_in_order_with_their_repetitions(sent: list[tuple[str, str]]) -> None:
    assert to_upstream(sent) == (*sent, IDENTITY)


@given(pairs.map(lambda sent: [(name.title(), value) for name, value in sent]))
def test_unknown_answer_headers_pass_as_written(answered: list[tuple[str, str]]) -> None:
    assert to_client(answered) == tuple(answered)


@pytest.mark.parametrize("name", [*HOP_BY_HOP, "host", "content-length", "expect", "x-proxy-key", "x-proxy-anything"])
def test_what_belongs_to_one_connection_or_to_us_does_not_reach_the_upstream(name: str) -> None:
    assert to_upstream([("a", "1"), (name, "x"), ("b", "2")]) == (("a", "1"), ("b", "2"), IDENTITY)


@pytest.mark.parametrize("name", [*HOP_BY_HOP, "proxy-authenticate", "Set-Cookie", "SET-COOKIE", "X-Proxy-Provider"])
def test_what_belongs_to_one_connection_or_to_us_does_not_reach_the_client(name: str) -> None:
    assert to_client([("A", "1"), (name.title(), "x"), ("b", "2")]) == (("A", "1"), ("b", "2"))


def test_the_upstream_is_asked_for_plain_bytes_once() -> None:
    assert to_upstream([("accept-encoding", "gzip"), ("accept-encoding", "br")]) == (IDENTITY,)


@pytest.mark.parametrize("named", ["x-hop", "X-Hop", "close, x-hop", " keep-alive ,x-hop "])
def test_fields_that_connection_names_end_here(named: str) -> None:
    assert to_upstream([("connection", named), ("x-hop", "1"), ("a", "1")]) == (("a", "1"), IDENTITY)
    assert to_client([("Connection", named), ("X-Hop", "1"), ("A", "1")]) == (("A", "1"),)


@pytest.mark.parametrize("needed", ["authorization", "x-api-key", "anthropic-beta", "anthropic-version", "content-type"])
def test_naming_what_the_answer_depends_on_does_not_take_it_away(needed: str) -> None:
    assert (needed, "1") in to_upstream([("connection", needed), (needed, "1")])


def test_the_length_of_an_answer_and_its_request_id_pass() -> None:
    answered = [
        ("Content-Length", "2"),
        ("request-id", "req_1"),
        ("Retry-After", "3"),
        ("anthropic-ratelimit-unified-status", "allowed"),
    ]
    assert to_client(answered) == tuple(answered)
