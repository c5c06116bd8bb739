"""Event-stream bytes become Anthropic's server-sent events, however they are cut and whatever is wrong with them."""

from __future__ import annotations

import json
from base64 import b64encode
from binascii import crc32
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.types import Usage
from proxy_app.bedrock.errors import BedrockFault, Kind
from proxy_app.bedrock.wire import PING, FrameDecoder, StreamTranslator, WireError, as_message
from proxy_app.meter import JsonMeter, StreamMeter

Make = Callable[..., bytes]
FULL_USAGE = {"input_tokens": 3, "cache_creation_input_tokens": 5, "cache_read_input_tokens": 7, "output_tokens": 1}
START = {"type": "message_start", "message": {"id": "msg_bdrk_1", "model": "claude-x", "usage": FULL_USAGE, "odd": 1.50}}
DELTA = b'{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"caf\xc3\xa9 \\u2028"},"new":1}'
END = {"type": "message_delta", "delta": {"stop_reason": "end_turn", "extra": [1]}, "usage": {"output_tokens": 9}}
STOP = {
    "type": "message_stop",
    "amazon-bedrock-invocationMetrics": {"inputTokenCount": 3, "outputTokenCount": 9, "cacheReadInputTokenCount": 7},
}


AWS_NAMES = ("inputTokenCount", "cacheWriteInputTokenCount", "cacheReadInputTokenCount", "outputTokenCount")


def metered(answer: bytes, meter: StreamMeter | JsonMeter | None = None) -> Usage:
    """What the ledger would hold of these bytes."""
    meter = meter or StreamMeter()
    meter.feed(answer)
    meter.finish()
    return meter.usage


def events(stream: bytes) -> list[tuple[str, Any]]:
    lines = [part.split(b"\n") for part in stream.split(b"\n\n") if part]
    return [(name.decode().removeprefix("event: "), json.loads(body.removeprefix(b"data: "))) for name, body in lines]


def translate(*pieces: bytes) -> bytes:
    translator = StreamTranslator()
    return b"".join(translator.feed(piece) for piece in pieces) + translator.finish()


@pytest.fixture(scope="module")
def stream(chunk: Make) -> bytes:
    return b"".join(chunk(event) for event in (START, DELTA, END, STOP))


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


def test_frames_of_other_kinds_are_passed_over(frame: Make, chunk: Make) -> None:
    assert translate(frame(b"{}", message_type="event", event_type="initial-response"), chunk(DELTA)).count(b"event:") == 1


def test_an_exception_as_first_frame_says_so(frame: Make) -> None:
    with pytest.raises(BedrockFault) as caught:
        translate(frame(b'{"message":"Too many requests"}', message_type="exception", exception_type="throttlingException"))
    assert (caught.value.kind, caught.value.first_frame, caught.value.before) == (Kind.THROTTLED, True, b"")
    assert (caught.value.status, caught.value.error_type) == (429, "rate_limit_error")


def test_an_exception_in_mid_stream_keeps_what_came_before_it(frame: Make, chunk: Make) -> None:
    bad = frame(b'{"message":"slow down"}', message_type="exception", exception_type="throttlingException")
    with pytest.raises(BedrockFault) as caught:
        translate(chunk(START) + chunk(DELTA) + chunk(END) + bad)
    assert [name for name, _ in events(caught.value.before)] == ["message_start", "ping", "content_block_delta", "message_delta"]
    assert (caught.value.first_frame, caught.value.error_type) == (False, "overloaded_error")


@pytest.mark.parametrize(
    "headers",
    [
        {"message_type": "event", "event_type": "internalServerException"},
        {"message_type": "error", "error_code": "InternalServerException", "error_message": "oops"},
    ],
)
def test_an_exception_is_recognised_in_every_guise(frame: Make, headers: dict[str, str]) -> None:
    with pytest.raises(BedrockFault) as caught:
        translate(frame(b"", **headers))
    assert caught.value.kind is Kind.INTERNAL


def test_an_error_event_inside_a_chunk_is_a_fault(chunk: Make) -> None:
    with pytest.raises(BedrockFault) as caught:
        translate(chunk({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}))
    assert (caught.value.status, caught.value.message) == (529, "Overloaded")


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{}",
        b"[1]",
        b'{"bytes":1}',
        b'{"bytes":"!"}',
        *(b'{"bytes":"%b"}' % b64encode(raw) for raw in (b"[]", b'{"type":"a b"}', b'{"x":1}')),
    ],
)
def test_a_chunk_without_an_event_is_a_wire_error(frame: Make, chunk: Make, payload: bytes) -> None:
    bad = frame(payload, message_type="event", event_type="chunk")
    with pytest.raises(WireError) as caught:
        translate(chunk(DELTA) + bad)
    assert caught.value.before.startswith(b"event: content_block_delta")


def test_json_instead_of_frames_is_a_wire_error() -> None:
    with pytest.raises(WireError):
        translate(b'{"message":"The security token included in the request is invalid"}')


def test_a_decoder_that_failed_goes_on_failing(chunk: Make) -> None:
    decoder = FrameDecoder()
    with pytest.raises(WireError):
        decoder.feed(b"\0" * 16)
    with pytest.raises(WireError):
        decoder.feed(chunk(DELTA))
    with pytest.raises(WireError):
        decoder.finish()


@settings(max_examples=60, deadline=None)
@given(cuts=st.lists(st.integers(0, 2000), max_size=12))
def test_any_split_gives_the_same_bytes(stream: bytes, cuts: list[int]) -> None:
    at = [0, *sorted(cut % len(stream) for cut in cuts), len(stream)]
    pieces = [stream[start:end] for start, end in pairwise(at)]
    assert translate(*pieces) == translate(stream)


@settings(max_examples=60, deadline=None)
@given(cut=st.integers(1, 5000))
def test_a_stream_cut_short_gives_its_events_so_far_and_one_error(stream: bytes, chunk: Make, cut: int) -> None:
    kept = stream[: cut % len(stream)]
    translator = StreamTranslator()
    out = translator.feed(kept)
    whole = kept in (b"", chunk(START), chunk(START) + chunk(DELTA), chunk(START) + chunk(DELTA) + chunk(END))
    try:
        out += translator.finish()
    except WireError as error:
        assert not whole
        out += error.before
    else:
        assert whole
    assert translate(stream).startswith(out)


@settings(max_examples=200, deadline=None)
@given(place=st.integers(0, 5000), changed=st.integers(1, 255), cut=st.integers(0, 5000))
def test_a_changed_byte_gives_the_events_before_it_and_one_error(stream: bytes, place: int, changed: int, cut: int) -> None:
    damaged = bytearray(stream)
    damaged[place % len(stream)] ^= changed
    translator, at = StreamTranslator(), cut % len(stream)
    told: list[bytes] = []
    with pytest.raises(WireError) as caught:
        told.extend(translator.feed(bytes(piece)) for piece in (damaged[:at], damaged[at:], b"\xff" * 16))
    assert translate(stream).startswith(b"".join(told) + caught.value.before)


@settings(max_examples=150, deadline=None)
@given(noise=st.binary(max_size=400))
def test_no_bytes_crash_the_decoder(noise: bytes) -> None:
    decoder = FrameDecoder()
    try:
        assert decoder.feed(noise) == []
        decoder.finish()
    except WireError:
        return
    assert noise == b""


@pytest.mark.parametrize(("total", "head"), [(0, 0), (12, 0), (16, 40), (40, 2**31), (2**31, 0)])
def test_a_frame_that_lies_about_its_length_is_a_wire_error(frame: Make, total: int, head: int) -> None:
    lengths = total.to_bytes(4) + head.to_bytes(4)
    lie = lengths + crc32(lengths).to_bytes(4) + frame(b"x" * 24)[12:]
    with pytest.raises(WireError):
        translate(lie)


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
