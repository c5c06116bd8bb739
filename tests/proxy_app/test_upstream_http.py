"""Promises of the answer's parser: any split of the bytes gives the same answer or one clean error, and nothing that is not
part of the answer ever becomes part of it."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy_app.upstream_http import AnswerParser, BodyBroken, NotHttp, Origin, UpstreamAnswer, UpstreamRequest

HEAD = b"HTTP/1.1 200 OK\r\n"
BY_LENGTH = HEAD + b"Content-Length: 2\r\n\r\nhi"
BY_CHUNKS = HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\nh\r\n1;ext=1\r\ni\r\n0\r\nX-Trailer: 1\r\n\r\n"
BY_CLOSE = HEAD + b"X-A: 1\r\n\r\nhi"
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
SURPLUS = b"HTTP/1.1 500 Second\r\nX-Second: 1\r\nContent-Length: 6\r\n\r\nsecond"

GOOD = [BY_LENGTH, BY_CHUNKS, BY_CLOSE, INTERIM + BY_LENGTH, INTERIM + BY_CHUNKS, HEAD + b"Content-Length: 0\r\n\r\n"]
GOOD += [b"HTTP/1.1 204 Gone quiet\r\n\r\n", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", BY_CHUNKS + SURPLUS]
GOOD += [
    BY_LENGTH + SURPLUS,
    BY_LENGTH + b"garbage",
    b"HTTP/1.0 200 OK\r\n\r\nhi",
    b"HTTP/1.1 999 \xe9\r\nA:\r\nB: \t x \t\r\n\r\n",
]

NO_HEAD = [
    b"garbage",
    b"<html>",
    b"HTTP/1.1 42 OK\r\n\r\n",
    b"HTTP/1.1 200 OK\nA: b\n\n",
    HEAD + b"A b: c\r\n\r\n",
    HEAD + b": x\r\n\r\n",
]
NO_HEAD += [HEAD + b"A: b\x00\r\n\r\n", HEAD + b"A: b\r\n c\r\n\r\n", HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nhi"]
NO_HEAD += [HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n", HEAD + b"Content-Length: -1\r\n\r\n"]
NO_HEAD += [HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", HEAD + b"Transfer-Encoding: gzip\r\n\r\nxx"]
NO_HEAD += [b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nxx", INTERIM + b"garbage"]

BROKEN_BODY = [
    HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhixx",
    HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\nz\r\n",
]

Result = tuple[int, str, tuple[tuple[str, str], ...], bytes, str]


class Wire:
    """A connection whose bytes are known in advance; at their end, the peer's end (or nothing more, for `endless`)."""

    def __init__(self, pieces: list[bytes]) -> None:
        self.socket = self
        self.pieces = pieces
        self.fate = ""

    def receive(self, deadline: float) -> bytes:
        return self.pieces.pop(0) if self.pieces else b""

    def give_back(self) -> None:
        self.fate += "given back"

    def drop(self) -> None:
        self.fate += "dropped"


def read(pieces: list[bytes]) -> tuple[Result, str]:
    """The answer, or the kind of its error, and what became of the connection."""
    parser, wire = AnswerParser(), Wire(pieces)
    try:
        while not parser.headers_complete:
            received = wire.receive(0)
            if not received:
                raise NotHttp
            parser.feed(received)
    except NotHttp:
        return (0, "", (), b"", "no answer"), ""
    answer, body = UpstreamAnswer(wire, parser), b""  # type: ignore[arg-type]
    try:
        while chunk := answer.read(0):
            body += chunk
    except BodyBroken:
        answer.close()
        return (answer.status, answer.reason, answer.headers, body, "broken"), wire.fate
    return (answer.status, answer.reason, answer.headers, body, ""), wire.fate


def cut(content: bytes, at: list[int]) -> list[bytes]:
    edges = sorted({0, len(content), *(each % (len(content) + 1) for each in at)})
    return [content[start:end] for start, end in pairwise(edges)]


@settings(max_examples=60, deadline=None)
@given(wire=st.sampled_from(GOOD + NO_HEAD + BROKEN_BODY), at=st.lists(st.integers(0, 10_000), max_size=30))
def test_any_split_of_an_answer_gives_the_same_answer_or_the_same_error(wire: bytes, at: list[int]) -> None:
    assert read(cut(wire, at))[0] == read([wire])[0] == read(cut(wire, list(range(len(wire)))))[0]


@settings(max_examples=150, deadline=None)
@given(
    wire=st.sampled_from(GOOD),
    noise=st.binary(max_size=20),
    where=st.integers(0, 200),
    at=st.lists(st.integers(0, 300), max_size=9),
)
def test_noise_in_an_answer_is_an_answer_or_one_clean_error_however_it_is_split(
    wire: bytes, noise: bytes, where: int, at: list[int]
) -> None:
    spoilt = wire[:where] + noise + wire[where:]
    assert read(cut(spoilt, at))[0] == read([spoilt])[0]


@pytest.mark.parametrize("wire", NO_HEAD)
def test_what_is_no_answer_is_refused_before_anything_is_committed(wire: bytes) -> None:
    assert read([wire])[0][4] == "no answer"


@pytest.mark.parametrize(("begun", "endless"), [(HEAD + b"A: ", b"x"), (HEAD, b"A: b\r\n"), (b"", INTERIM), (HEAD + b"x", b"y")])
def test_a_head_without_an_end_is_given_up(begun: bytes, endless: bytes) -> None:
    with pytest.raises(NotHttp):
        _feed_all([begun, *[endless * (1000 // len(endless))] * 400])


def _feed_all(pieces: list[bytes]) -> None:
    parser = AnswerParser()
    for piece in pieces:
        parser.feed(piece)


@pytest.mark.parametrize("wire", [BY_LENGTH, BY_CHUNKS, BY_CLOSE])
def test_every_framing_gives_the_same_body(wire: bytes) -> None:
    assert read([wire])[0][3:] == (b"hi", "")


@pytest.mark.parametrize("wire", [BY_LENGTH, BY_CHUNKS])
def test_an_answer_cut_anywhere_is_never_taken_for_whole(wire: bytes) -> None:
    ends = {read([wire[:length]])[0][4] for length in range(1, len(wire))}
    assert ends == {"no answer", "broken"}


@pytest.mark.parametrize("wire", BROKEN_BODY)
def test_what_was_good_before_a_body_broke_is_still_delivered(wire: bytes) -> None:
    (_, _, _, body, end), fate = read([wire])
    assert (body, end, fate) == (b"hi", "broken", "dropped")


@pytest.mark.parametrize("first", [BY_LENGTH, BY_CHUNKS])
def test_a_second_answer_behind_the_first_changes_nothing_and_ends_the_connection(first: bytes) -> None:
    (status, reason, headers, body, end), fate = read([first + SURPLUS])
    assert (status, reason, body, end, fate) == (200, "OK", b"hi", "", "dropped")
    assert "X-Second" not in dict(headers)


@pytest.mark.parametrize(
    ("wire", "fate"),
    [
        (BY_LENGTH, "given back"),
        (BY_CHUNKS, "given back"),
        (INTERIM + BY_LENGTH, "given back"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", "given back"),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", "given back"),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi", "given back"),
        (BY_CLOSE, "dropped"),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", "dropped"),
        (HEAD + b"Connection: x, Close\r\nContent-Length: 2\r\n\r\nhi", "dropped"),
        (BY_LENGTH + b"garbage", "dropped"),
    ],
)
def test_a_connection_is_used_again_exactly_when_its_answer_allows_it(wire: bytes, fate: str) -> None:
    assert read([wire])[1] == fate


def test_headers_keep_their_order_case_and_repetitions() -> None:
    answer = read([HEAD + b"X-B: 1\r\nx-b: 2\r\nA:\r\nX-B: \xe9 \t\r\nx_y: z\r\nContent-Length: 0\r\n\r\n"])[0]
    assert answer[2] == (("X-B", "1"), ("x-b", "2"), ("A", ""), ("X-B", "\xe9"), ("x_y", "z"), ("Content-Length", "0"))


def test_a_body_that_has_not_come_is_waited_for_and_a_closed_answer_is_not_read() -> None:
    wire, parser = Wire([b"h", b"i"]), AnswerParser()
    parser.feed(BY_LENGTH[:-2])
    answer = UpstreamAnswer(wire, parser)  # type: ignore[arg-type]
    assert (answer.ended, answer.read(0), answer.ended) == (False, b"h", False)
    answer.close()
    answer.close()
    with pytest.raises(BodyBroken):
        answer.read(0)
    assert wire.fate == "dropped"


@pytest.mark.parametrize(
    ("url", "authority", "path"),
    [
        ("https://api.anthropic.com", "api.anthropic.com", ""),
        ("http://127.0.0.1:8080/base/", "127.0.0.1:8080", "/base"),
        ("http://[::1]:81", "[::1]:81", ""),
        ("http://host:443", "host:443", ""),
        ("https://host:443/a/b", "host", "/a/b"),
        ("https://host:80", "host:80", ""),
    ],
)
def test_the_host_header_names_the_port_unless_it_is_the_schemes_own(url: str, authority: str, path: str) -> None:
    assert (Origin.of(url).authority, Origin.of(url).path) == (authority, path)


def test_a_request_is_written_as_given_with_one_host_and_one_length() -> None:
    headers = (("x-b", "caf\xe9"), ("x_a", ""), ("x-b", "2"))
    request = UpstreamRequest(Origin.of("http://h:1/base"), "POST", "/v1/%ff?x=//", headers, b"body")
    assert (
        request.head()
        == b"POST /base/v1/%ff?x=// HTTP/1.1\r\nhost: h:1\r\nx-b: caf\xe9\r\nx_a: \r\nx-b: 2\r\ncontent-length: 4\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("method", "framed"), [("GET", False), ("DELETE", False), ("POST", True), ("PUT", True), ("PATCH", True)]
)
def test_an_empty_body_is_announced_where_one_is_expected(method: str, framed: bool) -> None:
    request = UpstreamRequest(Origin.of("http://h"), method, "/", (), b"")
    assert (b"content-length: 0" in request.head()) is framed
