"""The first event of a stream is found however its lines end, and what is no stream is refused early."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy_app.sse import MOST_BYTES_BEFORE_AN_EVENT, FirstEvent, NotSse, error_event, first_event

START = b'event: message_start\ndata: {"type":"message_start"}\n\n'


def test_the_first_event_is_read_with_its_name_and_its_data() -> None:
    assert first_event(START + b"event: ping\ndata: {}\n\n") == FirstEvent("message_start", b'{"type":"message_start"}')


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
def test_every_line_end_of_the_standard_is_understood(line_end: bytes) -> None:
    assert first_event(START.replace(b"\n", line_end)) == first_event(START)


@pytest.mark.parametrize("length", range(len(START)))
def test_an_event_is_not_there_before_its_empty_line(length: int) -> None:
    assert first_event(START[:length]) is None


@pytest.mark.parametrize("length", range(len(START) + 3))
def test_a_byte_order_mark_is_skipped_even_when_it_comes_in_pieces(length: int) -> None:
    whole = b"\xef\xbb\xbf" + START
    assert first_event(whole[:length]) is None
    assert first_event(whole) == first_event(START)


def test_comments_empty_lines_and_events_without_data_come_before_the_first_event() -> None:
    assert first_event(b"\n\n: keep-alive\n\nevent: nothing\n\nid: 7\nretry: 10\n\n" + START) == first_event(START)


def test_an_event_name_does_not_outlive_its_block() -> None:
    assert first_event(b"event: nothing\n\ndata: plain\n\n") == FirstEvent("message", b"plain")


def test_data_over_several_lines_is_joined() -> None:
    assert first_event(b'event: x\ndata: {"a":\ndata:1}\n\n') == FirstEvent("x", b'{"a":\n1}')


def test_an_event_without_a_name_is_named_by_its_json() -> None:
    event = first_event(b'data: {"type":"error","error":{}}\n\n')
    assert event is not None and event.name == "error"


@pytest.mark.parametrize("payload", [b"[DONE]", b"[1]", b'{"type":7}', b"{}"])
def test_data_that_names_nothing_is_a_plain_message(payload: bytes) -> None:
    assert first_event(b"data: " + payload + b"\n\n") == FirstEvent("message", payload)


@pytest.mark.parametrize(
    "body",
    [b"<html>", b"{", b"<", b'{"type":"error"}\n\n', b"\n <x", b"\x1f\x8b\x08", b"Bad", b"events: x", b"database\n", b"e\n"],
)
def test_what_cannot_be_a_stream_is_refused_at_its_first_bytes(body: bytes) -> None:
    with pytest.raises(NotSse):
        first_event(body)


@pytest.mark.parametrize(
    "body", [b"", b"e", b"event", b"event:", b"data", b"data\n", b"i", b"ret", b":", b"\r", b"\xef", b"\xef\xbb\xbf"]
)
def test_what_may_still_become_a_stream_is_waited_for(body: bytes) -> None:
    assert first_event(body) is None


def test_comments_without_end_are_refused() -> None:
    comments = b": x\n" * (MOST_BYTES_BEFORE_AN_EVENT // 4)
    assert first_event(comments[:-1]) is None
    with pytest.raises(NotSse):
        first_event(comments)


@given(st.binary(max_size=60).map(lambda tail: b"event: e\n" + tail), st.binary(max_size=10))
def test_more_bytes_never_change_an_event_that_was_found(buffer: bytes, more: bytes) -> None:
    found = first_event(buffer)
    assert found is None or first_event(buffer + more) == found


def test_our_error_event_is_one_whole_event_in_anthropics_shape() -> None:
    block = error_event("overloaded_error", 'line\nbreak "quoted"', "req_1")
    event = first_event(block)
    assert event is not None and event.name == "error" and block.count(b"\n\n") == 1
    assert json.loads(event.data) == {
        "type": "error",
        "error": {"type": "overloaded_error", "message": 'line\nbreak "quoted"'},
        "request_id": "req_1",
    }


def test_an_error_event_without_a_request_id_has_no_such_field() -> None:
    assert b"request_id" not in error_event("api_error", "x")
