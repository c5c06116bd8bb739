"""Event-stream bytes become Anthropic's server-sent events, however they are cut and whatever is wrong with them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from core.types import Usage
from proxy_app.bedrock.wire import PING, StreamTranslator, as_message
from proxy_app.meter import JsonMeter, StreamMeter
from tests.proxy_app.bedrock.wire_bytes import DELTA, END, FULL_USAGE, START, STOP, Make, events, translate
from tests.proxy_app.bedrock.wire_bytes import stream as stream

AWS_NAMES = ("inputTokenCount", "cacheWriteInputTokenCount", "cacheReadInputTokenCount", "outputTokenCount")


def metered(answer: bytes, meter: StreamMeter | JsonMeter | None = None) -> Usage:
    """What the ledger would hold of these bytes."""
    meter = meter or StreamMeter()
    meter.feed(answer)
    meter.finish()
    return meter.usage


def test_events_are_re_emitted_byte_for_byte(chunk: Make) -> None:
    assert translate(chunk(DELTA)) == b"event: content_block_delta\ndata: " + DELTA + b"\n\n"


def test_a_ping_comes_right_after_the_start(stream: bytes) -> None:
    assert [name for name, _ in events(translate(stream))] == [
        "message_start",
        "ping",
        "content_block_delta",
        "message_delta",
        "message_stop",
    ]
    assert PING in translate(stream)


def test_the_metrics_of_aws_are_taken_out(stream: bytes) -> None:
    assert events(translate(stream))[-1] == ("message_stop", {"type": "message_stop"})


def test_other_fields_of_the_last_event_stay(chunk: Make) -> None:
    assert events(translate(chunk({**STOP, "safeguard_results": [1]})))[-1][1] == {
        "type": "message_stop",
        "safeguard_results": [1],
    }


def test_counts_of_the_start_are_merged_into_the_delta(stream: bytes) -> None:
    delta = dict(events(translate(stream)))["message_delta"]
    assert delta["usage"] == {**FULL_USAGE, "output_tokens": 9}
    assert delta["delta"] == END["delta"]


def test_counts_that_only_the_stop_has_are_merged_into_the_delta(chunk: Make) -> None:
    bare_start = {"type": "message_start", "message": {"usage": {"input_tokens": 3}}}
    metrics = {"amazon-bedrock-invocationMetrics": {"cacheReadInputTokenCount": 70}}
    stop = {"type": "message_stop", "usage": {"cache_creation_input_tokens": 11}, **metrics}
    delta = dict(events(translate(*(chunk(event) for event in (bare_start, END, stop)))))["message_delta"]
    assert delta["usage"]["cache_creation_input_tokens"] == 11
    assert delta["usage"]["cache_read_input_tokens"] == 70


def test_a_delta_that_is_complete_is_passed_unchanged(chunk: Make) -> None:
    event = b'{"type":"message_delta",  "usage":' + json.dumps(FULL_USAGE).encode() + b"}"
    assert translate(chunk(START), chunk(event)).endswith(b"event: message_delta\ndata: " + event + b"\n\n")


@pytest.mark.parametrize("place", ["message_start", "message_delta", "message_stop", "metrics"])
def test_the_client_and_the_ledger_see_the_same_counts_wherever_bedrock_says_them(chunk: Make, place: str) -> None:
    said, nothing = {**FULL_USAGE, "output_tokens": 9}, dict.fromkeys(FULL_USAGE, 0)
    metrics = dict(zip(AWS_NAMES, said.values(), strict=True))
    start = {"type": "message_start", "message": {"model": "m", "usage": said if place == "message_start" else nothing}}
    delta = {"type": "message_delta", "delta": {}, "usage": said if place == "message_delta" else {"output_tokens": 0}}
    stop = {"type": "message_stop", "amazon-bedrock-invocationMetrics": metrics if place == "metrics" else {}}
    stop |= {"usage": said} if place == "message_stop" else {}
    out = translate(*(chunk(event) for event in (start, delta, stop)))
    assert dict(events(out))["message_delta"]["usage"] == said
    assert metered(out) == Usage(3, 9, 5, 0, 7)


def test_the_split_of_cache_writes_reaches_client_and_ledger_from_the_last_event_too(chunk: Make) -> None:
    split = {"ephemeral_5m_input_tokens": 2, "ephemeral_1h_input_tokens": 3}
    stop = {"type": "message_stop", "usage": {"cache_creation": split}}
    out = translate(*(chunk(event) for event in (START, END, stop)))
    assert dict(events(out))["message_delta"]["usage"]["cache_creation"] == split
    assert metered(out) == Usage(3, 9, 2, 3, 7)


def test_a_split_that_the_client_has_seen_is_not_said_twice(chunk: Make) -> None:
    split = {"ephemeral_5m_input_tokens": 2, "ephemeral_1h_input_tokens": 3}
    start = {"type": "message_start", "message": {"usage": {**FULL_USAGE, "cache_creation": split}}}
    out = translate(*(chunk(event) for event in (start, END, {"type": "message_stop", "usage": {"cache_creation": split}})))
    assert "cache_creation" not in dict(events(out))["message_delta"]["usage"]
    assert metered(out) == Usage(3, 9, 2, 3, 7)


def test_a_count_that_is_no_number_is_not_counted(chunk: Make) -> None:
    stop = {"type": "message_stop", "amazon-bedrock-invocationMetrics": {"inputTokenCount": "9", "outputTokenCount": True}}
    out = translate(*(chunk(event) for event in (START, END, stop)))
    assert dict(events(out))["message_delta"]["usage"] == {**FULL_USAGE, "output_tokens": 9}


@pytest.mark.parametrize(
    "event",
    [
        {"type": "content_block_delta", "amazon-bedrock-invocationMetrics": {"inputTokenCount": 1}},
        {"type": "message_start", "message": {"usage": {}, "amazon-bedrock-invocationMetrics": {}}},
        {"type": "message_start", "message": {"usage": {}}, "amazon-bedrock-invocationMetrics": {}},
        {"type": "message_delta", "usage": {}, "amazon-bedrock-invocationMetrics": {}},
    ],
)
def test_the_metrics_of_aws_leak_from_no_event(chunk: Make, event: dict[str, Any]) -> None:
    assert b"invocationMetrics" not in translate(chunk(event))


def test_a_text_that_mentions_the_metrics_is_passed_byte_for_byte(chunk: Make) -> None:
    event = b'{"type":"content_block_delta", "delta":{"text":"amazon-bedrock-invocationMetrics"}}'
    assert translate(chunk(event)) == b"event: content_block_delta\ndata: " + event + b"\n\n"


@pytest.mark.parametrize("name", ["vendor.future-event", "aws:notice", "content_block_citation"])
def test_events_that_nobody_knows_pass_byte_for_byte(chunk: Make, name: str) -> None:
    first, later = b'{"type":"%b", "x":1}' % name.encode(), b'{"x":1, "type":"%b"}' % name.encode()
    assert translate(chunk(first), chunk(later)) == b"".join(
        b"event: %b\ndata: %b\n\n" % (name.encode(), e) for e in (first, later)
    )


def test_a_delta_that_was_held_back_is_not_lost_at_an_early_end(chunk: Make) -> None:
    translator = StreamTranslator()
    assert translator.feed(chunk(END)) == b""
    assert events(translator.finish()) == [("message_delta", END)]
    assert not translator.ended


def test_the_answer_is_whole_once_its_last_event_was_seen(stream: bytes) -> None:
    translator = StreamTranslator()
    translator.feed(stream)
    assert translator.ended


def test_an_event_of_several_lines_becomes_one_line(chunk: Make) -> None:
    assert events(translate(chunk(b'{\n "index": 1,\n "type": "content_block_stop"}'))) == [
        ("content_block_stop", {"index": 1, "type": "content_block_stop"})
    ]


def test_a_message_without_metrics_is_the_same_bytes() -> None:
    raw = b'{"type":"message", "id":"msg_bdrk_1", "usage":{"input_tokens":1,"output_tokens":2}}'
    assert as_message(raw, {}) is raw


def test_a_message_loses_only_the_metrics() -> None:
    raw = b'{"type":"message","amazon-bedrock-invocationMetrics":{"inputTokenCount":1},"usage":{"input_tokens":1},"x":1.5}'
    assert as_message(raw, {}) == b'{"type":"message","usage":{"input_tokens":1},"x":1.5}'


def test_a_text_that_mentions_the_metrics_is_left_alone() -> None:
    raw = b'{"type":"message","content":[{"type":"text","text":"amazon-bedrock-invocationMetrics"}]}'
    assert as_message(raw, {}) is raw


def test_counts_that_only_the_metrics_or_the_headers_have_are_merged_into_a_message() -> None:
    metrics = {"cacheReadInputTokenCount": 70, "outputTokenCount": 9}
    raw = json.dumps({"type": "message", "usage": {"output_tokens": 0}, "amazon-bedrock-invocationMetrics": metrics}).encode()
    merged = as_message(raw, {"x-amzn-bedrock-input-token-count": "3", "x-amzn-bedrock-cache-write-input-token-count": "5"})
    counted = {"input_tokens": 3, "cache_creation_input_tokens": 5, "output_tokens": 9, "cache_read_input_tokens": 70}
    assert json.loads(merged or b"") == {"type": "message", "usage": counted}
    assert metered(merged or b"", JsonMeter()) == Usage(3, 9, 5, 0, 70)


def test_what_a_message_says_itself_is_not_replaced_by_a_header() -> None:
    raw = json.dumps({"type": "message", "usage": {**FULL_USAGE, "cache_creation_input_tokens": 0}}).encode()
    assert as_message(raw, {"x-amzn-bedrock-input-token-count": "4", "x-amzn-bedrock-output-token-count": "x"}) is raw


@pytest.mark.parametrize(
    "raw", [b'{"Output":{"__type":"UnknownOperationException"}}', b"<html>", b"", b"[]", b'{"type":"error"}']
)
def test_a_200_that_holds_no_message_is_told_apart(raw: bytes) -> None:
    assert as_message(raw, {}) is None
