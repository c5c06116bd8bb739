"""Limits of messages and own views, as the app keeps them apart from what is passed on."""

from __future__ import annotations

import pytest

from proxy_app.call import Endpoint
from tests.proxy_app.app_world import BODY, KEY, Proxy
from tests.proxy_app.app_world import proxy as proxy


def test_a_message_over_the_keys_limit_is_refused_unread_and_booked_as_its_users(proxy: Proxy) -> None:
    proxy.directory.limit = 1
    assert proxy.call("POST", f"/ak/{KEY}/v1/messages", BODY).status[:3] == "200"
    answered = proxy.call("POST", f"/ak/{KEY}/v1/messages", BODY)

    assert answered.error == ("429", "rate_limit_error")
    assert (answered.header("retry-after"), answered.header("x-should-retry")) == ("60", "true")
    assert [name for name, _ in answered.headers if name.startswith("anthropic-")] == []
    assert len(proxy.asked) == 1
    call, outcome = proxy.books.finished[-1]
    assert (call.grant.user_id, outcome.status, outcome.error_type) == (proxy.asked[0].grant.user_id, 429, "rate_limit_error")


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/v1/messages/count_tokens"), ("GET", "/v1/models"), ("POST", "/v1/other"), ("GET", "/x")]
)
def test_the_limit_of_messages_touches_nothing_else(proxy: Proxy, method: str, path: str) -> None:
    proxy.directory.limit = 1
    body = BODY if method == "POST" else None
    assert {proxy.call(method, f"/ak/{KEY}{path}", body).status[:3] for _ in range(30)} == {"200"}
    assert proxy.call("POST", f"/ak/{KEY}/v1/messages", BODY).status[:3] == "200"


def test_a_view_is_answered_for_a_key_and_is_no_call(proxy: Proxy) -> None:
    answered = proxy.call("GET", f"/ak/{KEY}/status?page=2")
    assert (answered.status[:3], answered.body) == ("200", b"key_1 /status?page=2")
    assert (answered.header("content-type"), answered.header("cache-control")) == ("text/plain", "no-store")
    assert proxy.books.looks == [(answered.header("x-proxy-request-id"), "status", 200, f"key {KEY[:9]}")]
    assert (proxy.asked, proxy.books.finished, proxy.books.turned_away) == ([], [], [])


def test_a_view_takes_a_key_that_has_used_up_its_requests(proxy: Proxy) -> None:
    proxy.directory.limit = 1
    statuses = [proxy.call(*asked).status[:3] for asked in [("POST", f"/ak/{KEY}/v1/messages", BODY)] * 2]
    assert statuses == ["200", "429"]
    assert proxy.call("GET", f"/ak/{KEY}/status").status[:3] == "200"


def test_a_view_without_a_good_key_is_refused_like_everything_else(proxy: Proxy) -> None:
    assert proxy.call("GET", "/ak/ak_unknown/status").error == ("403", "permission_error")
    assert proxy.call("GET", "/status").error == ("403", "permission_error")
    assert [each[1:] for each in proxy.books.turned_away] == [(403, "permission_error", "")] * 2


def test_what_is_posted_to_a_views_path_goes_the_way_of_all_other_paths(proxy: Proxy) -> None:
    proxy.call("POST", f"/ak/{KEY}/status", b"{}")
    assert [call.endpoint for call in proxy.asked] == [Endpoint.PASSTHROUGH]


def test_a_connection_whose_body_nobody_read_ends_with_the_view(proxy: Proxy) -> None:
    assert proxy.call("GET", f"/ak/{KEY}/status", b"unread").header("connection") == "close"
