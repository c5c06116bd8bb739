"""Connections to both sides of the running product: reuse, sudden ends, slow streams, large uploads, nothing left behind.

One key for all: a Plan that dies for several keys at once is a matter of circuits, which have their own tests.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from sandbox.client import Sandbox
from sandbox.product import Product, temporary_product
from tests.live.bare import Got, Played, RawClient, RawUpstream, chunked, json_answer, request_bytes, until
from tests.live.plain_messages import LOGIN, asked, is_whole, message
from tests.proxy_app.certificates import Authority


@pytest.fixture(scope="module")
def product_settings() -> dict[str, str]:
    return {"PROXY_SILENCE_TIMEOUT_S": "1"}


@pytest.fixture(scope="module")
def target(running: Any) -> str:
    return _target_of(running.developer())


def _target_of(developer: Any) -> str:
    return f"/ak/{developer.access_key}/v1/messages"


@pytest.fixture
def client(stack: Any) -> Iterator[RawClient]:
    with RawClient(stack.url) as client:
        yield client


@pytest.mark.parametrize("stream", [True, False])
def test_connections_are_reused_while_the_upstream_keeps_them(stack: Any, target: str, client: RawClient, stream: bool) -> None:
    for _ in range(40):
        asked(client, target, stream)
    assert len({each["connection"] for each in stack.plan_posts()}) == 1


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("how", ["reset_before_headers", "eof_before_headers"])
def test_a_reused_connection_that_dies_unanswered_is_replaced_once_and_nobody_hears_of_it(
    stack: Any, target: str, client: RawClient, how: str, stream: bool
) -> None:
    """The next connection is fresh, so what meets it counts: the second death is `plan_unreachable`."""
    _warm(client, target, stack)
    stack.anthropic.fault(how, times=1)
    assert (asked(client, target, stream).first("x-proxy-provider"), len(stack.plan_posts())) == ("plan", 3)
    _warm(client, target, stack)
    stack.anthropic.fault(how, times=2)
    got = asked(client, target, stream)
    assert (got.status, got.first("x-proxy-fallback"), is_whole(got, stream)) == (200, "plan_unreachable", True)
    assert len(stack.plan_posts()) == 6


def _warm(client: RawClient, target: str, stack: Any) -> None:
    """One good answer, so that the next request finds a connection that is a few milliseconds old."""
    assert asked(client, target, False).first("x-proxy-provider") == "plan"


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("how", ["reset_before_headers", "eof_before_headers"])
def test_a_fresh_connection_that_dies_unanswered_falls_back_after_one_try(
    stack: Any, target: str, client: RawClient, how: str, stream: bool
) -> None:
    _warm(client, target, stack)
    stack.anthropic.close_idle()
    stack.anthropic.fault(how)
    got = asked(client, target, stream)
    assert (got.status, got.first("x-proxy-fallback"), is_whole(got, stream)) == (200, "plan_unreachable", True)
    assert len(stack.plan_posts()) == 2


@pytest.mark.parametrize("provider", ["plan", "bedrock"])
def test_an_event_is_at_the_client_while_the_upstream_is_still_speaking(
    stack: Any, client: RawClient, target: str, provider: str
) -> None:
    speaker = stack.anthropic if provider == "plan" else stack.bedrock
    if provider == "bedrock":
        stack.anthropic.fault("overloaded")
    speaker.fault("slow_stream", delay=0.1, events=30)
    client.send(request_bytes(target, LOGIN, message(True)))
    first = client.first_chunk()
    speaking = [each["finished"] for each in speaker.requests() if each["method"] == "POST"]
    times = [time.monotonic() for _ in iter(client.chunk, b"")]
    assert (b"message_start" in first, speaking) == (True, [False])
    assert times[-1] - times[0] > 1.5
    assert len(times) > 15


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("fault", ["one_byte_writes", "dribbled_headers"])
def test_an_upstream_that_speaks_in_crumbs_is_understood(
    stack: Any, client: RawClient, target: str, fault: str, stream: bool
) -> None:
    stack.anthropic.fault(fault)
    got = asked(client, target, stream)
    assert (got.status, is_whole(got, stream), got.first("x-proxy-provider")) == (200, True, "plan")


def test_pipelined_requests_and_those_after_them_are_answered_in_order(stack: Any, client: RawClient, target: str) -> None:
    client.send(b"".join(request_bytes(target, LOGIN, message(number % 2 == 0)) for number in range(6)))
    kinds = [client.receive().first("content-type").partition(";")[0] for _ in range(6)]
    assert kinds == ["text/event-stream", "application/json"] * 3
    assert asked(client, target, False).status == 200


@pytest.mark.parametrize("stream", [True, False])
def test_an_old_client_gets_its_answer_up_to_the_end_of_the_connection(client: RawClient, target: str, stream: bool) -> None:
    client.send(request_bytes(target, LOGIN, message(stream)).replace(b"HTTP/1.1", b"HTTP/1.0", 1))
    got = client.receive()
    assert (got.status, got.first("transfer-encoding"), got.first("connection")) == (200, "", "close")
    assert is_whole(got, stream)


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_waits_for_an_invitation_gets_it(client: RawClient, target: str, stream: bool) -> None:
    head, _, body = request_bytes(target, [*LOGIN, ("expect", "100-continue")], message(stream)).partition(b"\r\n\r\n")
    client.send(head + b"\r\n\r\n")
    assert client.receive().status == 100
    client.send(body)
    assert is_whole(client.receive(), stream)


@pytest.mark.parametrize(("wrong", "length", "status"), [("", 12_000_000, 413), ("x", 5_000_000, 403)])
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_refusal_reaches_a_client_in_the_middle_of_its_upload(
    stack: Any, client: RawClient, target: str, wrong: str, length: int, status: int, framing: str
) -> None:
    said = ("content-length", str(length)) if framing == "length" else ("transfer-encoding", "chunked")
    client.send(request_bytes(target.replace("ak_", "ak_" + wrong, 1), [*LOGIN, said], method="PUT"))
    body = bytes(length)
    for start in range(0, length, 250_000):
        piece = body[start : start + 250_000]
        client.send(piece if framing == "length" else chunked(piece)[:-5])
    got = client.receive("PUT")
    assert (got.status, got.first("connection"), client.at_end()) == (status, "close", True)
    assert json.loads(got.body)["error"]["message"].startswith("claude-code-proxy:")
    assert stack.plan_posts() == []


@pytest.mark.parametrize(("method", "target_form"), [("GET", "/health"), ("HEAD", "/v1/messages"), ("GET", "/api/hello")])
def test_a_warm_up_leaves_the_connection_usable(client: RawClient, target: str, method: str, target_form: str) -> None:
    assert client.ask(target_form, [("host", "h")], method=method).status == 200
    assert is_whole(asked(client, target, True), True)


def test_two_thousand_mixed_requests_leave_no_connection_behind(stack: Any) -> None:
    targets = [_target_of(stack.developer(strategy)) for strategy in ("plan_only", "plan_only", "bedrock_only")]
    [worker] = stack.product.worker_pids()
    _many(stack, targets, 40)  # log, database and threads are open from here on
    before = _open_files(worker)
    _many(stack, targets, 2000)
    assert until(lambda: _open_files(worker) <= before + 8, 20), (before, _open_files(worker))
    assert _threads(worker) < 60
    assert (len(stack.plan_posts()) > 1000, len(stack.bedrock_posts()) > 300) == (True, True)


ENDS = ["whole"] * 10 + ["hang-up at once", "hang-up in the stream", "reset", "expired", "cut", "dead", "garbled"]
PLAN_FAULTS = {"expired": "silent_midstream;s=20", "cut": "cut_midstream;how=rst", "dead": "reset_before_headers"}
PLAN_FAULTS |= {"garbled": "html_200"}
AT_ONCE = 16


def _many(stack: Any, targets: list[str], count: int) -> None:
    """Then the stand-ins close what idles, and the next request finds out."""
    random = Random(count)
    ends = random.choices(ENDS, k=count)
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for end in ends[number::AT_ONCE]:
                _one(stack.url, targets[number % len(targets)], end)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(AT_ONCE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stack.anthropic.close_idle(), stack.bedrock.close_idle()
    for target in targets:
        _one(stack.url, target, "whole")
    assert failures == []


def _one(url: str, target: str, end: str) -> None:
    order = [("x-sandbox-fault", PLAN_FAULTS.get(end, "ok" if end == "whole" else "slow_stream;delay=0.2"))]
    with RawClient(url) as client:
        client.send(request_bytes(target, [*LOGIN, *order], message(stream=end != "whole")))
        if end == "hang-up in the stream":
            client.first_chunk()
        if end in PLAN_FAULTS or end == "whole":
            assert client.receive().status in (200, 529)
        client.close(reset=end == "reset")


def _open_files(pid: int) -> int:
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def _threads(pid: int) -> int:
    return sum(1 for _ in Path(f"/proc/{pid}/task").iterdir())


@pytest.mark.parametrize("stream", [True, False])
def test_an_upstream_whose_certificate_nobody_signed_is_unreachable(tmp_path: Path, stream: bool) -> None:
    context = Authority(tmp_path).server(signed=False)
    with (
        RawUpstream(lambda seen: Played([json_answer()]), lambda sock: context.wrap_socket(sock, server_side=True)) as impostor,
        Sandbox("bedrock") as bedrock,
        temporary_product({"PROXY_PLAN_URL": impostor.url, "PROXY_BEDROCK_URL": bedrock.url}) as product,
    ):
        got = _first_answer(product, stream)
    assert (got.status, got.first("x-proxy-fallback"), is_whole(got, stream)) == (200, "plan_unreachable", True)
    assert (impostor.connections > 0, impostor.seen) == (True, [])


def _first_answer(product: Product, stream: bool) -> Got:
    key = product.add_developer("dev")
    product.start()
    with RawClient(product.url) as client:
        return asked(client, f"/ak/{key}/v1/messages", stream)
