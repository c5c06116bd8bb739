"""A request into a call: the bytes that stay as they are, the bounds, and who gets no further."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy_app.directory import Unavailable, Unknown
from proxy_app.errors import Refused
from tests.proxy_app.front_door import KEY, Door
from tests.proxy_app.front_door import door as door

VISIBLE = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="/?#"), min_size=1, max_size=60)


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


def test_a_key_that_is_let_in_is_seen_with_both_ends_of_its_way(door: Door) -> None:
    headers = [("X-Forwarded-For", "192.0.2.1, 10.0.0.1"), ("x_forwarded_for", "6.6.6.6"), ("x-forwarded-for", "10.0.0.2")]
    door.inbound.grant(door.arrival(headers=headers, REMOTE_ADDR="10.0.0.3"))

    assert door.seen.noted == [("key_1", "10.0.0.3", ["192.0.2.1, 10.0.0.1", "10.0.0.2"])]


def test_who_is_not_let_in_is_not_seen(door: Door) -> None:
    with pytest.raises(Refused):
        door.inbound.grant(door.arrival("/ak/another/v1/messages"))

    assert door.seen.noted == []
