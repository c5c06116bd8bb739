"""Frames that are no events, exceptions, damage and lies: what came before stays, and one error says so."""

from __future__ import annotations

from base64 import b64encode
from binascii import crc32
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy_app.bedrock.errors import BedrockFault, Kind
from proxy_app.bedrock.wire import FrameDecoder, StreamTranslator, WireError
from tests.proxy_app.bedrock.wire_bytes import DELTA, END, START, Make, events, translate
from tests.proxy_app.bedrock.wire_bytes import stream as stream


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
