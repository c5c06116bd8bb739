"""Who comes in: both forms of the key, one refusal for all, and what is open to everybody."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from core.crypto import new_access_key
from tests.live.wire import LOGIN, REQUEST_ID, Answer, talk

MESSAGE = {"model": "claude-sonnet-4-5", "max_tokens": 50, "messages": [{"role": "user", "content": "hi"}]}


@pytest.fixture(scope="module")
def key(running: Any) -> str:
    return str(running.developer().access_key)


@pytest.fixture(scope="module")
def bad_keys(running: Any, key: str) -> dict[str, str]:
    """Every reason for a refusal. From `never issued` on the checksum is right."""
    revoked, inactive = running.developer(), running.developer()
    expired = running.developer(expires_at=datetime.now(UTC) + timedelta(seconds=1))
    running.product.cli("key", "revoke", revoked.access_key_id)
    running.product.cli("user", "deactivate", inactive.user_id)
    ended = (expired.access_key, revoked.access_key, inactive.access_key)
    assert _becomes_true(lambda: {_status(running, access_key) for access_key in ended} == {403})
    return {
        "empty": "",
        "malformed": "ak_x",
        "control characters": "%0d%0aX%E2%80%AE",
        "a wrong checksum": key[:-1] + ("a" if key[-1] != "a" else "b"),
        "another prefix": "sk_" + key[3:],
        "percent-encoded": "%61" + key[1:],
        "never issued": new_access_key(),
        "expired": expired.access_key,
        "revoked": revoked.access_key,
        "of an inactive user": inactive.access_key,
    }


BAD = (
    "empty", "malformed", "control characters", "a wrong checksum", "another prefix", "percent-encoded",
    "never issued", "expired", "revoked", "of an inactive user",
)  # fmt: skip
ENDPOINTS = [
    ("POST", "/v1/messages?beta=true"),
    ("POST", "/v1/messages/count_tokens"),
    ("GET", "/v1/models"),
    ("GET", "/v1/models/claude-sonnet-4-5"),
    ("GET", "/v1/organizations/me"),
]


def request(method: str, target: str, extra: str = "", **body: Any) -> bytes:
    content = json.dumps({**MESSAGE, **body}).encode() if method == "POST" else b""
    head = f"{method} {target} HTTP/1.1\r\n{extra}connection: close\r\ncontent-length: {len(content)}\r\n".encode()
    return head + LOGIN + b"\r\n" + content


def _status(stack: Any, access_key: str) -> int:
    return int(talk(stack.product.port, request("GET", f"/ak/{access_key}/v1/models")).only.status)


def _becomes_true(condition: Any, within_s: float = 60.0) -> bool:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if condition():
            return True
    return False


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("method", "path"), ENDPOINTS)
def test_the_key_in_the_path_and_in_the_header_open_the_same_doors(
    stack: Any, key: str, method: str, path: str, stream: bool
) -> None:
    by_path = talk(stack.product.port, request(method, f"/ak/{key}{path}", stream=stream)).only
    by_header = talk(stack.product.port, request(method, path, f"x-proxy-key: {key}\r\n", stream=stream)).only

    assert by_path.status == by_header.status != 403
    seen = stack.anthropic.requests()
    assert [(each["method"], each["target"]) for each in seen] == [(method, path)] * 2
    assert seen[0]["body_sha256"] == seen[1]["body_sha256"]


@pytest.mark.parametrize(("method", "path"), ENDPOINTS)
def test_nothing_of_ours_reaches_the_upstream(stack: Any, key: str, method: str, path: str) -> None:
    ours = f"x-proxy-key: {key}\r\nX-Proxy-Fallback: no\r\nx-proxy-anything: {key}\r\n"
    talk(stack.product.port, request(method, path, ours))

    [seen] = stack.anthropic.requests()
    assert [name for name, _ in seen["headers"] if name.lower().startswith("x-proxy")] == []
    assert key not in json.dumps(seen)


@pytest.mark.parametrize("stream", [False, True])
def test_nothing_of_ours_reaches_bedrock(stack: Any, key: str, stream: bool) -> None:
    stack.anthropic.fault("overloaded")
    answer = talk(stack.product.port, request("POST", "/v1/messages", f"x-proxy-key: {key}\r\n", stream=stream)).only

    assert answer.header("x-proxy-provider") == "bedrock"
    [seen] = stack.bedrock.requests()
    assert [name for name, _ in seen["headers"] if name.lower().startswith("x-proxy")] == []
    assert key not in json.dumps(seen)


@pytest.mark.parametrize(("method", "path"), ENDPOINTS)
def test_without_a_key_every_endpoint_is_refused(stack: Any, method: str, path: str) -> None:
    answer = talk(stack.product.port, request(method, path)).only

    assert answer.error == (403, "permission_error")
    assert stack.anthropic.requests() == []


@pytest.mark.parametrize("form", ["path", "header"])
@pytest.mark.parametrize("reason", BAD)
def test_every_bad_key_gets_one_and_the_same_answer(
    stack: Any, key: str, bad_keys: dict[str, str], reason: str, form: str
) -> None:
    bad = bad_keys[reason]
    by_path, by_header = f"/ak/{bad}/v1/messages", ("/v1/messages", f"x-proxy-key: {bad}\r\n")
    sent = request("POST", by_path) if form == "path" else request("POST", *by_header)
    answer = talk(stack.product.port, sent).only
    unknown = talk(stack.product.port, request("POST", f"/ak/{new_access_key()}/v1/messages")).only

    assert answer.error == (403, "permission_error")
    assert _without_id(answer) == _without_id(unknown)
    assert answer.header("x-should-retry") == "false"
    assert stack.anthropic.requests() == []


def _without_id(answer: Answer) -> tuple[int, list[tuple[str, str]], str]:
    """Everything but what must differ: request id and time."""
    headers = [(name, REQUEST_ID.sub("", value)) for name, value in answer.headers if name != "date"]
    return answer.status, headers, REQUEST_ID.sub("", answer.body.decode())


@pytest.mark.parametrize("reason", BAD)
def test_a_refused_key_has_one_log_line_that_shows_no_more_than_its_prefix(
    stack: Any, bad_keys: dict[str, str], reason: str
) -> None:
    bad = bad_keys[reason]
    answer = talk(stack.product.port, request("POST", f"/ak/{bad}/v1/messages")).only

    [line] = [each for each in stack.product.logs() if each["request_id"] == answer.json["request_id"]]
    assert (line["context"]["status"], line["context"]["error_type"]) == (403, "permission_error")
    shown = [f"key {bad[:9]}"] if len(bad) == 47 and bad.startswith("ak_") else []
    assert line["context"]["trace"] == shown
    assert len(bad) <= 9 or bad[9:] not in stack.product.log_path.read_text()


OPEN = ["/", "/v1/messages", "/ak/x/v1/messages", "/ak/%0d/x", "/health", "/nothing", "/admin"]


@pytest.mark.parametrize("path", OPEN)
def test_head_of_anything_is_200_at_once_without_a_key(stack: Any, path: str) -> None:
    answer = talk(stack.product.port, f"HEAD {path} HTTP/1.1\r\nHost: a\r\nconnection: close\r\n\r\n".encode()).only

    assert (answer.status, answer.body) == (200, b"")
    assert REQUEST_ID.fullmatch(answer.header("x-proxy-request-id"))


@pytest.mark.parametrize("prefix", ["", "/ak/anything", "/ak/%0d%0a"])
def test_hello_is_200_without_a_key_and_goes_nowhere(stack: Any, prefix: str) -> None:
    answer = talk(stack.product.port, request("GET", f"{prefix}/api/hello?x=1")).only

    assert answer.status == 200
    assert REQUEST_ID.fullmatch(answer.header("x-proxy-request-id"))
    assert stack.anthropic.requests() == []


@pytest.mark.parametrize("target", ["/", "/?x=1"])
def test_the_front_page_sends_people_to_the_admin(stack: Any, target: str) -> None:
    answer = talk(stack.product.port, request("GET", target)).only

    assert (answer.status, answer.header("location")) == (303, "/admin")
    assert REQUEST_ID.fullmatch(answer.header("x-proxy-request-id"))


@pytest.mark.parametrize(("path", "status"), [("/health", "ok"), ("/healthz", "ok"), ("/ready", "ready"), ("/readyz", "ready")])
def test_health_and_readiness_are_told_without_a_key(stack: Any, path: str, status: str) -> None:
    answer = talk(stack.product.port, request("GET", path)).only

    assert (answer.status, answer.json) == (200, {"status": status})
    assert REQUEST_ID.fullmatch(answer.header("x-proxy-request-id"))


def test_a_wrong_method_on_health_is_405_in_anthropics_shape(stack: Any) -> None:
    assert talk(stack.product.port, request("POST", "/health")).only.error == (405, "invalid_request_error")


@pytest.mark.parametrize("fault", ["overloaded", "http_401", "error_502"])
@pytest.mark.parametrize(("method", "path"), ENDPOINTS)
def test_every_answer_carries_our_request_id_and_its_line_carries_it_too(
    stack: Any, key: str, method: str, path: str, fault: str
) -> None:
    stack.anthropic.fault(fault)
    answer = talk(stack.product.port, request(method, f"/ak/{key}{path}")).only

    request_id = answer.header("x-proxy-request-id")
    assert REQUEST_ID.fullmatch(request_id)
    assert [line["context"]["status"] for line in stack.product.access_lines() if line["request_id"] == request_id] == [
        answer.status
    ]
