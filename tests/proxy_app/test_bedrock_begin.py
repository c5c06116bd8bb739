"""When a Bedrock stream has committed: with its first event in hand, even if what arrived together with it broke it."""

from __future__ import annotations

from typing import Any, cast

import orjson
import pytest

from proxy_app.bedrock.errors import BedrockFault
from proxy_app.bedrock.wire import StreamTranslator, WireError
from proxy_app.call import StreamBroken
from proxy_app.providers.bedrock_wire import BedrockBody, BedrockLimits, begin
from proxy_app.upstream_http import BodyBroken
from sandbox.frames import chunk_frame, exception_frame, with_wrong_checksum

USAGE = {"input_tokens": 7, "output_tokens": 1}
MESSAGE = {"id": "msg_bdrk_1", "type": "message", "role": "assistant", "content": [], "usage": USAGE}
START = chunk_frame(orjson.dumps({"type": "message_start", "message": MESSAGE}), 3)
EXCEPTION = exception_frame("throttlingException", b'{"message":"Too many requests"}')


class Arriving:
    """An answer that arrives in these pieces."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = list(pieces)

    def read(self, deadline: float) -> bytes:
        return self._pieces.pop(0) if self._pieces else b""

    def close(self) -> None:
        return None


def body_of(*pieces: bytes) -> BedrockBody:
    answer, translator = cast(Any, Arriving(*pieces)), StreamTranslator()
    limits = BedrockLimits(first_byte_s=1, response_s=1, silence_s=1, ping_s=1)
    return BedrockBody(answer, translator, begin(answer, translator, 1.0), limits, lambda: 0.0)


@pytest.mark.parametrize("pieces", [(START, EXCEPTION), (START + EXCEPTION,)], ids=["apart", "together"])
def test_an_exception_behind_the_first_event_breaks_a_stream_that_has_begun(pieces: tuple[bytes, ...]) -> None:
    events = iter(body_of(*pieces))
    assert next(events).startswith(b"event: message_start\n")
    with pytest.raises(StreamBroken) as broken:
        list(events)
    assert broken.value.error_type == "overloaded_error"


def test_a_bad_frame_that_came_with_the_first_event_breaks_a_stream_that_has_begun() -> None:
    events = iter(body_of(START + with_wrong_checksum(START)))
    assert next(events).startswith(b"event: message_start\n")
    with pytest.raises(StreamBroken):
        list(events)


@pytest.mark.parametrize(
    ("piece", "error"), [(EXCEPTION, BedrockFault), (with_wrong_checksum(START), WireError), (b"", BodyBroken)]
)
def test_without_a_first_event_nothing_has_begun(piece: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        body_of(piece)
