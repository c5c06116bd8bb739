"""A request that a careful origin refuses is refused, and the rest is read as it was written."""

from __future__ import annotations

import pytest

from sandbox.http import BadRequest, parse_head, read_body


class Bytes:
    """A source that ends where its bytes end."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    def read_until(self, mark: bytes, limit: int) -> bytes:
        return self.read_exactly(self.content.index(mark) + len(mark))

    def read_exactly(self, size: int) -> bytes:
        taken, self.content = self.content[:size], self.content[size:]
        assert len(taken) == size
        return taken


def test_headers_keep_order_case_and_repetition() -> None:
    head = parse_head(b"GET /%41?b HTTP/1.1\r\nHost: x\r\nX-A: 1\r\nx-a:  2 \r\n\r\n")
    assert head.target == "/%41?b"
    assert head.headers == (("Host", "x"), ("X-A", "1"), ("x-a", "2"))
    assert head.fields["x-a"] == "1"


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/2.0\r\nHost: x\r\n\r\n",
        b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nA b: c\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n folded\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nA: b\nC: d\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
)
def test_a_head_that_could_be_read_in_two_ways_is_refused(head: bytes) -> None:
    with pytest.raises(BadRequest):
        parse_head(head)


def test_a_chunked_body_is_put_together() -> None:
    head = parse_head(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert read_body(head, Bytes(b"3;ext=1\r\nabc\r\n1\r\nd\r\n0\r\nTrailer: x\r\n\r\n")) == b"abcd"


@pytest.mark.parametrize("body", [b"x\r\nabc\r\n0\r\n\r\n", b"3\r\nabcX\n0\r\n\r\n", b"-1\r\n\r\n"])
def test_a_malformed_chunk_is_refused(body: bytes) -> None:
    head = parse_head(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    with pytest.raises(BadRequest):
        read_body(head, Bytes(body))


@pytest.mark.parametrize("length", ["-1", "1x", "+1", "99999999999"])
def test_a_length_that_is_no_plain_number_is_refused(length: str) -> None:
    head = parse_head(f"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode())
    with pytest.raises(BadRequest):
        read_body(head, Bytes(b"x"))


@pytest.mark.parametrize(
    ("lines", "kept"),
    [("HTTP/1.1\r\n", True), ("HTTP/1.1\r\nConnection: Close\r\n", False), ("HTTP/1.0\r\n", False)],
)
def test_a_connection_is_kept_unless_the_request_says_otherwise(lines: str, kept: bool) -> None:
    assert parse_head(f"GET / {lines}Host: x\r\n\r\n".encode()).keep_alive is kept
