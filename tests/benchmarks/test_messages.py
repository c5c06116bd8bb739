import base64
import json

import pytest
from botocore.eventstream import EventStreamBuffer

from benchmarks import messages
from benchmarks.answer import Answer
from proxy_app.meter import StreamMeter
from proxy_app.sse import first_event


@pytest.mark.parametrize("size", [2_048, 102_400])
@pytest.mark.parametrize("streamed", [True, False])
def test_a_request_body_is_a_conversation_of_exactly_the_size_asked_for(size: int, streamed: bool) -> None:
    content = messages.body_bytes(size, streamed=streamed)

    body = json.loads(content)
    assert len(content) == size
    assert body["stream"] is streamed
    assert [turn["role"] for turn in body["messages"]] == ["user", "assistant"] * (len(body["messages"]) // 2) + ["user"]


def test_the_product_finds_first_event_usage_and_end_in_a_streamed_answer() -> None:
    wire = messages.stream_opening() + messages.stream_delta(10**12) + messages.stream_end(7)
    body = _unchunked(wire)
    meter = StreamMeter()

    meter.feed(body)
    meter.finish()

    first = first_event(body)
    assert first is not None
    assert first.name == "message_start"
    assert meter.ended
    assert (meter.usage.input_tokens, meter.usage.output_tokens, meter.usage.cache_read_tokens) == (1200, 7, 24000)


def test_botocore_reads_the_frames_of_the_bedrock_answer() -> None:
    buffer = EventStreamBuffer()

    buffer.add_data(_unchunked(messages.bedrock_stream_answer()))

    events = [json.loads(base64.b64decode(json.loads(frame.payload)["bytes"]))["type"] for frame in buffer]
    assert events[0] == "message_start"
    assert events.count("content_block_delta") == messages.BEDROCK_EVENTS
    assert events[-1] == "message_stop"


@pytest.mark.parametrize("whole", [messages.json_answer(), messages.plan_refusal(), messages.bedrock_json_answer()])
def test_a_json_answer_is_as_long_as_it_says(whole: bytes) -> None:
    one_byte_short, exact = Answer(), Answer()

    one_byte_short.feed(whole[:-1], 0)
    exact.feed(whole, 0)

    assert (one_byte_short.complete, exact.complete) == (False, True)


def _unchunked(wire: bytes) -> bytes:
    rest = wire.partition(b"\r\n\r\n")[2]
    body = b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        body += rest[: int(size, 16)]
        rest = rest[int(size, 16) + 2 :]
    return body
