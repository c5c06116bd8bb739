"""Paths and errors, from the WSGI environ to what the server is handed: every answer has its id and is in the books once."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from core.types import Grant, ProviderName, Strategy, Usage
from proxy_app.app import ProxyApp
from proxy_app.call import BytesBody, Call, Endpoint, Outcome, Reply
from proxy_app.directory import Unknown
from proxy_app.faults import Fault
from proxy_app.gateway import Opened
from proxy_app.hangup import LiveCalls
from proxy_app.inbound import Arrival, Inbound, Reading
from proxy_app.own_page import Shown
from proxy_app.rate_limit import RateLimits
from proxy_app.readiness import Readiness
from proxy_app.resources import Proxied, Ready

KEY = "ak_" + "x" * 44
BODY = b'{"model":"m"}'


class Directory:
    limit: int | None = None

    def grant_of(self, access_key: str) -> Grant:
        if access_key == "crash":
            raise RuntimeError("nobody foresaw this")
        if access_key != KEY:
            raise Unknown
        return Grant("usr_1", "key_1", Strategy.PLAN_FIRST, (), self.limit)


def view(arrival: Arrival, grant: Grant) -> Shown:
    return Shown(200, "text/plain", f"{grant.access_key_id} {arrival.target}".encode(), (("cache-control", "no-store"),))


class Seen:
    def note(self, *_: Any) -> None:
        return None


class Books:
    """What the recorder was told."""

    def __init__(self) -> None:
        self.finished: list[tuple[Call, Outcome]] = []
        self.turned_away: list[tuple[str, int, str, str]] = []
        self.looks: list[tuple[str, str, int, str]] = []

    def begin(self, call: Call, outcome: Outcome, usage: Usage) -> None: ...

    def finish(self, call: Call, outcome: Outcome) -> None:
        self.finished.append((call, outcome))

    def looked(self, request_id: str, endpoint: str, status: int, key_shown: str) -> None:
        self.looks.append((request_id, endpoint, status, key_shown))

    def refuse(self, request_id: str, status: int, error_type: str, reason: str = "") -> None:
        self.turned_away.append((request_id, status, error_type, reason))


@dataclass
class Answered:
    status: str = ""
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""

    def header(self, name: str) -> str | None:
        found = [value for key, value in self.headers if key.lower() == name]
        assert len(found) < 2, self.headers
        return found[0] if found else None

    @property
    def error(self) -> tuple[str, str]:
        said = json.loads(self.body)
        assert said["request_id"] == self.header("request-id") == self.header("x-proxy-request-id")
        assert said["error"]["message"].startswith("claude-code-proxy: ")
        return self.status[:3], said["error"]["type"]


class Proxy:
    """The app with real parts down to the gateway, in whose place `opener` stands."""

    def __init__(self) -> None:
        self.books: Any = Books()
        self.live = LiveCalls()
        self.asked: list[Call] = []
        self.reply = Reply(200, (("Content-Type", "application/json"),), BytesBody(b"{}"), ProviderName.PLAN)
        self.fallback: Fault | None = None
        self.error: BaseException | None = None
        ids = (f"req_{number:026}" for number in range(1, 1000))
        self.directory: Any = Directory()
        seen: Any = Seen()
        clocks = (lambda: 1.0, lambda: 1_800_000_000.0)
        inbound = Inbound(self.directory, self.live, Reading(100_000, 60.0, 240.0), lambda _: next(ids), clocks, seen)
        self.readiness = Readiness(lambda: None)
        openers = dict.fromkeys(Endpoint, self._open)
        proxied = Proxied(inbound, openers, self.books, clocks[0], RateLimits(clocks[0]), {"/status": view})
        self.app = ProxyApp(proxied, Ready(self.readiness), lambda: next(ids))

    def _open(self, call: Call) -> Opened:
        self.asked.append(call)
        if self.error is not None:
            raise self.error
        return Opened(self.reply, Outcome(provider=self.reply.provider, status=self.reply.status), fallback=self.fallback)

    def call(self, method: str, path: str, body: bytes | None = None) -> Answered:
        answered = Answered()
        environ: dict[str, Any] = {
            "REQUEST_METHOD": method,
            "RAW_URI": path,
            "PATH_INFO": path.partition("?")[0],
            "QUERY_STRING": path.partition("?")[2],
            "SERVER_NAME": "a",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "wsgi.url_scheme": "http",
            "wsgi.errors": io.StringIO(),
            "wsgi.input": _Body(body or b""),
            "proxy.headers": [("HOST", "a")],
        }
        if body is not None:
            environ["CONTENT_LENGTH"] = str(len(body))

        def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> None:
            answered.status, answered.headers = status, headers

        chunks: Iterable[bytes] = self.app(environ, start_response)
        answered.body = b"".join(chunks)
        if hasattr(chunks, "close"):
            chunks.close()
        return answered


class _Body:
    def __init__(self, content: bytes) -> None:
        self._content = content

    def read(self, size: int = -1) -> bytes:
        piece, self._content = self._content[:size], self._content[size:]
        return piece


@pytest.fixture
def proxy() -> Proxy:
    return Proxy()


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
