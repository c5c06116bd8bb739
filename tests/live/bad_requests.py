"""A server that waits two seconds for a body, and requests to it: what the tests of bad input begin with."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.live.wire import CLOSE, Answer, post, talk

MARK = b"canary-of-bad-input"
BODY_TIMEOUT_S = 2


@pytest.fixture(scope="module")
def product_settings() -> dict[str, str]:
    return {"PROXY_BODY_TIMEOUT_S": str(BODY_TIMEOUT_S)}


@pytest.fixture(scope="module")
def key(running: Any) -> bytes:
    return b"/ak/" + running.developer().access_key.encode()


@pytest.fixture(autouse=True)
def worker(stack: Any, key: bytes) -> Iterator[None]:
    """After every test: the same process serves, it has logged no error, and nothing that was sent is in its log."""
    before, told = stack.product.worker_pids(), len(errors(stack))
    yield
    stack.anthropic.clear_faults()
    served = talk(stack.product.port, post(key + b"/v1/messages", message(), CLOSE))
    assert (served.only.status, served.only.header("x-proxy-provider")) == (200, "plan")
    assert stack.product.worker_pids() == before
    assert errors(stack)[told:] == []
    assert MARK.decode() not in stack.product.log_path.read_text()


def errors(stack: Any) -> list[dict[str, Any]]:
    return [line for line in stack.product.logs() if line["level"] in ("ERROR", "CRITICAL")]


def message(**more: Any) -> bytes:
    body = {"model": "claude-sonnet-4-5", "max_tokens": 50, "messages": [{"role": "user", "content": "hi"}], **more}
    return json.dumps(body).encode()


def refused(stack: Any, *sent: bytes, hang_up: bool = False) -> Answer:
    """The one answer on a connection that the server then closes, and the one line about it in the log."""
    dialogue = talk(stack.product.port, *sent, hang_up=hang_up)
    assert dialogue.closed
    answer = dialogue.only
    lines = [line for line in stack.product.access_lines() if line["request_id"] == answer.header("x-proxy-request-id")]
    assert [line["context"]["status"] for line in lines] == [answer.status]
    return answer
