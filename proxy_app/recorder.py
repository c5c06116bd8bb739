"""The books of one request: its record into the worker's spool, its log line, its sums.

Knows what a record says and what it cost; refuses to know HTTP, how the answer came about, and the database (the flusher's).
Invariants: when `finish` returns the record survives this process, and when `begin` returns that there was an answer; no error
here is ever felt by a request; only answers to messages carry tokens and cost.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from operator import attrgetter
from zoneinfo import ZoneInfo

from core.db import Database
from core.log import AccessLog, redact
from core.pricing import PriceList
from core.record import WORKER_LOST, RequestRecord
from core.settings import Settings
from core.spool import Spool
from core.types import Confidence, ProviderName, Usage
from proxy_app.call import Call, Endpoint, Outcome
from proxy_app.faults import Fault
from proxy_app.flusher import Books, Flusher, Listener

_LOG = logging.getLogger(__name__)
_MOST_NAME_CHARS = 200
_MOST_ID_CHARS = 80
_MOST_ERROR_CHARS = 100
_MOST_REASONS = 20
_MOST_REASON_CHARS = 200
_BETWEEN_REASONS = "; "
_ID_HEADERS = ("x-claude-code-session-id", "x-claude-code-agent-id", "x-claude-code-parent-agent-id")
_LOGGED = tuple(name for name in RequestRecord.__slots__ if name not in ("request_id", "trace"))
_logged_of = attrgetter(*_LOGGED)
_NOTHING = Usage()
_MOST_TRACE_UNDER_WAY = 400


class Recorder:
    """One a worker. `clocks` are monotonic and unix seconds. Safe between greenlets."""

    def __init__(
        self,
        spool: Spool,
        database: Database,
        prices: PriceList,
        access_log: AccessLog,
        settings: Settings,
        clocks: tuple[Callable[[], float], Callable[[], float]] = (time.monotonic, time.time),
    ) -> None:
        self._spool = spool
        self._prices = prices
        self._access_log = access_log
        self._clock, self._wall = clocks
        self._flusher = Flusher(spool, database, settings.flush_interval_s, self._clock, ZoneInfo(settings.budget_timezone))
        self._unrecorded = 0
        self.refusals: list[Callable[[], None]] = []  # called for each request that was turned away; must not block

    @property
    def books(self) -> Books:
        books = self._flusher.books
        return replace(books, lost=books.lost + self._unrecorded)

    def listen(self, listener: Listener) -> None:
        self._flusher.listeners.append(listener)

    @property
    def prices(self) -> PriceList:
        return self._prices

    def use_prices(self, prices: PriceList) -> None:
        """Requests that finish from now on cost what this list says."""
        self._prices = prices

    def begin(self, call: Call, outcome: Outcome, usage: Usage) -> None:
        """The first bytes of an answer are about to leave: from now on also a kill leaves a record of it. Never raises or waits.

        It says what is known by now, `usage` above all, as `partial` and `worker_lost`; `finish` makes it void.
        """
        if call.endpoint is not Endpoint.MESSAGES:
            return
        try:
            record = self._record(call, _lost(outcome, usage))
            self._flusher.under_way.begin(call.request_id, _slim(record).to_json())
        except Exception:  # the edge of the books: the answer goes on, only less protected
            _LOG.exception("an answer under way could not be noted", extra={"request_id": call.request_id})

    def finish(self, call: Call, outcome: Outcome) -> None:
        """Record a request's end: spool first, then log. Never raises and never waits. Once per call is the caller's duty."""
        try:
            record = self._record(call, outcome)
            self._spool.append(record.to_json())
            self._flusher.under_way.end(call.request_id)
        except Exception:  # the edge of the books: a request must not fail for them
            self._unrecorded += 1
            _LOG.exception("a request could not be recorded", extra={"request_id": call.request_id})
            return
        self._flusher.notice()
        try:
            self._tell(record, outcome.circuit)
        except Exception:
            _LOG.exception("a request is recorded, but its sums are not", extra={"request_id": call.request_id})

    def refuse(self, request_id: str, status: int, error_type: str, reason: str = "") -> None:
        """A request that was turned away before it was anybody's: it has a log line, and no place in the ledger."""
        context = {"user_id": "", "access_key_id": "", "provider": "", "status": status, "error_type": error_type}
        self._access_log.write(request_id, self._wall(), {**context, "trace": [reason] if reason else []})
        for heard in self.refusals:
            heard()

    def looked(self, request_id: str, endpoint: str, status: int, key_shown: str) -> None:
        """A developer looked at their own view: a log line, and no place in the ledger."""
        context = {"user_id": "", "access_key_id": "", "provider": "", "endpoint": endpoint, "status": status}
        self._access_log.write(request_id, self._wall(), {**context, "trace": [key_shown] if key_shown else []})

    def start(self) -> None:
        """Start the flusher. Spools of workers that died are taken over at once."""
        self._flusher.start()

    def flush(self) -> int:
        """One round of the flusher, now; returns the rows that were new. Never raises."""
        return self._flusher.flush()

    def close(self) -> None:
        """The last flush, within 5 s. What the database has not taken by then waits in the spool for another worker."""
        self._flusher.close()

    def _tell(self, record: RequestRecord, circuit: str) -> None:
        """Sums first: they are the quicker, and a kill in between leaves the less uncounted."""
        try:
            for listener in self._flusher.listeners:
                listener.finished(record)
        finally:
            self._write_line(record, circuit)

    def _write_line(self, record: RequestRecord, circuit: str) -> None:
        context = dict(zip(_LOGGED, _logged_of(record), strict=True))
        context["trace"] = record.trace.split(_BETWEEN_REASONS) if record.trace else []
        context["circuit"] = circuit
        self._access_log.write(record.request_id, record.started_at + record.total_ms / 1000, context)

    def _record(self, call: Call, outcome: Outcome) -> RequestRecord:
        is_message = call.endpoint is Endpoint.MESSAGES
        usage = outcome.usage if is_message else _NOTHING
        model_asked = _text(call.asked.model)[:_MOST_NAME_CHARS]
        cost, list_value, known = self._priced(usage, model_asked, call, outcome)
        session_id, agent_id, parent_agent_id = _ids(call)
        ended = outcome.ended if outcome.ended is not None else self._clock()
        first_byte = outcome.first_byte if outcome.first_byte is not None else ended
        received = max(call.received, call.started)
        return RequestRecord(
            request_id=call.request_id,
            started_at=call.started_at,
            user_id=call.grant.user_id,
            access_key_id=call.grant.access_key_id,
            endpoint=call.endpoint.value,
            session_id=session_id,
            agent_id=agent_id,
            parent_agent_id=parent_agent_id,
            provider=outcome.provider.value if outcome.provider is not None else "",
            fault=outcome.fault.value if outcome.fault is not None else "",
            trace=_joined(outcome.trace if known else [*outcome.trace, "price:unknown model"]),
            model_asked=model_asked,
            model_served=_text(outcome.model_served)[:_MOST_NAME_CHARS],
            bedrock_key_id=outcome.bedrock_key_id,
            streamed=call.asked.stream,
            status=outcome.status,
            error_type=_text(outcome.error_type)[:_MOST_ERROR_CHARS],
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cache_write_5m_tokens=usage.cache_write_5m_tokens,
            cache_write_1h_tokens=usage.cache_write_1h_tokens,
            cache_read_tokens=usage.cache_read_tokens,
            cost_micros=cost,
            list_value_micros=list_value,
            first_byte_ms=_ms(first_byte - call.started) if outcome.first_byte is not None else 0.0,
            total_ms=_ms(ended - call.started),
            overhead_ms=_ms(first_byte - received - outcome.upstream_wait),
            confidence=outcome.confidence.value,
        )

    def _priced(self, usage: Usage, model_asked: str, call: Call, outcome: Outcome) -> tuple[int, int, bool]:
        """What it cost, what it would have cost by list price, and whether the price is this model's own."""
        if usage == _NOTHING or outcome.provider is None:
            return 0, 0, True
        served = outcome.model_served
        model = served if "claude" in served else model_asked  # an inference profile of one's own names no model
        listed = self._prices.cost_micros(usage, model, ProviderName.PLAN, "", call.started_at)
        if outcome.provider is not ProviderName.BEDROCK:
            return 0, listed.micros, listed.known
        cost = self._prices.cost_micros(usage, model, ProviderName.BEDROCK, served, call.started_at)
        return cost.micros, listed.micros, cost.known


def _lost(outcome: Outcome, usage: Usage) -> Outcome:
    """How an answer ends whose worker is killed."""
    return replace(
        outcome,
        usage=usage,
        confidence=Confidence.PARTIAL,
        error_type=WORKER_LOST,
        fault=Fault.STREAM_BROKEN,
        ended=outcome.first_byte,
    )


def _slim(record: RequestRecord) -> RequestRecord:
    """Small enough for its slot, whatever was sent."""
    return replace(record, trace="") if len(record.trace) > _MOST_TRACE_UNDER_WAY else record


def _ids(call: Call) -> tuple[str, str, str]:
    """Session, agent and parent agent as the client names them, printable and short."""
    found = dict.fromkeys(_ID_HEADERS, "")
    for name, value in call.headers:
        if name in found and not found[name]:
            found[name] = _printable(value)[:_MOST_ID_CHARS]
    session_id, agent_id, parent_agent_id = found.values()
    return session_id, agent_id, parent_agent_id


def _printable(value: str) -> str:
    if value.isascii() and value.isprintable():
        return value
    return "".join(letter for letter in value[:1000] if " " <= letter <= "~")


def _joined(reasons: Sequence[str]) -> str:
    return redact(_text(_BETWEEN_REASONS.join(reason[:_MOST_REASON_CHARS] for reason in reasons[:_MOST_REASONS])))


def _text(text: str) -> str:
    """JSON has no place for lone surrogates."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def _ms(seconds: float) -> float:
    return round(max(0.0, seconds) * 1000, 3)
