"""Megabytes in a worker's one thread: how much of the processor they take in all, and at a time.

Processor time, not the clock: others at work on the same machine make nothing look slower or faster here. What the clock says
beside a running stream is in tests/live/test_latency.py and in `make bench`.
"""

from __future__ import annotations

import json

import pytest

from tests import machine
from tests.core.patched import in_patched_process

MOST_AT_A_TIME_MS = 20  # the rule is for 5 MB

PROGRAM = """
import gc, json
from benchmarks.conversations import conversation_bytes
from core.threads import Turns
from proxy_app.bedrock.estimate import count_tokens_body, estimate_input_tokens
from proxy_app.bedrock.models import load_catalogue
from proxy_app.bedrock.repair import repair, serialise
from proxy_app.json_body import parse_object, read_head

size, messages = int(sys.argv[1]), int(sys.argv[2])
content = conversation_bytes(size, messages)
able = load_catalogue().capabilities("claude-opus-5-5")
turns = Turns().take
gc.collect(); gc.freeze(); gc.set_threshold(5_000, 200, 100)  # as gunicorn.conf.py does
spent = {}

def work():
    began = time.thread_time()
    with turns() as rest:
        read_head(content)
        rest()
    spent["head"] = time.thread_time() - began
    with turns() as rest:
        body = parse_object(content, rest)
    with turns() as rest:
        repaired = repair(body, (), able, rest=rest)
    with turns() as rest:
        serialise(repaired.body, rest)
    spent["repair"] = time.thread_time() - began
    with turns() as rest:
        count_tokens_body(body, able, rest)
    with turns() as rest:
        estimate_input_tokens(body, rest)

gaps = []
def tick():
    last = time.thread_time()
    while True:
        time.sleep(0.0005)
        now = time.thread_time()
        gaps.append(now - last)
        last = now

ticking = gevent.spawn(tick)
gevent.spawn(work).join()
ticking.kill()
print(json.dumps({"longest": max(gaps) * 1000, "head": spent["head"] * 1000, "repair": spent["repair"] * 1000}))
"""


def best_of_three(size: int, messages: int) -> dict[str, float]:
    runs = [json.loads(in_patched_process(PROGRAM, str(size), str(messages))) for _ in range(3)]
    return {name: min(run[name] for run in runs) for name in runs[0]}


@pytest.mark.parametrize(("size", "messages"), [(5_000_000, 1001), (5_000_000, 6001), (10_000_000, 3001)])
def test_a_long_body_is_repaired_without_keeping_others_waiting(
    size: int, messages: int, capsys: pytest.CaptureFixture[str]
) -> None:
    took = best_of_three(size, messages)

    with capsys.disabled():
        print(
            f"\n{size // 1_000_000} MB, {messages} messages: {took['repair']:.0f} ms of CPU, {took['longest']:.1f} ms at a time"
        )
    slowness = machine.slowness()
    assert took["longest"] < MOST_AT_A_TIME_MS * max(1.0, size / 7_000_000) * slowness
    assert took["repair"] < 150 * size / 5_000_000 * slowness
