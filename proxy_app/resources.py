"""What each path does, a few lines each. Falcon in, the vocabulary of `call.py` behind it.

Knows how to say a `Reply` in HTTP and nothing else. Invariant: `resp.stream = ...` is the last thing a responder does,
because Falcon drops a stream unclosed when something raises after it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Any

import falcon
import orjson

from core.addresses import client_address, is_within
from core.prometheus import CONTENT_TYPE
from core.settings import Settings
from core.types import Grant
from proxy_app.call import Call, Endpoint, Headers, Outcome, Reply
from proxy_app.errors import Refused, error_reply
from proxy_app.faults import Fault
from proxy_app.gateway import Opened
from proxy_app.inbound import Arrival, Inbound
from proxy_app.own_page import Shown
from proxy_app.rate_limit import RateLimits
from proxy_app.readiness import Readiness
from proxy_app.recorder import Recorder
from proxy_app.relay import Relay

REPLY_HEADERS = "proxy.reply_headers"
REQUEST_ID = "proxy.request_id"
BOOKED = "proxy.booked"  # a request that failed inside the proxy has its record and its log line already
_OK = b'{"status":"ok"}'

_BODILESS = (204, 304)  # with these Falcon drops a stream unread and unclosed

Opener = Callable[[Call], Opened]
View = Callable[[Arrival, Grant], Shown]


class Proxied:
    """All paths under an access key; one door, because one key check stands before every one of them."""

    def __init__(
        self,
        inbound: Inbound,
        openers: Mapping[Endpoint, Opener],
        recorder: Recorder,
        clock: Callable[[], float],
        rates: RateLimits,
        views: Mapping[str, View],
    ) -> None:
        """`views` are the developer's own, by path: the key is checked as ever, and nothing else is done."""
        self._inbound = inbound
        self._views = views
        self._rates = rates
        self._openers = openers
        self._recorder = recorder
        self._clock = clock

    def __call__(self, req: falcon.Request, resp: falcon.Response, **_: Any) -> None:
        arrival = self._inbound.arrival(req.env)
        req.env[REQUEST_ID] = arrival.request_id
        if arrival.method == "GET" and arrival.path == "/api/hello":
            resp.content_type, resp.data = "application/json", _OK
            return
        view = self._views.get(arrival.path) if arrival.method == "GET" else None
        if view is not None:
            self._show(view, arrival, req, resp)
            return
        call = self._call(arrival, req, resp)
        if call is None:
            return
        try:
            opened = self._openers[call.endpoint](call)
        except BaseException as error:
            call.lifeline.close()
            if isinstance(error, Exception):
                self._recorder.finish(call, self._refusal(500, "api_error"))
                req.env[BOOKED] = True
            raise
        resp.status = status_line(opened.reply)
        req.env[REPLY_HEADERS] = reply_headers(opened.reply, call.request_id, opened.fallback)
        relay = Relay(call.without_body(), opened, self._recorder, self._clock)
        if opened.reply.status in _BODILESS:
            with closing(relay):
                resp.data = b"".join(relay)
            return
        resp.stream = relay

    def turned_away(self, request_id: str, status: int, error_type: str, reason: str = "") -> None:
        """The log line of a request that was nobody's, or that is not one at all. `reason` tells nothing that was sent."""
        self._recorder.refuse(request_id, status, error_type, reason)

    def _call(self, arrival: Arrival, req: falcon.Request, resp: falcon.Response) -> Call | None:
        """None when the request went no further; it is answered, and in the books as far as it is known whose it was."""
        grant, endpoint = None, endpoint_of(arrival)
        try:
            grant = self._inbound.grant(arrival)
            self._rates.check(grant, endpoint)
            return self._inbound.call(arrival, grant, endpoint)
        except Refused as refused:
            if grant is None:
                self.turned_away(arrival.request_id, refused.status, refused.error_type, arrival.key_shown)
            else:
                unread = self._inbound.unread_call(arrival, grant, endpoint)
                self._recorder.finish(unread, self._refusal(refused.status, refused.error_type))
            send(req, resp, error_reply(refused, arrival.request_id), arrival.request_id)
            return None

    def _show(self, view: View, arrival: Arrival, req: falcon.Request, resp: falcon.Response) -> None:
        try:
            shown = view(arrival, self._inbound.grant(arrival))
        except Refused as refused:
            self.turned_away(arrival.request_id, refused.status, refused.error_type, arrival.key_shown)
            send(req, resp, error_reply(refused, arrival.request_id), arrival.request_id)
            return
        self._recorder.looked(arrival.request_id, arrival.path[1:], shown.status, arrival.key_shown)
        resp.status = falcon.code_to_http_status(shown.status)
        resp.content_type, resp.data = shown.media_type, shown.content
        resp.set_headers(list(shown.headers))

    def _refusal(self, status: int, error_type: str) -> Outcome:
        return Outcome(status=status, error_type=error_type, ended=self._clock())


def endpoint_of(arrival: Arrival) -> Endpoint:
    path = arrival.path
    if path == "/v1/messages" and arrival.method == "POST":
        return Endpoint.MESSAGES
    if path == "/v1/messages/count_tokens" and arrival.method == "POST":
        return Endpoint.COUNT_TOKENS
    if (path == "/v1/models" or path.startswith("/v1/models/")) and arrival.method == "GET":
        return Endpoint.MODELS
    return Endpoint.PASSTHROUGH


class MetricsPage:
    """For Prometheus, and for the networks of `PROXY_METRICS_ALLOWED_CIDRS` alone."""

    def __init__(self, inbound: Inbound, settings: Settings, exposition: Callable[[], str]) -> None:
        self._inbound = inbound
        self._allowed = settings.metrics_allowed_cidrs
        self._trusted = settings.trusted_proxies
        self._exposition = exposition

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Raises falcon.HTTPForbidden."""
        arrival = self._inbound.arrival(req.env)
        forwarded_for = [value for name, value in arrival.headers if name == "x-forwarded-for"]
        if not is_within(client_address(req.env.get("REMOTE_ADDR", ""), forwarded_for, self._trusted), self._allowed):
            raise falcon.HTTPForbidden
        resp.content_type, resp.text = CONTENT_TYPE, self._exposition()
        resp.cache_control = ["no-store"]


class Health:
    """200 while the process serves; never touches the database."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        resp.content_type, resp.data = "application/json", _OK


class Ready:
    """200 when this worker can serve, 503 while it drains or before its first successful start (SPEC section 3)."""

    def __init__(self, readiness: Readiness) -> None:
        self._readiness = readiness

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        state = self._readiness.state()
        resp.status = falcon.HTTP_200 if state.serving else falcon.HTTP_503
        resp.content_type = "application/json"
        resp.data = orjson.dumps({"status": state.word} | ({"reason": state.reason} if state.reason else {}))


def reply_headers(reply: Reply, request_id: str, fallback: str | None) -> Headers:
    own = [("x-proxy-request-id", request_id)]
    if reply.provider is not None:
        own.append(("x-proxy-provider", reply.provider.value))
        if fallback is not None and (reply.provider == "bedrock" or fallback == Fault.BUDGET_SPENT):
            own.append(("x-proxy-fallback", str(fallback)))
    return (*reply.headers, *own)


def send(req: falcon.Request, resp: falcon.Response, reply: Reply, request_id: str) -> None:
    """An answer that is already whole."""
    resp.status = status_line(reply)
    req.env[REPLY_HEADERS] = reply_headers(reply, request_id, None)
    resp.data = b"".join(reply.body)


def status_line(reply: Reply) -> str:
    reason = reply.reason or _REASONS.get(reply.status) or falcon.code_to_http_status(reply.status).partition(" ")[2]
    return f"{reply.status} {reason or 'Unknown'}"


_REASONS = {529: "Overloaded", 499: "Client Closed Request"}
