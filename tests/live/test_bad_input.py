"""Whatever arrives: one clear answer, no traceback, nothing of it in the log, and the worker serves on."""

from __future__ import annotations

import socket
import time
from typing import Any

import pytest

from tests.live.bad_requests import BODY_TIMEOUT_S, MARK, message, refused
from tests.live.bad_requests import key as key
from tests.live.bad_requests import product_settings as product_settings
from tests.live.bad_requests import worker as worker
from tests.live.wire import LOGIN, chunked, post, talk

LIMIT = 10_485_760
NO_REQUESTS = {
    "binary": b"\x16\x03\x01\x02\x00\x01\x00 %b \r\n\r\n" % MARK,
    "a raw byte in the path": b"GET /\xff\xfe%b HTTP/1.1\r\n%b\r\n" % (MARK, LOGIN),
    "a method in small letters": b"get /%b HTTP/1.1\r\n%b\r\n" % (MARK, LOGIN),
    "no version": b"GET /%b\r\n\r\n" % MARK,
    "version 3": b"GET /%b HTTP/3.0\r\n%b\r\n" % (MARK, LOGIN),
    "two hosts": b"GET / HTTP/1.1\r\nHost: a\r\nHost: %b\r\n\r\n" % MARK,
    "a space in a header's name": b"GET / HTTP/1.1\r\n%b%b x: y\r\n\r\n" % (LOGIN, MARK),
    "a folded header": b"GET / HTTP/1.1\r\n%ba: b\r\n %b\r\n\r\n" % (LOGIN, MARK),
    "a null byte in a header": b"GET / HTTP/1.1\r\n%ba: \x00%b\r\n\r\n" % (LOGIN, MARK),
    "two lengths": b"POST / HTTP/1.1\r\n%bcontent-length: 1\r\ncontent-length: 2\r\n\r\n%b" % (LOGIN, MARK),
    "length and chunks": b"POST / HTTP/1.1\r\n%bcontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n%b" % (LOGIN, MARK),
    "a negative length": b"POST / HTTP/1.1\r\n%bcontent-length: -1\r\n\r\n%b" % (LOGIN, MARK),
}


@pytest.mark.parametrize("sent", NO_REQUESTS.values(), ids=NO_REQUESTS)
def test_what_is_no_http_gets_400_in_anthropics_shape_and_is_repeated_nowhere(stack: Any, sent: bytes) -> None:
    answer = refused(stack, sent)

    assert answer.error == (400, "invalid_request_error")
    assert MARK not in answer.body


FLOODS = {
    "a long address": (b"GET /%b%b HTTP/1.1\r\n%b\r\n" % (MARK, b"a" * 20_000, LOGIN), 414),
    "many headers": (b"GET / HTTP/1.1\r\n%b%b\r\n" % (LOGIN, b"".join(b"a%d: %b\r\n" % (i, MARK) for i in range(300))), 431),
    "a long header": (b"GET / HTTP/1.1\r\n%ba: %b%b\r\n\r\n" % (LOGIN, MARK, b"a" * 100_000), 431),
    "headers without end": (b"GET / HTTP/1.1\r\n%b" % LOGIN + b"a: %b\r\n" % MARK * 100_000, 431),
}


@pytest.mark.parametrize(("sent", "status"), FLOODS.values(), ids=FLOODS)
def test_a_flood_of_headers_is_refused_and_the_answer_arrives(stack: Any, sent: bytes, status: int) -> None:
    assert refused(stack, sent).error == (status, "invalid_request_error")


def test_an_unknown_transfer_coding_and_expectation_are_refused(stack: Any) -> None:
    coding = refused(stack, b"POST / HTTP/1.1\r\n%btransfer-encoding: %b\r\n\r\n" % (LOGIN, MARK))
    expectation = refused(stack, b"POST / HTTP/1.1\r\n%bexpect: %b\r\ncontent-length: 1\r\n\r\n" % (LOGIN, MARK))

    assert coding.error == (501, "invalid_request_error")
    assert expectation.error == (417, "invalid_request_error")


def test_a_request_without_host_is_refused(stack: Any, key: bytes) -> None:
    assert refused(stack, b"GET %b/v1/models HTTP/1.1\r\n\r\n" % key).error == (400, "invalid_request_error")


PATHS = [
    b"/ak/%0d%0aX-Evil:1%E2%80%AE/v1/messages",
    b"/ak/%00/v1/messages",
    b"/ak//v1/messages",
    b"/ak",
    b"/ak/",
    b"/ak/../../etc/passwd",
    b"//ak/x/v1/messages",
    b"/%61k/x/v1/messages",
    b"/v1/messages",
    b"/ak/%zz%/?&;#",
    b"/ak/" + b"a" * 5000,
    b"/health/",
    b"/administrator",
]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", [b"GET", b"BREW"])
def test_a_garbage_path_is_the_403_of_every_bad_key(stack: Any, method: bytes, path: bytes) -> None:
    answer = refused(stack, b"%b %b HTTP/1.1\r\n%bcontent-length: 2\r\n\r\n{}" % (method, path, LOGIN))

    assert answer.error == (403, "permission_error")
    assert answer.header("x-should-retry") == "false"


@pytest.mark.parametrize("target", [b"CONNECT evil.test:443", b"OPTIONS *", b"CONNECT /"])
def test_what_has_no_path_goes_nowhere(stack: Any, key: bytes, target: bytes) -> None:
    sent = b"%b HTTP/1.1\r\n%bx-proxy-key: %b\r\n\r\n" % (target, LOGIN, key.removeprefix(b"/ak/"))
    answer = talk(stack.product.port, sent).only

    assert answer.error[1] in ("not_found_error", "invalid_request_error")
    assert stack.anthropic.requests() == []


@pytest.mark.parametrize("shape", [post, chunked])
def test_a_body_of_exactly_10_mb_passes_and_one_byte_more_does_not(stack: Any, key: bytes, shape: Any) -> None:
    body = message(metadata={"user_id": "x"}, system="s" * (LIMIT - len(message(metadata={"user_id": "x"}, system=""))))
    assert len(body) == LIMIT
    passed = talk(stack.product.port, shape(key + b"/v1/messages", body)).only
    too_large = refused(stack, shape(key + b"/v1/messages", body + b" "))

    assert passed.status == 200
    assert too_large.error == (413, "request_too_large")
    assert too_large.header("x-should-retry") == "false"
    assert [each["body_bytes"] for each in stack.anthropic.requests()] == [LIMIT]


def test_a_body_announced_too_large_is_refused_before_it_is_sent(stack: Any, key: bytes) -> None:
    head = b"POST %b/v1/messages HTTP/1.1\r\n%bcontent-length: %d\r\n\r\n" % (key, LOGIN, 10**19)
    began = time.monotonic()
    answer = refused(stack, head)

    assert answer.error == (413, "request_too_large")
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("framing", [b"content-length: 100", b"transfer-encoding: chunked"])
def test_a_body_that_never_comes_gets_408_within_the_setting(stack: Any, key: bytes, framing: bytes) -> None:
    began = time.monotonic()
    answer = refused(stack, b"POST %b/v1/messages HTTP/1.1\r\n%b%b\r\n\r\n" % (key, LOGIN, framing))

    assert answer.error == (408, "timeout_error")
    assert BODY_TIMEOUT_S - 0.1 <= time.monotonic() - began < BODY_TIMEOUT_S + 5


def test_a_body_that_drips_gets_408_too(stack: Any, key: bytes) -> None:
    with socket.create_connection(("127.0.0.1", stack.product.port), timeout=20) as sock:
        sock.sendall(b"POST %b/v1/messages HTTP/1.1\r\n%bcontent-length: 100000\r\n\r\n" % (key, LOGIN))
        sock.settimeout(0.1)
        received = b""
        deadline = time.monotonic() + BODY_TIMEOUT_S + 8
        while not received and time.monotonic() < deadline:
            try:
                sock.send(b"x")
                received = sock.recv(4096)
            except TimeoutError:
                continue
    assert received.startswith(b"HTTP/1.1 408 ")


CHUNKS = {
    "no number": b"zz\r\n%b\r\n0\r\n\r\n" % MARK,
    "negative": b"-5\r\n%b\r\n0\r\n\r\n" % MARK,
    "longer than said": b"2\r\n%b\r\n0\r\n\r\n" % MARK,
    "huge": b"ffffffffffffffffffff\r\n%b" % MARK,
    "no line end": b"5" * 100_000,
}


@pytest.mark.parametrize("sent", CHUNKS.values(), ids=CHUNKS)
def test_malformed_chunks_get_400_and_reach_nobody(stack: Any, key: bytes, sent: bytes) -> None:
    head = b"POST %b/v1/messages HTTP/1.1\r\n%btransfer-encoding: chunked\r\n\r\n" % (key, LOGIN)
    answer = refused(stack, head + sent, hang_up=True)

    assert answer.error == (400, "invalid_request_error")
    assert MARK not in answer.body
    assert stack.anthropic.requests() == []


@pytest.mark.parametrize("framing", [b"content-length: 100\r\n\r\n{", b"transfer-encoding: chunked\r\n\r\n9\r\n{"])
def test_a_body_cut_short_gets_400_and_reaches_nobody(stack: Any, key: bytes, framing: bytes) -> None:
    answer = refused(stack, b"POST %b/v1/messages HTTP/1.1\r\n%b%b" % (key, LOGIN, framing), hang_up=True)

    assert answer.error == (400, "invalid_request_error")
    assert stack.anthropic.requests() == []


UNREAD = {
    "HEAD": b"HEAD /v1/messages",
    "health": b"GET /health",
    "a wrong method on health": b"POST /health",
    "hello": b"GET /api/hello",
    "front": b"GET /",
    "no key": b"POST /v1/messages",
}


@pytest.mark.parametrize("line", UNREAD.values(), ids=UNREAD)
def test_the_rest_of_a_body_nobody_reads_is_never_taken_for_a_request(stack: Any, line: bytes) -> None:
    bait = b"zz\r\nGET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
    dialogue = talk(stack.product.port, b"%b HTTP/1.1\r\n%btransfer-encoding: chunked\r\n\r\n%b" % (line, LOGIN, bait))

    assert (len(dialogue.answers), dialogue.closed) == (1, True)
    assert dialogue.only.header("connection") == "close"


def test_what_follows_a_body_that_was_announced_too_short_is_told_to_nobody(stack: Any, key: bytes) -> None:
    whole = post(key + b"/v1/messages", message())
    dialogue = talk(stack.product.port, whole + b"the rest of my prompt: " + MARK + b"\r\n\r\n", silence_s=20.0)

    assert [answer.status for answer in dialogue.answers] == [200, 400]
    assert dialogue.closed
    assert MARK not in dialogue.answers[1].body
