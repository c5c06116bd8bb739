"""Connections that the upstream closes while they are idle, which every upstream does sooner or later, are nobody's trouble."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import pytest

from tests.live.bare import RawClient, until
from tests.live.plain_messages import asked, is_whole

IDLE_CLOSE_S = 0.03
REQUESTS = 250


@pytest.fixture(scope="module")
def anthropic_options() -> tuple[str, ...]:
    return ("--idle-close", str(IDLE_CLOSE_S))


@pytest.fixture
def client(stack: Any) -> Iterator[RawClient]:
    with RawClient(stack.url) as client:
        yield client


@pytest.mark.parametrize("stream", [True, False])
def test_five_hundred_requests_hear_nothing_of_connections_closed_while_idle(stack: Any, client: RawClient, stream: bool) -> None:
    """Closed by time, around the very moment of the next request; on order; right after an answer."""
    developer, random = stack.developer(), Random(stream)
    acts: list[Callable[[], object]] = [
        lambda: time.sleep(random.uniform(0.8, 1.2) * IDLE_CLOSE_S),
        stack.anthropic.close_idle,
        lambda: stack.anthropic.fault("close_after_response", times=1),
        lambda: None,
    ]
    target = f"/ak/{developer.access_key}/v1/messages"
    answers = [(random.choice(acts)(), asked(client, target, stream))[1] for _ in range(REQUESTS)]
    assert {(got.status, is_whole(got, stream), got.first("x-proxy-provider")) for got in answers} == {(200, True, "plan")}
    assert stack.bedrock_posts() == []
    assert until(lambda: len(_faults(stack, developer.user_id)) == REQUESTS)
    assert set(_faults(stack, developer.user_id)) == {""}
    assert len(stack.plan_posts()) == REQUESTS


def _faults(stack: Any, user_id: str) -> list[str]:
    contexts = [line["context"] for line in stack.product.access_lines()]
    return [each["fault"] for each in contexts if each.get("user_id") == user_id]
