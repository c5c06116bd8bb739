"""Which headers travel. The list is open: whatever is not named here passes, known or unknown (SPEC section 3).

Pure. Names of requests are lower case already; those of answers are compared in lower case and passed on as written.
"""

from __future__ import annotations

from collections.abc import Iterable

from proxy_app.call import Headers

_HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_OWN_PREFIX = "x-proxy-"
_REQUEST_DROPPED = _HOP_BY_HOP | {"host", "content-length", "expect", "accept-encoding"}
_ANSWER_DROPPED = _HOP_BY_HOP | {"set-cookie"}


def to_upstream(received: Iterable[tuple[str, str]]) -> Headers:
    """The headers of a request to the Plan: end-to-end ones as received. Encoding is `identity`, because the proxy has to
    see the first event and the usage, and compressing a stream for one more hop gains nothing."""
    named = _named_by_connection(received)
    kept = [
        (name, value)
        for name, value in received
        if name not in _REQUEST_DROPPED and not name.startswith(_OWN_PREFIX) and name not in named and not _is_ours(name, value)
    ]
    return (*kept, ("accept-encoding", "identity"))


def to_client(answered: Iterable[tuple[str, str]]) -> Headers:
    """The headers of the Plan's answer: as written, less hop-by-hop ones, cookies and anything that poses as ours."""
    named = _named_by_connection(answered)
    kept = []
    for name, value in answered:
        lower = name.lower()
        if lower not in _ANSWER_DROPPED and not lower.startswith(_OWN_PREFIX) and lower not in named:
            kept.append((name, value))
    return tuple(kept)


def _is_ours(name: str, value: str) -> bool:
    """A browser that is signed in to /admin sends that cookie with every address of this host."""
    return name == "cookie" and "__Host-session=" in value


def _named_by_connection(headers: Iterable[tuple[str, str]]) -> frozenset[str]:
    """RFC 9110 7.6.1: fields that `connection` names are hop-by-hop too. Never the ones the answer depends on: a client that
    names `authorization` would otherwise strip it."""
    named = {
        token.strip().lower()
        for name, value in headers
        if name.lower() == "connection" and value.lower() not in ("keep-alive", "close")
        for token in value.split(",")
    }
    return frozenset(name for name in named if name not in _NEEDED)


_NEEDED = frozenset(
    {
        "authorization",
        "x-api-key",
        "anthropic-version",
        "anthropic-beta",
        "content-type",
        "content-length",
        "retry-after",
        "keep-alive",
    }
)
