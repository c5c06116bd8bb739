"""Bodies that are no JSON, odd JSON, or a million pieces: one clear answer, and nobody is held up."""

from __future__ import annotations

import socket
import time
from typing import Any

import pytest

from core.crypto import new_access_key
from tests import machine
from tests.live.bad_requests import BODY_TIMEOUT_S, message, refused
from tests.live.bad_requests import key as key
from tests.live.bad_requests import product_settings as product_settings
from tests.live.bad_requests import worker as worker
from tests.live.wire import CLOSE, LOGIN, post, talk


@pytest.fixture(scope="module")
def bedrock_key(running: Any) -> bytes:
    return b"/ak/" + running.developer("bedrock_only").access_key.encode()


NO_JSON = {
    "broken": b'{"model": nope',
    "empty": b"",
    "a list": b"[1]",
    "null": b"null",
    "not text": b"\xff\xfe\x00{}",
    "NaN": b'{"model": "claude-sonnet-4-5", "max_tokens": NaN}',
    "digits": b'{"model": "claude-sonnet-4-5", "max_tokens": 1' + b"0" * 5000 + b"}",
    "nested 100,000 deep": b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
}


@pytest.mark.parametrize("body", NO_JSON.values(), ids=NO_JSON)
def test_what_is_no_json_reaches_the_plan_byte_for_byte_and_the_plan_decides(stack: Any, key: bytes, body: bytes) -> None:
    answer = talk(stack.product.port, post(key + b"/v1/messages?beta=true", body, CLOSE)).only

    assert (answer.status, answer.header("x-proxy-provider")) == (400, "plan")
    [seen] = stack.anthropic.requests()
    assert (seen["target"], seen["body"].encode("utf-8", "replace")) == ("/v1/messages?beta=true", _as_kept(body))
    assert stack.bedrock.requests() == []


def _as_kept(body: bytes) -> bytes:
    """The stand-in keeps bodies as text."""
    return body.decode("utf-8", "replace").encode("utf-8", "replace")


@pytest.mark.parametrize("path", [b"/v1/messages", b"/v1/messages/count_tokens"])
@pytest.mark.parametrize("body", NO_JSON.values(), ids=NO_JSON)
def test_what_is_no_json_gets_400_where_bedrock_alone_could_answer(
    stack: Any, bedrock_key: bytes, path: bytes, body: bytes
) -> None:
    answer = talk(stack.product.port, post(bedrock_key + path, body, CLOSE)).only

    assert answer.error == (400, "invalid_request_error")
    assert stack.bedrock.requests() == []


def nested(deep: int) -> bytes:
    head = b'{"model":"claude-sonnet-4-5","max_tokens":9,"messages":[{"role":"assistant","content":'
    return head + b'[{"type":"tool_use","id":"t","name":"n","input":' + b'{"a":' * deep + b"1" + b"}" * deep + b"}]}]%b}"


ODD = {
    "a lone surrogate": b'{"model":"claude-sonnet-4-5","max_tokens":9,"messages":[{"role":"user","content":"\\ud800 hi"}]%b}',
    "a lone surrogate as the model": b'{"model":"claude-\\ud800","max_tokens":9,"messages":[{"role":"user","content":"hi"}]%b}',
    "a huge number": b'{"model":"claude-sonnet-4-5","max_tokens":1' + b"0" * 400 + b',"messages":[]%b}',
    "1e999": b'{"model":"claude-sonnet-4-5","max_tokens":1e999,"messages":[{"role":"user","content":"hi"}]%b}',
    "wrong types": b'{"model":7,"max_tokens":"x","messages":{"a":1},"system":[3],"tools":{"b":2},"metadata":4%b}',
    "wrong types within": b'{"model":"claude-sonnet-4-5","messages":[1,null,{"role":5,"content":[1,{"type":7}]}],"tools":[1]%b}',
    "no model": b'{"max_tokens":9,"messages":[{"role":"user","content":"hi"}]%b}',
    "nothing": b'{"x":1%b}',
    "a long model": b'{"model":"claude-' + b"a" * 100_000 + b'","messages":[]%b}',
    **{f"nested {deep} deep": nested(deep) for deep in (250, 500, 900, 985, 1000, 1010)},
}


@pytest.mark.parametrize("stream", [b"", b',"stream":true'], ids=["whole", "stream"])
@pytest.mark.parametrize("body", ODD.values(), ids=ODD)
def test_odd_json_is_answered_by_whoever_is_asked_and_never_with_a_failure_of_ours(
    stack: Any, key: bytes, bedrock_key: bytes, body: bytes, stream: bytes
) -> None:
    body = body.replace(b"%b", stream)
    from_plan = talk(stack.product.port, post(key + b"/v1/messages", body, CLOSE)).only
    from_bedrock = talk(stack.product.port, post(bedrock_key + b"/v1/messages", body, CLOSE)).only
    stack.anthropic.fault("overloaded")
    fallen_back = talk(stack.product.port, post(key + b"/v1/messages", body, CLOSE)).only

    assert from_plan.header("x-proxy-provider") == "plan" and from_plan.status in (200, 400, 404)
    assert from_bedrock.status in (200, 400, 404)
    assert fallen_back.status in (200, 400, 404, 529)
    assert stack.anthropic.requests()[0]["body_bytes"] == len(body)


@pytest.mark.parametrize("body", ODD.values(), ids=ODD)
def test_odd_json_is_counted_or_refused_in_order(stack: Any, bedrock_key: bytes, body: bytes) -> None:
    answer = talk(stack.product.port, post(bedrock_key + b"/v1/messages/count_tokens", body.replace(b"%b", b""), CLOSE)).only

    assert answer.status == 200 and answer.json["input_tokens"] > 0


def test_a_body_in_a_million_chunks_holds_nobody_up(stack: Any, key: bytes) -> None:
    """Undoing the chunks is work; the others must get their turn meanwhile."""
    bomb = b"POST %b/v1/messages HTTP/1.1\r\n%btransfer-encoding: chunked\r\n\r\n" % (key, LOGIN) + b"1\r\nx\r\n" * 700_000
    slowest = 0.0
    with socket.create_connection(("127.0.0.1", stack.product.port), timeout=30) as sock:
        sock.sendall(bomb)
        deadline = time.monotonic() + BODY_TIMEOUT_S
        while time.monotonic() < deadline:
            began = machine.now()
            assert talk(stack.product.port, b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n", silence_s=0.01).only.status == 200
            slowest = max(slowest, machine.now().since(began))
    assert slowest < 1.0 * machine.slowness()


def test_unused_access_keys_of_the_right_form_cost_the_upstreams_nothing(stack: Any) -> None:
    for _ in range(20):
        refused(stack, post(b"/ak/" + new_access_key().encode() + b"/v1/messages", message()))

    assert stack.anthropic.requests() == stack.bedrock.requests() == []
