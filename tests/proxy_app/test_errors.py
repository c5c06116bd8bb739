"""The errors of our own making, as a client gets them."""

from __future__ import annotations

import json

import pytest

from proxy_app.call import Reply
from proxy_app.errors import Refused, error_reply, upstream_error_reply


def headers(reply: Reply) -> dict[str, str]:
    return dict(reply.headers)


def content(reply: Reply) -> bytes:
    return b"".join(reply.body)


def test_an_error_has_anthropics_shape_our_name_and_the_request_id_twice() -> None:
    reply = error_reply(Refused(403, "permission_error", "no"), "req_1")

    assert (reply.status, reply.error_type, reply.provider) == (403, "permission_error", None)
    assert json.loads(content(reply)) == {
        "type": "error",
        "error": {"type": "permission_error", "message": "claude-code-proxy: no"},
        "request_id": "req_1",
    }
    assert headers(reply)["request-id"] == "req_1"
    assert headers(reply)["content-length"] == str(len(content(reply)))


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 405, 413, 414, 431])
def test_where_trying_again_cannot_help_the_client_is_told(status: int) -> None:
    assert headers(error_reply(Refused(status, "x", "y"), "req_1"))["x-should-retry"] == "false"


@pytest.mark.parametrize("status", [408, 409, 429, 500, 503, 504, 529])
def test_where_trying_again_may_help_nothing_is_said_against_it(status: int) -> None:
    assert "x-should-retry" not in headers(error_reply(Refused(status, "x", "y"), "req_1"))


def test_a_time_to_wait_is_told_in_its_place() -> None:
    said = headers(error_reply(Refused(503, "overloaded_error", "later", retry_after_s=5), "req_1"))
    assert (said["retry-after"], "x-should-retry" in said) == ("5", False)


@pytest.mark.parametrize("close", [False, True])
def test_a_connection_whose_body_was_not_read_is_told_to_close(close: bool) -> None:
    assert (headers(error_reply(Refused(413, "x", "y", close=close), "req_1")).get("connection") == "close") is close


@pytest.mark.parametrize("message", ["", 'a "quote"', "Zürich \u202e", "\x00\r\n"])
def test_any_wording_gives_valid_json_and_clean_headers(message: str) -> None:
    reply = error_reply(Refused(400, "invalid_request_error", message), "req_1")
    assert json.loads(content(reply))["error"]["message"] == f"claude-code-proxy: {message}"
    assert not any(letter in value for _, value in reply.headers for letter in "\r\n\x00")


def test_an_upstreams_wording_is_kept_because_the_client_keys_on_it() -> None:
    reply = upstream_error_reply(400, "invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum", "req_1")
    assert json.loads(content(reply))["error"]["message"] == "prompt is too long: 210000 tokens > 200000 maximum"
