"""The errors that the proxy itself makes, in Anthropic's shape (SPEC section 3). Pure.

Every message starts with `claude-code-proxy:` and says what to do; the request id stands in the body and in the headers.
"""

from __future__ import annotations

from dataclasses import replace

import orjson

from proxy_app.call import BytesBody, Reply


class Refused(Exception):
    """A request that goes no further. `close`: the connection ends too, because its body was not read."""

    def __init__(
        self, status: int, error_type: str, message: str, *, close: bool = False, retry_after_s: int | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.error_type = error_type
        self.message = message
        self.close = close
        self.retry_after_s = retry_after_s


def error_reply(refused: Refused, request_id: str) -> Reply:
    """An error of our own making."""
    reply = _reply(refused.status, refused.error_type, f"claude-code-proxy: {refused.message}", request_id)
    extra = []
    if refused.retry_after_s is not None:
        extra.append(("retry-after", str(refused.retry_after_s)))
        if refused.status == 429:
            extra.append(("x-should-retry", "true"))
    elif refused.status < 500 and refused.status not in (408, 409, 429):
        extra.append(("x-should-retry", "false"))
    if refused.close:
        extra.append(("connection", "close"))
    return replace(reply, headers=(*reply.headers, *extra))


def upstream_error_reply(status: int, error_type: str, message: str, request_id: str) -> Reply:
    """An upstream's error in Anthropic's shape, its wording kept: Claude Code's recovery keys on it."""
    return _reply(status, error_type, message, request_id)


def _reply(status: int, error_type: str, message: str, request_id: str) -> Reply:
    body = orjson.dumps({"type": "error", "error": {"type": error_type, "message": message}, "request_id": request_id})
    headers = (("content-type", "application/json"), ("content-length", str(len(body))), ("request-id", request_id))
    return Reply(status, headers, BytesBody(body), provider=None, error_type=error_type)
