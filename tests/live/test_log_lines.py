"""What the operator's log gets: one access line a request whatever its end, and no line out of shape (SPEC section 13)."""

from __future__ import annotations

import json
import os
import re
import socket
import sqlite3
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from core.log import MOST_LINE_BYTES
from sandbox.product import temporary_product
from tests.live.wire import CLOSE, LOGIN, REQUEST_ID, post, talk, until_closed

SHAPE = {"timestamp", "level", "request_id", "message", "context"}
WHOLE = {
    "log", "started_at", "user_id", "access_key_id", "endpoint", "session_id", "agent_id", "parent_agent_id", "provider", "fault",
    "trace", "model_asked", "model_served", "bedrock_key_id", "streamed", "status", "error_type", "input_tokens", "output_tokens",
    "cache_write_5m_tokens", "cache_write_1h_tokens", "cache_read_tokens", "cost_micros", "list_value_micros", "first_byte_ms",
    "total_ms", "overhead_ms", "confidence", "circuit",
}  # fmt: skip
TURNED_AWAY = {"log", "user_id", "access_key_id", "provider", "status", "error_type", "trace"}


@pytest.fixture(scope="module")
def product_settings() -> dict[str, str]:
    return {"PROXY_BODY_TIMEOUT_S": "1", "PROXY_MAX_BODY_BYTES": "100000", "PROXY_FLUSH_INTERVAL_S": "0.1"}


@pytest.fixture
def developer(stack: Any) -> Any:
    return stack.developer()


def messages(developer: Any, extra: bytes = b"", **changes: Any) -> bytes:
    body = {"model": "claude-sonnet-4-5", "max_tokens": 50, "messages": [{"role": "user", "content": "hi"}], **changes}
    return post(f"/ak/{developer.access_key}/v1/messages".encode(), json.dumps(body).encode(), CLOSE + extra)


def new_lines(stack: Any, before: int, count: int = 1) -> list[dict[str, Any]]:
    """The access lines behind the first `before`, once there are `count`; a moment later still no more."""
    deadline = time.monotonic() + 60
    while len(stack.product.access_lines()) < before + count and time.monotonic() < deadline:
        time.sleep(0.02)
    talk(stack.product.port, b"GET /health HTTP/1.1\r\nHost: a\r\n" + CLOSE + b"\r\n")
    lines: list[dict[str, Any]] = stack.product.access_lines()[before:]
    return lines


def leave(stack: Any, sent: bytes, fault: str, heard: bytes) -> None:
    """Hang up once `heard` has come."""
    stack.anthropic.fault(fault)
    with socket.create_connection(("127.0.0.1", stack.product.port), timeout=10) as sock:
        sock.sendall(sent)
        deadline = time.monotonic() + 60
        while not stack.anthropic.requests() and time.monotonic() < deadline:
            time.sleep(0.01)
        received = b""
        while heard not in received:
            received += sock.recv(4096)


Ending = Callable[[Any, Any, bool], None]
ENDINGS: dict[str, tuple[Ending, dict[str, Any]]] = {
    "the Plan answers": (
        lambda stack, who, stream: _say(stack, messages(who, stream=stream)),
        {"status": 200, "provider": "plan", "fault": "", "confidence": "exact"},
    ),
    "Bedrock answers": (
        lambda stack, who, stream: _say(stack, messages(who, stream=stream), "overloaded"),
        {"status": 200, "provider": "bedrock", "fault": "plan_overloaded", "confidence": "exact"},
    ),
    "the Plan refuses": (
        lambda stack, who, stream: _say(stack, messages(who, stream=stream), "http_401"),
        {"status": 401, "provider": "plan", "fault": "plan_auth", "error_type": "authentication_error"},
    ),
    "too large": (
        lambda stack, who, stream: _say(stack, messages(who, stream=stream, system="x" * 100_000)),
        {"status": 413, "provider": "", "fault": "", "error_type": "request_too_large"},
    ),
    "the body never comes": (
        lambda stack, who, stream: _say(stack, messages(who, stream=stream)[:-20]),
        {"status": 408, "provider": "", "fault": "", "error_type": "timeout_error"},
    ),
    "the body is cut short": (
        lambda stack, who, stream: _say(stack, messages(who, stream=stream)[:-20], hang_up=True),
        {"status": 400, "provider": "", "fault": "", "error_type": "invalid_request_error"},
    ),
    "the client leaves before the first byte": (
        lambda stack, who, stream: leave(stack, messages(who, stream=stream), "hang", b""),
        {"status": 499, "provider": "", "fault": "client_gone", "error_type": "client_gone"},
    ),
    "the client leaves within": (
        lambda stack, who, stream: leave(stack, messages(who, stream=stream), "silent_midstream", b"\r\n\r\n"),
        {"status": 200, "provider": "plan", "fault": "client_gone", "confidence": "partial"},
    ),
    "the Plan breaks off": (
        lambda stack, who, stream: _say(stack, messages(who, stream=stream), "cut_midstream"),
        {"status": 200, "provider": "plan", "fault": "stream_broken", "confidence": "partial"},
    ),
}


def _say(stack: Any, sent: bytes, fault: str = "ok", hang_up: bool = False) -> None:
    stack.anthropic.fault(fault)
    until_closed(stack.product.port, sent, hang_up=hang_up)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("ending", ENDINGS)
def test_a_developers_request_has_one_line_and_one_row_with_the_same_figures(
    stack: Any, developer: Any, ending: str, stream: bool
) -> None:
    before = len(stack.product.access_lines())
    act, expected = ENDINGS[ending]
    act(stack, developer, stream)

    [line] = new_lines(stack, before)
    context = line["context"]
    assert (line.keys(), context.keys()) == (SHAPE, WHOLE)
    assert (line["level"], line["message"], context["log"]) == ("INFO", "request", "access")
    assert (context["user_id"], context["access_key_id"]) == (developer.user_id, developer.access_key_id)
    assert {name: context[name] for name in expected} == expected
    assert _row(stack, line["request_id"]) == {name: context[name] for name in ("status", "provider", "fault", "error_type")}


def _row(stack: Any, request_id: str) -> dict[str, Any]:
    query = "SELECT status, provider, fault, error_type FROM requests WHERE request_id = ?"
    deadline = time.monotonic() + 60
    with sqlite3.connect(stack.product.data_dir / "var" / "proxy.sqlite") as connection:
        connection.row_factory = sqlite3.Row
        while time.monotonic() < deadline:
            if (row := connection.execute(query, (request_id,)).fetchone()) is not None:
                return dict(row)
            time.sleep(0.05)
    return {}


NOBODYS = {
    "a bad key": (b"POST /ak/ak_nothing/v1/messages HTTP/1.1\r\n%b\r\n" % LOGIN, 403, "permission_error"),
    "no key": (b"GET /v1/models HTTP/1.1\r\n%b\r\n" % LOGIN, 403, "permission_error"),
    "no host": (b"GET /v1/models HTTP/1.1\r\n\r\n", 400, "invalid_request_error"),
    "no HTTP": (b"hello\r\n\r\n", 400, "invalid_request_error"),
    "too many headers": (b"GET / HTTP/1.1\r\n%b\r\n" % (b"a: b\r\n" * 300), 431, "invalid_request_error"),
    "no path": (b"OPTIONS * HTTP/1.1\r\n%b\r\n" % (LOGIN + CLOSE), 404, "not_found_error"),
    "a wrong method": (b"PUT /ready HTTP/1.1\r\n%b\r\n" % (LOGIN + CLOSE), 405, "invalid_request_error"),
}


@pytest.mark.parametrize(("sent", "status", "error_type"), NOBODYS.values(), ids=NOBODYS)
def test_a_request_that_is_nobodys_has_one_line_too(stack: Any, sent: bytes, status: int, error_type: str) -> None:
    before = len(stack.product.access_lines())
    answer = talk(stack.product.port, sent).only

    [line] = new_lines(stack, before)
    assert (line.keys(), line["context"].keys()) == (SHAPE, TURNED_AWAY)
    assert (line["context"]["status"], line["context"]["error_type"]) == (status, error_type) == answer.error
    assert line["request_id"] == answer.header("x-proxy-request-id")


@pytest.mark.parametrize("sent", [b"HEAD /ak/x/y", b"GET /health", b"GET /readyz", b"GET /api/hello", b"GET /"])
def test_what_only_asks_whether_we_are_there_leaves_no_line(stack: Any, sent: bytes) -> None:
    before = len(stack.product.access_lines())
    talk(stack.product.port, sent + b" HTTP/1.1\r\nHost: a\r\n" + CLOSE + b"\r\n")

    assert new_lines(stack, before, count=0) == []


def test_a_failure_of_ours_has_its_request_id_everywhere(stack: Any, developer: Any) -> None:
    before, database = len(stack.product.access_lines()), stack.product.data_dir / "var" / "proxy.sqlite"
    with sqlite3.connect(database) as connection:
        connection.execute("ALTER TABLE access_keys RENAME COLUMN secret_hash TO gone")
    answer = talk(stack.product.port, messages(developer)).only
    with sqlite3.connect(database) as connection:
        connection.execute("ALTER TABLE access_keys RENAME COLUMN gone TO secret_hash")

    assert answer.error == (500, "api_error")
    [line] = new_lines(stack, before)
    assert (line["request_id"], line["context"]["status"]) == (answer.json["request_id"], 500)
    [told] = [each for each in stack.product.logs() if each["level"] == "ERROR"]
    assert told["request_id"] == answer.json["request_id"]
    assert told["context"].keys() == {"log", "logger", "traceback"} and told["context"]["log"] == "error"
    assert talk(stack.product.port, messages(developer)).only.status == 200


def test_a_line_of_the_application_says_of_whom_it_speaks(stack: Any, developer: Any) -> None:
    stack.anthropic.fault("plan_exhausted", reset=600)
    talk(stack.product.port, messages(developer))

    lines = [line for line in stack.product.logs() if line["message"] == "circuit open"]
    assert lines[-1].keys() == SHAPE
    assert lines[-1]["context"].items() >= {"log": "app", "logger": "wsgi", "access_key_id": developer.access_key_id}.items()


LONG = {
    "a long model": {"model": "claude-" + "\u20ac" * 20_000},
    "many betas": {"betas": [f"beta-{number}" for number in range(500)]},
    "a model that is no text": {"model": {"a": ["b"] * 1000}},
}


@pytest.mark.parametrize("changes", LONG.values(), ids=LONG)
@pytest.mark.parametrize("strategy", ["plan_first", "bedrock_only"])
def test_no_client_can_make_a_line_longer_than_8_kb(stack: Any, strategy: str, changes: dict[str, Any]) -> None:
    before = len(stack.product.log_path.read_bytes())
    odd = (
        b"x-claude-code-session-id: "
        + b"s" * 9000
        + b"\r\nanthropic-beta: "
        + b",".join(b"b%d" % n for n in range(2000))
        + b"\r\n"
    )
    talk(stack.product.port, messages(stack.developer(strategy), odd, **changes))

    written = stack.product.log_path.read_bytes()[before:].splitlines()
    assert written
    assert max(map(len, written)) < MOST_LINE_BYTES
    assert all(json.loads(line).keys() == SHAPE for line in written)


def test_times_are_utc_and_of_now_and_ids_are_ours(stack: Any, developer: Any) -> None:
    before = len(stack.product.access_lines())
    talk(stack.product.port, messages(developer))

    [line] = new_lines(stack, before)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["timestamp"])
    assert abs((datetime.now(UTC) - datetime.fromisoformat(line["timestamp"])).total_seconds()) < 60
    assert REQUEST_ID.fullmatch(line["request_id"])


def test_every_line_that_this_file_caused_is_in_shape(stack: Any) -> None:
    """Also gunicorn's own."""
    ours = [line for line in stack.product.log_path.read_text().splitlines() if line.startswith("{")]
    assert [line for line in ours if json.loads(line).keys() != SHAPE] == []
    assert {json.loads(line)["context"]["log"] for line in ours} <= {"access", "app", "error"}
    assert {json.loads(line)["level"] for line in ours} <= {"INFO", "WARNING", "ERROR"}


def test_a_reader_of_the_log_that_stalls_does_not_stop_the_server(stack: Any) -> None:
    """A pipe holds some 80 lines; then whoever writes waits. A log collector that hangs must not be an outage."""
    with temporary_product({"PROXY_PLAN_URL": stack.anthropic.url}) as product:
        key = product.add_developer("ann", bedrock_secret="")
        models = f"GET /ak/{key}/v1/models HTTP/1.1\r\n".encode() + LOGIN + CLOSE + b"\r\n"
        os.mkfifo(product.log_path)
        reader = os.open(product.log_path, os.O_RDONLY | os.O_NONBLOCK)
        product.start()
        statuses = {talk(product.port, models, limit_s=10).only.status for _ in range(300)}
        said, deadline = b"", time.monotonic() + 60
        while said.count(b'"log":"access"') < 300 and time.monotonic() < deadline:
            said += _available(reader)
            talk(product.port, models)  # what is held goes out with the next line
        os.close(reader)

    assert statuses == {200}
    lines = [line for line in said.splitlines(keepends=True) if line.startswith(b'{"timestamp') and line.endswith(b"\n")]
    assert len(lines) >= 300
    assert {frozenset(json.loads(line)) for line in lines} == {frozenset(SHAPE)}


def _available(reader: int) -> bytes:
    try:
        return os.read(reader, 1 << 20)
    except BlockingIOError:
        return b""
