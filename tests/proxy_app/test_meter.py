"""Usage is counted as the bytes pass, the same whatever the split, and never by more memory than its bounds."""

from __future__ import annotations

import gzip
import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.types import Confidence, Usage
from proxy_app.meter import MOST_EVENT_BYTES, MOST_JSON_BYTES, JsonMeter, StreamMeter, meter_for


def event(name: str, payload: dict[str, Any], *, named: bool = True) -> bytes:
    line = f"event: {name}\n" if named else ""
    return f"{line}data: {json.dumps({'type': name} | payload)}\n\n".encode()


def start(**usage: Any) -> bytes:
    return event("message_start", {"message": {"model": "claude-opus-5", "usage": usage}})


def text(words: str) -> bytes:
    return event("content_block_delta", {"index": 0, "delta": {"type": "text_delta", "text": words}})


def delta(**usage: Any) -> bytes:
    return event("message_delta", {"delta": {"stop_reason": "end_turn"}, "usage": usage})


STOP = event("message_stop", {})
START = start(input_tokens=10, output_tokens=1, cache_creation_input_tokens=5, cache_read_input_tokens=7)
STREAM = START + event("ping", {}) + text("an error in message_delta") + text("x" * 300) + delta(output_tokens=42) + STOP


def metered(*chunks: bytes) -> StreamMeter:
    meter = StreamMeter()
    for chunk in chunks:
        meter.feed(chunk)
    meter.finish()
    return meter


def seen(meter: StreamMeter) -> tuple[object, ...]:
    return meter.usage, meter.model, meter.ended, meter.stopped, meter.error_type, meter.confidence


def test_counts_of_start_and_delta_are_merged() -> None:
    assert seen(metered(STREAM)) == (Usage(10, 42, 5, 0, 7), "claude-opus-5", True, True, "", Confidence.EXACT)


def test_the_end_is_known_as_soon_as_its_bytes_have_passed() -> None:
    meter = StreamMeter()
    meter.feed(START + delta(output_tokens=2))
    assert meter.stopped and not meter.ended
    meter.feed(STOP)
    assert meter.ended


@settings(max_examples=150)
@given(st.lists(st.integers(0, len(STREAM)), max_size=25), st.sampled_from([b"\n", b"\r\n", b"\r"]), st.booleans())
def test_any_split_of_the_bytes_counts_the_same(cuts: list[int], line_end: bytes, named: bool) -> None:
    stream = STREAM if named else b"".join(line + b"\n\n" for line in STREAM.split(b"\n") if line.startswith(b"data"))
    stream = stream.replace(b"\n", line_end)
    edges = [0, *sorted(cut for cut in cuts if cut < len(stream)), len(stream)]
    chunks = [stream[begin:end] for begin, end in pairwise(edges)]
    assert seen(metered(*chunks)) == seen(metered(STREAM))


PIECES = st.binary(max_size=40) | st.sampled_from([b"\n\n", START, b"event: error\ndata: ", b"message_delta"])


@given(st.lists(PIECES, max_size=12))
def test_no_bytes_make_it_fail_and_their_split_does_not_matter(chunks: list[bytes]) -> None:
    whole = b"".join(chunks)
    assert seen(metered(*chunks)) == seen(metered(whole)) == seen(metered(*(bytes([b]) for b in whole)))


def test_a_stream_cut_short_is_partial_and_keeps_what_was_seen() -> None:
    meter = metered(START + text("half an answer"))
    assert (meter.usage, meter.confidence) == (Usage(10, 1, 5, 0, 7), Confidence.PARTIAL)


def test_the_last_event_counts_without_its_empty_line() -> None:
    assert seen(metered(STREAM.rstrip(b"\n"))) == seen(metered(STREAM))


def test_an_error_event_leaves_its_type() -> None:
    meter = metered(START + event("error", {"error": {"type": "overloaded_error", "message": "x"}}))
    assert (meter.error_type, meter.confidence) == ("overloaded_error", Confidence.PARTIAL)


def test_prose_about_events_is_not_an_event() -> None:
    meter = metered(text('event: message_stop and "type":"message_stop" and "type":"error"'))
    assert seen(meter) == seen(StreamMeter())


def test_cache_writes_are_split_by_their_time_to_live_when_it_is_named() -> None:
    split = {"ephemeral_5m_input_tokens": 30, "ephemeral_1h_input_tokens": 70}
    usage = metered(start(cache_creation_input_tokens=100, cache_creation=split), delta(cache_creation_input_tokens=100)).usage
    assert (usage.cache_write_5m_tokens, usage.cache_write_1h_tokens) == (30, 70)


def test_usage_that_only_the_last_event_carries_counts_too() -> None:
    last = event("message_stop", {"usage": {"cache_read_input_tokens": 9}})
    assert metered(start(input_tokens=3), last).usage == Usage(3, 0, 0, 0, 9)


@pytest.mark.parametrize("count", [None, -1, 1.5, "7", True, 10**15, [], {}])
def test_a_count_that_is_no_count_is_ignored(count: object) -> None:
    assert metered(start(input_tokens=count, output_tokens=4)).usage == Usage(0, 4)


@pytest.mark.parametrize("piece", [1400, 65536, 10**9])
def test_an_event_over_the_bound_is_passed_over_and_the_rest_still_counts(piece: int) -> None:
    long = event("message_delta", {"usage": {"output_tokens": 9}, "pad": "x" * MOST_EVENT_BYTES})
    stream = START + long + delta(output_tokens=5) + STOP
    meter = StreamMeter()
    for begin in range(0, len(stream), piece):
        meter.feed(stream[begin : begin + piece])
        assert len(meter._held) <= MOST_EVENT_BYTES + 1
    assert (meter.usage.output_tokens, meter.ended, meter.confidence) == (5, True, Confidence.PARTIAL)


@pytest.mark.parametrize("piece", [1400, 10**9])
def test_a_long_event_that_says_nothing_of_usage_costs_no_confidence(piece: int) -> None:
    stream = START + text("x" * (2 * MOST_EVENT_BYTES)) + delta(output_tokens=5) + STOP
    meter = metered(*(stream[begin : begin + piece] for begin in range(0, len(stream), piece)))
    assert (meter.usage.output_tokens, meter.confidence) == (5, Confidence.EXACT)


def test_a_compressed_stream_is_partial_and_nothing_else() -> None:
    assert seen(metered(gzip.compress(STREAM))) == seen(StreamMeter())


ANSWER = {"type": "message", "model": "claude-haiku-4-5", "usage": {"input_tokens": 3, "output_tokens": 4}}


def test_an_answer_that_is_not_streamed_is_read_when_it_is_complete() -> None:
    meter = JsonMeter()
    for byte in json.dumps(ANSWER).encode():
        meter.feed(bytes([byte]))
    meter.finish()
    assert (meter.usage, meter.model, meter.confidence) == (Usage(3, 4), "claude-haiku-4-5", Confidence.EXACT)


def test_an_error_answer_leaves_its_type() -> None:
    meter = meter_for(streamed=True, status=429)
    meter.feed(b'{"type":"error","error":{"type":"rate_limit_error"}}')
    meter.finish()
    assert meter.error_type == "rate_limit_error"


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]", json.dumps(ANSWER).encode()[:-3], gzip.compress(b"{}", mtime=0)])
def test_a_body_that_is_no_whole_document_is_partial(body: bytes) -> None:
    meter = JsonMeter()
    meter.feed(body)
    meter.finish()
    assert (meter.usage, meter.confidence) == (Usage(), Confidence.PARTIAL)


def test_a_body_over_the_bound_is_let_go() -> None:
    meter = JsonMeter()
    meter.feed(b"[" + b" " * MOST_JSON_BYTES)
    meter.feed(b"]")
    assert not meter._chunks
    meter.finish()
    assert meter.confidence is Confidence.PARTIAL


def test_the_kind_of_answer_picks_the_meter() -> None:
    kinds = [type(meter_for(streamed, status)) for streamed, status in [(True, 200), (True, 500), (False, 200)]]
    assert kinds == [StreamMeter, JsonMeter, JsonMeter]
