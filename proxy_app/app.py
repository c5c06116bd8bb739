"""Routes and error handlers of the proxy on a Falcon app.

Falcon folds the names of headers and joins repeated ones; an upstream's answer must keep them as they are. So a resource may
leave its header list in the environ, and this wrapper hands exactly that list to the server.
Invariant: every answer carries `x-proxy-request-id`, none carries a traceback, and a connection whose request body was not
read ends with the answer: what is left of a body must never be taken for the next request.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import falcon

from proxy_app.call import Headers
from proxy_app.errors import Refused, error_reply
from proxy_app.resources import (
    BOOKED,
    REPLY_HEADERS,
    REQUEST_ID,
    Health,
    MetricsPage,
    Proxied,
    Ready,
    reply_headers,
    send,
    status_line,
)

log = logging.getLogger(__name__)

StartResponse = Callable[..., Any]

_CLOSE = ("connection", "close")
_NO_REQUEST = {
    400: "this is not a well-formed HTTP request; look at the client, and at what stands between it and this server",
    414: "the request's address is too long",
    417: "this server meets no such expectation",
    431: "the request's headers are too large or too many",
    501: "this transfer coding is not known here; send a content-length, or chunks",
}


class ProxyApp:
    """A WSGI callable."""

    def __init__(
        self, proxied: Proxied, ready: Ready, new_request_id: Callable[[], str], metrics: MetricsPage | None = None
    ) -> None:
        self._new_request_id = new_request_id
        self._proxied = proxied
        self._falcon = self._routes(ready, metrics)

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """`HEAD` of anything is 200 at once, without authentication: Claude Code warms its connection with one."""
        if environ["REQUEST_METHOD"] == "HEAD":
            start_response("200 OK", [("content-length", "0"), *self._own_headers(environ)])
            return (b"",)

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            given = environ.get(REPLY_HEADERS)
            if given is None:
                given = [*headers, *self._own_headers(environ)]
            return start_response(status, list(given))

        chunks: Iterable[bytes] = self._falcon(environ, start)
        return chunks

    def unreadable(self, status: int, reason: str) -> tuple[str, Headers, bytes]:
        """(Status line, headers, body) for what the server could not take for a request. `reason` is for the log line."""
        request_id = self._new_request_id()
        kind = "invalid_request_error" if status in _NO_REQUEST else "api_error"
        message = _NO_REQUEST.get(status, "internal error; the administrator's log has the details")
        self._proxied.turned_away(request_id, status, kind, reason)
        reply = error_reply(Refused(status, kind, message, close=True), request_id)
        return status_line(reply), reply_headers(reply, request_id, None), b"".join(reply.body)

    def _own_headers(self, environ: Mapping[str, Any]) -> Headers:
        named = ("x-proxy-request-id", environ.get(REQUEST_ID) or self._new_request_id())
        return (named, _CLOSE) if _has_body(environ) else (named,)

    def _routes(self, ready: Ready, metrics: MetricsPage | None) -> falcon.App[Any, Any]:
        app = falcon.App()
        app.req_options.strip_url_path_trailing_slash = False
        health = Health()
        for path in ("/health", "/healthz"):
            app.add_route(path, health)
        for path in ("/ready", "/readyz"):
            app.add_route(path, ready)
        if metrics is not None:
            app.add_route("/metrics", metrics)
        app.add_route("/", _Front())
        app.add_sink(self._proxied, prefix="/")
        app.add_error_handler(falcon.HTTPError, self._http_error)
        app.add_error_handler(Exception, self._crashed)
        return app

    def _http_error(self, req: falcon.Request, resp: falcon.Response, error: falcon.HTTPError, params: Any) -> None:
        if error.status_code == 404:
            refused = Refused(404, "not_found_error", "there is no such path", close=_has_body(req.env))
        elif error.status_code == 403:
            refused = Refused(403, "permission_error", "not from this address", close=_has_body(req.env))
        elif error.status_code == 405:
            refused = Refused(405, "invalid_request_error", "this path takes GET alone", close=_has_body(req.env))
        else:
            refused = Refused(error.status_code, "invalid_request_error", error.title or "this cannot be served", close=True)
        self._answer(req, resp, refused)

    def _crashed(self, req: falcon.Request, resp: falcon.Response, error: Exception, params: Any) -> None:
        log.exception("a request failed inside the proxy", extra={"request_id": req.env.get(REQUEST_ID, "")})
        self._answer(req, resp, Refused(500, "api_error", "internal error; the administrator's log has the details", close=True))

    def _answer(self, req: falcon.Request, resp: falcon.Response, refused: Refused) -> None:
        request_id = req.env.setdefault(REQUEST_ID, self._new_request_id())
        if not req.env.get(BOOKED):
            self._proxied.turned_away(request_id, refused.status, refused.error_type)
        send(req, resp, error_reply(refused, request_id), request_id)


class _Front:
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        raise falcon.HTTPSeeOther("/admin")


def _has_body(environ: Mapping[str, Any]) -> bool:
    """Whether the client announced one."""
    return environ.get("CONTENT_LENGTH", "") not in ("", "0") or "HTTP_TRANSFER_ENCODING" in environ
