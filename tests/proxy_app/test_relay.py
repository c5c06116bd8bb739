"""What the relay promises: the books before the last bytes, one well-formed end, and every byte as it came."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.types import Confidence, Grant, ProviderName, Strategy, Usage
from core.worker import AnswerAborted
from proxy_app.call import Asked, BytesBody, Call, Endpoint, Headers, Outcome, Reply, StreamBroken
from proxy_app.circuits import Pass
from proxy_app.faults import Fault
from proxy_app.gateway import Opened
from proxy_app.recorder import Recorder
from proxy_app.relay import Relay

START = b'event: message_start\ndata: {"type":"message_start","message":{"usage":{"input_tokens":7,"output_tokens":1}}}\n\n'
DELTA = b'event: content_block_delta\ndata: {"type":"content_block_delta","delta":{"text":"hi"}}\n\n'
USED = b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":9}}\n\n'
STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
WHOLE = b'{"type":"message","usage":{"input_tokens":3,"output_tokens":4}}'
ERROR = b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}\n\n'


@dataclass
class Line:
    """A lifeline that a test may cut."""

    gone: bool = False
    draining: bool = False
    closed: int = 0

    def pause(self, seconds: float) -> None: ...
    def hold(self, connection: Any) -> None: ...
    def release(self) -> None: ...
    def close(self) -> None:
        self.closed += 1


@dataclass
class Books:
    """Stands where the recorder does; every record is a copy of what was known at that moment."""

    records: list[tuple[Fault | None, Confidence, Usage, str]] = field(default_factory=list)
    begun: list[Usage] = field(default_factory=list)

    def begin(self, call: Call, outcome: Outcome, usage: Usage) -> None:
        assert not self.records
        self.begun.append(usage)

    def finish(self, call: Call, outcome: Outcome) -> None:
        self.records.append((outcome.fault, outcome.confidence, outcome.usage, outcome.error_type))


@dataclass
class Admission:
    told: list[str] = field(default_factory=list)

    def succeeded(self) -> None:
        self.told.append("succeeded")

    def failed(self, fault: Fault) -> None:
        self.told.append(f"failed {fault}")

    def neutral(self) -> None:
        self.told.append("neutral")

    def circuit(self) -> str:
        return "closed"


@dataclass
class Upstream:
    """A body of these chunks that may break at its end."""

    chunks: tuple[bytes, ...]
    breaks: StreamBroken | None = None
    closed: int = 0

    def __iter__(self) -> Iterator[bytes]:
        yield from self.chunks
        if self.breaks is not None:
            raise self.breaks

    def close(self) -> None:
        self.closed += 1


@dataclass
class Scene:
    """A relay between an upstream and a client, and all that it tells."""

    body: Any
    headers: Headers = ()
    streamed: bool = True
    provider: ProviderName | None = ProviderName.PLAN
    outcome: Outcome = field(default_factory=Outcome)
    line: Line = field(default_factory=Line)
    books: Books = field(default_factory=Books)
    admission: Admission = field(default_factory=Admission)

    def relay(self) -> Relay:
        grant = Grant("user_1", "key_1", Strategy.PLAN_FIRST)
        call = Call("req_1", grant, Endpoint.MESSAGES, "POST", "/v1/messages", (), b"", Asked(), self.line)
        reply = Reply(200, self.headers, self.body, self.provider, streamed=self.streamed)
        self.outcome.provider = self.provider
        opened = Opened(reply, self.outcome, cast(Pass, self.admission))
        return Relay(call, opened, cast(Recorder, self.books), lambda: 1.0)


def stream(*chunks: bytes, breaks: StreamBroken | None = None, **more: Any) -> Scene:
    return Scene(Upstream(chunks, breaks), **more)


def broken() -> StreamBroken:
    return StreamBroken(Fault.STREAM_BROKEN, "reset")


def test_a_stream_is_booked_before_its_last_event_leaves() -> None:
    scene = stream(START, DELTA, USED, STOP)
    booked_at = [(chunk, len(scene.books.records)) for chunk in scene.relay()]
    assert booked_at == [(START, 0), (DELTA, 0), (USED, 0), (STOP, 1)]
    assert scene.books.records == [(None, Confidence.EXACT, Usage(7, 9), "")]


@pytest.mark.parametrize("headers", [(("Content-Length", str(len(WHOLE))),), ()], ids=["by length", "chunked"])
def test_a_whole_answer_is_booked_before_the_client_can_know_that_it_is_complete(headers: Headers) -> None:
    scene = stream(WHOLE[:20], WHOLE[20:], headers=headers, streamed=False)
    relay = iter(scene.relay())
    next(relay)
    assert scene.books.records == []
    assert list(relay) == [WHOLE[20:]]
    assert scene.books.records == [(None, Confidence.EXACT, Usage(3, 4), "")]


def test_an_answer_is_noted_with_what_its_first_bytes_tell_before_they_leave() -> None:
    scene = stream(START, DELTA, USED, STOP)
    noted_at = [(chunk, list(scene.books.begun)) for chunk in scene.relay()]
    assert noted_at[0] == (START, [Usage(7, 1)]) and scene.books.begun == [Usage(7, 1)]


def test_an_answer_that_comes_in_one_piece_is_not_noted_first() -> None:
    scene = stream(START + DELTA + USED + STOP)
    list(scene.relay())
    assert (scene.books.begun, len(scene.books.records)) == ([], 1)


def test_closing_after_the_end_books_nothing_more() -> None:
    scene = stream(START, STOP)
    relay = scene.relay()
    list(relay)
    relay.close()
    relay.close()
    assert len(scene.books.records) == 1
    assert scene.admission.told == ["succeeded"]
    assert (scene.line.closed, scene.body.closed) == (2, 2)


def test_an_answer_that_was_never_asked_for_is_closed_and_booked_as_left() -> None:
    scene = stream(START, STOP)
    scene.relay().close()
    assert [record[:2] for record in scene.books.records] == [(Fault.CLIENT_GONE, Confidence.PARTIAL)]
    assert scene.admission.told == ["neutral"]
    assert scene.body.closed == 1


def test_who_leaves_in_the_middle_pays_what_was_seen() -> None:
    scene = stream(START, DELTA, USED, STOP)
    relay = scene.relay()
    next(iter(relay))
    relay.close()
    assert scene.books.records == [(Fault.CLIENT_GONE, Confidence.PARTIAL, Usage(7, 1), "")]


def test_a_stream_that_breaks_ends_with_one_error_event_of_its_own() -> None:
    scene = stream(START, DELTA, DELTA[:20], breaks=broken())
    text = b"".join(scene.relay())
    assert text.startswith(START + DELTA + b"\nevent: error\n")
    error = json.loads(text.rpartition(b"data: ")[2])
    assert (error["error"]["type"], error["request_id"]) == ("overloaded_error", "req_1")
    assert scene.books.records == [(Fault.STREAM_BROKEN, Confidence.PARTIAL, Usage(7, 1), "overloaded_error")]
    assert scene.admission.told == ["failed stream_broken"]


def test_a_drained_stream_says_that_the_server_restarts_and_blames_nobody() -> None:
    scene = stream(START, breaks=broken(), line=Line(draining=True))
    assert b"this server is restarting" in b"".join(scene.relay())
    assert scene.outcome.trace == ["drained"]
    assert scene.admission.told == ["neutral"]


@pytest.mark.parametrize("last", [STOP, ERROR], ids=["message_stop", "error"])
def test_nothing_is_added_to_a_stream_whose_last_word_has_passed(last: bytes) -> None:
    scene = stream(START, last, breaks=broken())
    assert b"".join(scene.relay()) == START + last
    assert len(scene.books.records) == 1


@pytest.mark.parametrize(
    ("headers", "streamed"),
    [
        pytest.param((("content-length", "63"),), False, id="whole"),
        pytest.param((("content-encoding", "gzip"),), True, id="gzip"),
    ],
)
def test_what_cannot_carry_an_error_event_is_cut(headers: Headers, streamed: bool) -> None:
    scene = stream(WHOLE[:20], breaks=broken(), headers=headers, streamed=streamed)
    with pytest.raises(AnswerAborted):
        list(scene.relay())
    assert [record[:2] for record in scene.books.records] == [(Fault.STREAM_BROKEN, Confidence.PARTIAL)]


def test_a_break_behind_a_client_that_has_gone_is_the_clients() -> None:
    scene = stream(START, breaks=broken(), line=Line(gone=True))
    with pytest.raises(AnswerAborted):
        list(scene.relay())
    assert [record[0] for record in scene.books.records] == [Fault.CLIENT_GONE]
    assert scene.admission.told == ["neutral"]


def test_a_stream_that_ends_early_but_in_good_order_is_left_alone_and_booked_as_broken() -> None:
    scene = stream(START, DELTA)
    assert b"".join(scene.relay()) == START + DELTA
    assert [record[:2] for record in scene.books.records] == [(Fault.STREAM_BROKEN, Confidence.PARTIAL)]
    assert scene.admission.told == ["failed stream_broken"]


@pytest.mark.parametrize(
    ("line", "fault"), [(Line(gone=True), Fault.CLIENT_GONE), (Line(draining=True), None)], ids=["gone", "drained"]
)
def test_what_was_cut_before_its_answer_began_is_partial(line: Line, fault: Fault | None) -> None:
    ours = BytesBody(b'{"type":"error","error":{"type":"overloaded_error"}}')
    scene = Scene(ours, streamed=False, provider=None, line=line, outcome=Outcome(fault=fault))
    list(scene.relay())
    assert [record[:2] for record in scene.books.records] == [(fault, Confidence.PARTIAL)]


def test_an_estimate_stays_one() -> None:
    counted = Scene(BytesBody(b'{"input_tokens":5}'), streamed=False, outcome=Outcome(confidence=Confidence.ESTIMATED))
    list(counted.relay())
    assert [record[1] for record in counted.books.records] == [Confidence.ESTIMATED]


@given(cuts=st.lists(st.integers(0, len(START + DELTA + USED + STOP)), max_size=8))
def test_however_a_stream_is_cut_up_every_byte_passes_in_whole_lines(cuts: list[int]) -> None:
    text = START + DELTA + USED + STOP
    bounds = [0, *sorted(cuts), len(text)]
    scene = stream(*(text[a:b] for a, b in pairwise(bounds) if a < b))
    sent = list(scene.relay())
    assert b"".join(sent) == text
    assert all(chunk.endswith(b"\n") for chunk in sent)
    assert scene.books.records == [(None, Confidence.EXACT, Usage(7, 9), "")]
