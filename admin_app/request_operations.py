"""The request explorer: finding records, and one record with its decision trace (SPEC sections 9, 11)."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

from msgspec import Meta

from admin_app.cursors import after_of, listed
from admin_app.fields import Cursor, Id, Limit, Moment, Text, usd, utc
from admin_app.operation import Doing, Listed, Offer, Operation, Shape, Shown, asks
from core.actor import Role
from core.request_search import FoundRequest, RequestFilter, find_request, find_requests

Status = Annotated[str, Meta(pattern=r"^([1-5]xx|[1-5][0-9]{2})?$", description="a status such as 429, or a class such as 5xx")]
Provider = Annotated[str, Meta(pattern="^(plan|bedrock|none)?$", description="plan, bedrock, or none where nothing answered")]


class RequestShown(Shown, frozen=True, kw_only=True):
    """One request as the ledger has it. Never a body, a prompt or a credential.

    `cost_usd` is what Bedrock charges; `list_value_usd` what the tokens would cost by Anthropic's list. Times in milliseconds.
    """

    request_id: str
    started_at: datetime
    user_id: str
    user_name: str
    access_key_id: str
    key_prefix: str
    key_name: str
    endpoint: str
    session_id: str
    agent_id: str
    parent_agent_id: str
    provider: str
    fault: str
    trace: list[str]
    model_asked: str
    model_served: str
    bedrock_key_id: str
    streamed: bool
    status: int
    error_type: str
    input_tokens: int
    output_tokens: int
    cache_write_5m_tokens: int
    cache_write_1h_tokens: int
    cache_read_tokens: int
    cost_usd: Decimal
    list_value_usd: Decimal
    first_byte_ms: float
    total_ms: float
    overhead_ms: float
    confidence: str


_CONVERTED = {"key_prefix", "trace", "cost_usd", "list_value_usd"}
_AS_STORED = tuple(name for name in RequestShown.__struct_fields__ if name not in _CONVERTED)


class FindRequests(Shape, frozen=True, kw_only=True):
    """The latest first. `fault` is one of the faults, or "any"; `counts` takes `count_tokens` in."""

    user_id: Text = ""
    access_key_id: Text = ""
    provider: Provider = ""
    fault: Text = ""
    status: Status = ""
    session_id: Text = ""
    since: Moment | None = None
    until: Moment | None = None
    counts: bool = False
    limit: Limit = 50
    cursor: Cursor = ""


class TheRequest(Shape, frozen=True, kw_only=True):
    request_id: Id


def _find(doing: Doing, taken: FindRequests) -> Listed[RequestShown]:
    wanted = RequestFilter(
        user_id=taken.user_id,
        access_key_id=taken.access_key_id,
        provider=taken.provider,
        fault=taken.fault,
        status=taken.status,
        session_id=taken.session_id,
        since=utc(taken.since),
        until=utc(taken.until),
        counts=taken.counts,
    )
    return listed(doing, taken, find_requests(doing.connection, wanted, taken.limit, after_of(doing, taken)), _shown)


def _get(doing: Doing, taken: TheRequest) -> RequestShown:
    return _shown(find_request(doing.connection, taken.request_id))


def _shown(found: FoundRequest) -> RequestShown:
    row: Any = found.row
    return RequestShown(
        **{name: getattr(row, name) for name in _AS_STORED},
        key_prefix=found.prefix,
        trace=[part for part in row.trace.split("; ") if part],
        cost_usd=usd(row.cost_micros) or Decimal(0),
        list_value_usd=usd(row.list_value_micros) or Decimal(0),
    )


LIST = Operation("listRequests", "Find requests", Role.VIEWER, FindRequests, Listed[RequestShown], asks(_find))
GET = Operation("getRequest", "One request", Role.VIEWER, TheRequest, RequestShown, asks(_get))

OFFERS = (
    Offer("GET", "/requests", LIST, tag="Requests"),
    Offer("GET", "/requests/{request_id}", GET, tag="Requests"),
)
