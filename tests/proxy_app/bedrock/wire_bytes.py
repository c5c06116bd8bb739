"""Event streams as bytes, and what became of them: what the tests of the wire begin with."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from proxy_app.bedrock.wire import StreamTranslator

Make = Callable[..., bytes]
FULL_USAGE = {"input_tokens": 3, "cache_creation_input_tokens": 5, "cache_read_input_tokens": 7, "output_tokens": 1}
START = {"type": "message_start", "message": {"id": "msg_bdrk_1", "model": "claude-x", "usage": FULL_USAGE, "odd": 1.50}}
DELTA = b'{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"caf\xc3\xa9 \\u2028"},"new":1}'
END = {"type": "message_delta", "delta": {"stop_reason": "end_turn", "extra": [1]}, "usage": {"output_tokens": 9}}
STOP = {
    "type": "message_stop",
    "amazon-bedrock-invocationMetrics": {"inputTokenCount": 3, "outputTokenCount": 9, "cacheReadInputTokenCount": 7},
}


def events(stream: bytes) -> list[tuple[str, Any]]:
    lines = [part.split(b"\n") for part in stream.split(b"\n\n") if part]
    return [(name.decode().removeprefix("event: "), json.loads(body.removeprefix(b"data: "))) for name, body in lines]


def translate(*pieces: bytes) -> bytes:
    translator = StreamTranslator()
    return b"".join(translator.feed(piece) for piece in pieces) + translator.finish()


@pytest.fixture(scope="module")
def stream(chunk: Make) -> bytes:
    return b"".join(chunk(event) for event in (START, DELTA, END, STOP))
