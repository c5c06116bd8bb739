"""The Bedrock provider against a real socket: whatever happens to the bytes of a stream, the client gets the events that were
whole and then the end or one clean break; never a wrong event, a crash or a wait.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy_app.call import StreamBroken
from proxy_app.circuits import Circuits
from proxy_app.faults import UpstreamError
from proxy_app.http_pool import HttpPool
from proxy_app.lesson_book import LessonBook
from proxy_app.providers.bedrock import BedrockProvider
from proxy_app.providers.bedrock_attempt import Knowledge
from proxy_app.providers.bedrock_wire import BedrockEndpoint, BedrockLimits
from sandbox.frames import chunk_frame
from tests.live.bare import Played, RawUpstream, Seen
from tests.proxy_app.bedrock_world import CATALOGUE, NOON
from tests.proxy_app.scripted import Clock, call

USAGE = {"input_tokens": 3, "output_tokens": 1, "cache_creation_input_tokens": 5, "cache_read_input_tokens": 7}
THOUGHT = {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "h\u00e4 \u2028"}}
INPUT = {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": '{"a'}}
EVENTS = [
    {"type": "message_start", "message": {"id": "msg_bdrk_1", "usage": USAGE}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": "", "signature": ""}},
    THOUGHT,
    {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "bedrock-x.y.z"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "content_block_start", "index": 1, "content_block": {"type": "tool_use", "id": "toolu_bdrk_1", "input": {}}},
    INPUT,
    {"type": "vendor.unheard-of", "index": 1, "x": [1.5]},
    {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 9}},
    {"type": "message_stop", "amazon-bedrock-invocationMetrics": {"inputTokenCount": 3, "outputTokenCount": 9}},
]
FRAMES = [chunk_frame(orjson.dumps(event), at) for at, event in enumerate(EVENTS)]
STREAM = b"".join(FRAMES)
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/vnd.amazon.eventstream\r\nconnection: close\r\n\r\n"


@dataclass
class Wire:
    """What the upstream will play, and the provider that reads it."""

    pieces: list[bytes] = field(default_factory=list)

    def played(self, seen: Seen) -> Played:
        return Played([HEAD, *self.pieces], "fin")

    def read(self, *pieces: bytes) -> tuple[bytes, bool]:
        """What the client gets of an answer made of these pieces, and whether it broke off."""
        self.pieces = list(pieces)
        told: list[bytes] = []
        try:
            body = self.provider.open(call(Clock())).body
            told.extend(body)
        except (StreamBroken, UpstreamError):
            return b"".join(told), True
        finally:
            self.pool.close()
        return b"".join(told), False

    def connect(self, url: str) -> None:
        self.url = url

    @property
    def provider(self) -> BedrockProvider:
        """A new one each time, so that no circuit remembers the damage."""
        self.pool = HttpPool(5.0, time.monotonic)
        circuits = Circuits(clock=time.monotonic, wall=lambda: NOON, digest_key=b"digest")
        limits = BedrockLimits(first_byte_s=5.0, response_s=5.0, silence_s=5.0, ping_s=15.0)
        clocks = (time.monotonic, lambda: NOON)
        known = Knowledge(CATALOGUE, LessonBook(lambda: 0.0, 86_400.0))
        return BedrockProvider(BedrockEndpoint(self.pool, self.url), known, circuits, limits, clocks, lambda _: None)


@pytest.fixture(scope="module")
def wire() -> Iterator[Wire]:
    wire = Wire()
    with RawUpstream(wire.played) as upstream:
        wire.connect(upstream.url)
        yield wire


@pytest.fixture(scope="module")
def whole(wire: Wire) -> bytes:
    """The undamaged answer."""
    answer, is_broken = wire.read(STREAM)
    assert not is_broken
    names = re.findall(r"^event: (.+)$", answer.decode(), re.MULTILINE)
    assert names == ["message_start", "ping", *(str(event["type"]) for event in EVENTS[1:])]
    return answer


def is_cut_at_an_event(answer: bytes) -> bool:
    return answer == b"" or answer.endswith(b"\n\n")


@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(1, len(STREAM) - 1), max_size=8))
def test_any_split_of_the_bytes_gives_the_same_answer(wire: Wire, whole: bytes, cuts: list[int]) -> None:
    at = [0, *sorted(cuts), len(STREAM)]
    assert wire.read(*(STREAM[start:end] for start, end in pairwise(at))) == (whole, False)


@settings(max_examples=25, deadline=None)
@given(kept=st.integers(0, len(STREAM) - 1))
def test_any_truncation_gives_the_events_before_it_and_one_break(wire: Wire, whole: bytes, kept: int) -> None:
    answer, is_broken = wire.read(STREAM[:kept])
    assert (is_broken, is_cut_at_an_event(answer)) == (True, True)
    assert whole.startswith(answer)


@settings(max_examples=25, deadline=None)
@given(place=st.integers(0, len(STREAM) - 1), changed=st.integers(1, 255), cut=st.integers(1, len(STREAM) - 1))
def test_any_flipped_byte_gives_the_events_before_it_and_one_break(
    wire: Wire, whole: bytes, place: int, changed: int, cut: int
) -> None:
    damaged = bytearray(STREAM)
    damaged[place] ^= changed
    answer, is_broken = wire.read(bytes(damaged[:cut]), bytes(damaged[cut:]))
    assert (is_broken, is_cut_at_an_event(answer)) == (True, True)
    assert whole.startswith(answer)
