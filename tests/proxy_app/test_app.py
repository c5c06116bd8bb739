"""Paths and errors, from the WSGI environ to what the server is handed: every answer has its id and is in the books once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from core.types import ProviderName
from proxy_app.call import BytesBody, Endpoint, Reply
from proxy_app.faults import Fault
from tests.proxy_app.app_world import BODY, KEY, Answered, Proxy
from tests.proxy_app.app_world import proxy as proxy


@pytest.mark.parametrize("path", ["/", "/health", "/nothing", "/ak/x/v1/messages"])
def test_head_of_anything_is_empty_and_200(proxy: Proxy, path: str) -> None:
    answered = proxy.call("HEAD", path)
    assert (answered.status, answered.body, answered.header("content-length")) == ("200 OK", b"", "0")
    assert answered.header("x-proxy-request-id")
    assert proxy.asked == []


@pytest.mark.parametrize("path", ["/health", "/healthz", "/api/hello", "/ak/anything/api/hello", "/api/hello?x=1"])
def test_whether_we_are_there_is_told_to_everybody(proxy: Proxy, path: str) -> None:
    answered = proxy.call("GET", path)
    assert (answered.status, json.loads(answered.body)) == ("200 OK", {"status": "ok"})
    assert answered.header("x-proxy-request-id")
    assert (proxy.asked, proxy.books.finished, proxy.books.turned_away) == ([], [], [])


@pytest.mark.parametrize("path", ["/ready", "/readyz"])
def test_readiness_has_its_status_and_its_word(proxy: Proxy, path: str) -> None:
    before = proxy.call("GET", path)
    proxy.readiness.started()
    after = proxy.call("GET", path)
    assert (before.status[:3], json.loads(before.body)) == ("503", {"status": "starting"})
    assert (after.status[:3], json.loads(after.body)) == ("200", {"status": "ready"})


def test_the_front_page_leads_to_the_admin(proxy: Proxy) -> None:
    answered = proxy.call("GET", "/")
    assert (answered.status[:3], answered.header("location")) == ("303", "/admin")
    assert answered.header("x-proxy-request-id")


@pytest.mark.parametrize(
    ("method", "path", "endpoint"),
    [
        ("POST", "/v1/messages", Endpoint.MESSAGES),
        ("POST", "/v1/messages?beta=true", Endpoint.MESSAGES),
        ("POST", "/v1/messages/count_tokens?beta=true", Endpoint.COUNT_TOKENS),
        ("GET", "/v1/models", Endpoint.MODELS),
        ("GET", "/v1/models/claude-sonnet-4-5?x", Endpoint.MODELS),
        ("GET", "/v1/messages", Endpoint.PASSTHROUGH),
        ("POST", "/v1/models", Endpoint.PASSTHROUGH),
        ("POST", "/v1/messages/", Endpoint.PASSTHROUGH),
        ("POST", "/v1/messages/batches", Endpoint.PASSTHROUGH),
        ("POST", "/api/hello", Endpoint.PASSTHROUGH),
        ("GET", "/health", Endpoint.PASSTHROUGH),
        ("BREW", "/", Endpoint.PASSTHROUGH),
    ],
)
def test_under_a_key_each_path_is_what_it_is(proxy: Proxy, method: str, path: str, endpoint: Endpoint) -> None:
    assert proxy.call(method, f"/ak/{KEY}{path}", BODY).status[:3] == "200"
    [call] = proxy.asked
    assert (call.endpoint, call.method, call.target) == (endpoint, method, path)


def test_headers_of_an_answer_reach_the_server_in_order_repeated_and_as_written(proxy: Proxy) -> None:
    headers = (("X-Two", "1"), ("request-id", "req_theirs"), ("x-two", "2"), ("Content-Type", "application/json"))
    proxy.reply = Reply(200, headers, BytesBody(b"{}"), ProviderName.PLAN)
    answered = proxy.call("POST", f"/ak/{KEY}/v1/messages", BODY)
    assert tuple(answered.headers[:4]) == headers
    assert answered.headers[4:] == [("x-proxy-request-id", proxy.asked[0].request_id), ("x-proxy-provider", "plan")]


@pytest.mark.parametrize(
    ("status", "reason", "line"),
    [(200, "Fine", "200 Fine"), (529, "", "529 Overloaded"), (404, "", "404 Not Found"), (599, "", "599 Unknown")],
)
def test_the_status_line_is_the_upstreams_or_a_usual_one(proxy: Proxy, status: int, reason: str, line: str) -> None:
    proxy.reply = Reply(status, (), BytesBody(b"{}"), ProviderName.PLAN, reason=reason)
    assert proxy.call("POST", f"/ak/{KEY}/v1/messages", BODY).status == line


@pytest.mark.parametrize(("provider", "told"), [(ProviderName.BEDROCK, "plan_overloaded"), (ProviderName.PLAN, None)])
def test_a_fallback_is_told_where_bedrock_answers(proxy: Proxy, provider: ProviderName, told: str | None) -> None:
    proxy.reply, proxy.fallback = Reply(200, (), BytesBody(b"{}"), provider), Fault.PLAN_OVERLOADED
    assert proxy.call("POST", f"/ak/{KEY}/v1/messages", BODY).header("x-proxy-fallback") == told


def test_a_bad_key_is_refused_unread_and_has_one_line(proxy: Proxy) -> None:
    answered = proxy.call("POST", f"/ak/{KEY[:-1]}y/v1/messages", BODY)
    assert answered.error == ("403", "permission_error")
    assert answered.header("connection") == "close"
    assert [line[1:] for line in proxy.books.turned_away] == [(403, "permission_error", f"key {KEY[:9]}")]
    assert (proxy.asked, proxy.books.finished, len(proxy.live)) == ([], [], 0)


def test_a_body_too_large_is_in_the_books_of_its_developer(proxy: Proxy) -> None:
    answered = proxy.call("POST", f"/ak/{KEY}/v1/messages", b"x" * 100_001)
    assert answered.error == ("413", "request_too_large")
    [(call, outcome)] = proxy.books.finished
    assert (call.grant.user_id, call.request_id) == ("usr_1", answered.header("x-proxy-request-id"))
    assert (outcome.status, outcome.error_type, outcome.provider) == (413, "request_too_large", None)
    assert (proxy.books.turned_away, len(proxy.live)) == ([], 0)


@pytest.mark.parametrize(("path", "booked"), [(f"/ak/{KEY}/v1/messages", "usr_1"), ("/ak/crash/v1/messages", "")])
def test_a_failure_of_ours_is_a_500_with_one_id_one_record_and_no_traceback(
    proxy: Proxy, caplog: Any, path: str, booked: str
) -> None:
    proxy.error = RuntimeError("secret of a prompt")
    answered = proxy.call("POST", path, BODY)

    assert answered.error == ("500", "api_error")
    assert "secret" not in answered.body.decode() and answered.header("connection") == "close"
    assert [(call.grant.user_id, outcome.status) for call, outcome in proxy.books.finished] == [("usr_1", 500)] * bool(booked)
    assert [line[1] for line in proxy.books.turned_away] == [500] * (not booked)
    assert [record.request_id for record in caplog.records] == [answered.header("x-proxy-request-id")]
    assert len(proxy.live) == 0


def test_a_request_that_is_killed_lets_go_of_its_client(proxy: Proxy) -> None:
    proxy.error = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        proxy.call("POST", f"/ak/{KEY}/v1/messages", BODY)
    assert (len(proxy.live), proxy.books.finished) == (0, [])


@pytest.mark.parametrize(
    ("method", "path", "error"),
    [
        ("POST", "/health", ("405", "invalid_request_error")),
        ("PUT", "/ready", ("405", "invalid_request_error")),
        ("DELETE", "/", ("405", "invalid_request_error")),
        ("GET", "*", ("404", "not_found_error")),
    ],
)
def test_a_wrong_method_or_no_path_is_told_in_anthropics_shape(
    proxy: Proxy, method: str, path: str, error: tuple[str, str]
) -> None:
    answered = proxy.call(method, path)
    assert answered.error == error
    assert [line[:3] for line in proxy.books.turned_away] == [(answered.header("request-id"), int(error[0]), error[1])]


@pytest.mark.parametrize(
    ("method", "path"), [("HEAD", "/x"), ("GET", "/health"), ("POST", "/ready"), ("GET", "/api/hello"), ("GET", "/")]
)
@pytest.mark.parametrize("body", [None, BODY], ids=["no body", "a body"])
def test_a_connection_ends_where_a_body_was_not_read_and_only_there(
    proxy: Proxy, method: str, path: str, body: bytes | None
) -> None:
    assert proxy.call(method, path, body).header("connection") == (None if body is None else "close")


@pytest.mark.parametrize(("status", "kind"), [(400, "invalid_request_error"), (431, "invalid_request_error"), (500, "api_error")])
def test_what_is_no_request_gets_an_answer_and_a_line(proxy: Proxy, status: int, kind: str) -> None:
    line, headers, body = proxy.app.unreadable(status, "InvalidHeader")
    answered = Answered(line, list(headers), body)
    assert answered.error == (str(status), kind)
    assert answered.header("connection") == "close"
    assert proxy.books.turned_away == [(answered.header("request-id"), status, kind, "InvalidHeader")]


def test_an_answer_is_in_the_books_before_its_last_bytes_are_out(proxy: Proxy) -> None:
    proxy.reply = Reply(200, (("content-length", "4"),), _Pieces(proxy), ProviderName.PLAN)
    assert proxy.call("POST", f"/ak/{KEY}/v1/messages", BODY).body == b"{  }"
    assert len(proxy.books.finished) == 1


class _Pieces:
    """A body in two pieces that looks into the books between them, and after the second is asked for."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy

    def __iter__(self) -> Iterator[bytes]:
        yield b"{ "
        assert self._proxy.books.finished == []
        yield b" }"
        assert len(self._proxy.books.finished) == 1

    def close(self) -> None:
        return None
