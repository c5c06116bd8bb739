"""Routes and error handlers of the proxy on a Falcon app.

Falcon folds the names of headers and joins repeated ones; an upstream's answer must keep them as they are. So a resource may
leave its header list in the environ, and this wrapper hands exactly that list to the server.
Invariant: every answer carries `x-proxy-request-id`, and none carries a traceback.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any

import falcon

from proxy_app.errors import Refused, error_reply
from proxy_app.resources import REPLY_HEADERS, Health, Proxied, Ready, send

log = logging.getLogger(__name__)

StartResponse = Callable[..., Any]


class ProxyApp:
    """A WSGI callable."""

    def __init__(self, proxied: Proxied, ready: Ready, new_request_id: Callable[[], str]) -> None:
        self._new_request_id = new_request_id
        self._falcon = self._routes(proxied, ready)

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """`HEAD` of anything is 200 at once, without authentication: Claude Code warms its connection with one."""
        if environ["REQUEST_METHOD"] == "HEAD":
            start_response("200 OK", [("content-length", "0"), ("x-proxy-request-id", self._new_request_id())])
            return (b"",)

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            given = environ.get(REPLY_HEADERS)
            if given is None:
                given = [*headers, ("x-proxy-request-id", self._new_request_id())]
            return start_response(status, list(given))

        chunks: Iterable[bytes] = self._falcon(environ, start)
        return chunks

    def _routes(self, proxied: Proxied, ready: Ready) -> falcon.App[Any, Any]:
        app = falcon.App()
        app.req_options.strip_url_path_trailing_slash = False
        health = Health()
        for path in ("/health", "/healthz"):
            app.add_route(path, health)
        for path in ("/ready", "/readyz"):
            app.add_route(path, ready)
        app.add_route("/api/hello", health)
        app.add_route("/", _Front())
        app.add_sink(proxied, prefix="/")
        app.add_error_handler(falcon.HTTPError, self._http_error)
        app.add_error_handler(Exception, self._crashed)
        return app

    def _http_error(self, req: falcon.Request, resp: falcon.Response, error: falcon.HTTPError, params: Any) -> None:
        kind = "not_found_error" if error.status_code == 404 else "invalid_request_error"
        self._answer(req, resp, Refused(error.status_code, kind, error.title or "the request cannot be served"))

    def _crashed(self, req: falcon.Request, resp: falcon.Response, error: Exception, params: Any) -> None:
        log.exception("a request failed inside the proxy")
        self._answer(req, resp, Refused(500, "api_error", "internal error; the administrator's log has the details", close=True))

    def _answer(self, req: falcon.Request, resp: falcon.Response, refused: Refused) -> None:
        request_id = self._new_request_id()
        send(req, resp, error_reply(refused, request_id), request_id)


class _Front:
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        raise falcon.HTTPSeeOther("/admin")
