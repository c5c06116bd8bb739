"""The record of one request, as it travels: recorder -> spool file -> ledger row.

One flat value. Knows no database and no file. Invariant: `from_json(record.to_json()) == record`, also for a line
written by an older release (missing fields take their defaults) and by a newer one (unknown fields are ignored).
Never a body, a prompt, a header value or a credential.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import orjson

WORKER_LOST = "worker_lost"  # the `error_type` of an answer whose worker was killed: a row without a log line


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """SPEC section 9, one per request whatever its end.

    Units: `started_at` is unix time in seconds (UTC), `*_ms` milliseconds, `*_micros` millionths of a US dollar.
    `provider` is empty when no upstream answered. `trace` holds the routing's reason codes, joined with "; ".
    """

    request_id: str
    started_at: float
    user_id: str
    access_key_id: str
    endpoint: str = "messages"
    session_id: str = ""
    agent_id: str = ""
    parent_agent_id: str = ""
    provider: str = ""
    fault: str = ""
    trace: str = ""
    model_asked: str = ""
    model_served: str = ""
    bedrock_key_id: str = ""
    streamed: bool = False
    status: int = 0
    error_type: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    cache_write_5m_tokens: int = 0
    cache_write_1h_tokens: int = 0
    cache_read_tokens: int = 0
    cost_micros: int = 0
    list_value_micros: int = 0
    first_byte_ms: float = 0.0
    total_ms: float = 0.0
    overhead_ms: float = 0.0
    confidence: str = "exact"

    def to_json(self) -> bytes:
        """One line of JSON without the newline. orjson writes slotted dataclasses natively, in field order."""
        return orjson.dumps(self)

    @classmethod
    def from_json(cls, line: bytes) -> RequestRecord:
        """Raises ValueError when the line is not a JSON object, lacks a field that has no default, or has no request id."""
        value: Any = orjson.loads(line)
        if not isinstance(value, dict):
            raise ValueError("a record is a JSON object")
        known = {name: value[name] for name in _FIELDS if name in value}
        if not known.get("request_id") or not isinstance(known["request_id"], str):
            raise ValueError("a record has a request id")
        try:
            return cls(**known)
        except TypeError as error:
            raise ValueError(str(error)) from error


_FIELDS = tuple(f.name for f in fields(RequestRecord))
