"""A record survives its way through a file, between releases, too."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.record import RequestRecord

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
RECORDS = st.builds(
    RequestRecord,
    TEXT.filter(bool),
    st.floats(0, 4e9),
    TEXT,
    TEXT,
    trace=TEXT,
    streamed=st.booleans(),
    cost_micros=st.integers(0, 2**62),
    total_ms=st.floats(0, 1e9),
)


@given(RECORDS)
def test_what_is_written_is_read_back(record: RequestRecord) -> None:
    assert RequestRecord.from_json(record.to_json()) == record


@given(RECORDS)
def test_a_record_is_one_line(record: RequestRecord) -> None:
    assert b"\n" not in record.to_json() and b"\r" not in record.to_json()


def test_a_line_of_an_older_release_takes_the_defaults() -> None:
    record = RequestRecord.from_json(b'{"request_id":"r","started_at":1.5,"user_id":"u","access_key_id":"k"}')
    assert record == RequestRecord("r", 1.5, "u", "k")


def test_what_a_newer_release_adds_is_ignored() -> None:
    line = orjson.dumps(orjson.loads(RequestRecord("r", 1.5, "u", "k").to_json()) | {"mood": "good"})
    assert RequestRecord.from_json(line) == RequestRecord("r", 1.5, "u", "k")


@pytest.mark.parametrize("line", [b"{", b"[]", b"7", b'{"request_id":"r"}', b"\xff", b'{"request_id":7}', b'{"request_id":""}'])
def test_a_line_that_is_no_record_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match=r"line 1|object|missing|request id"):
        RequestRecord.from_json(line)
