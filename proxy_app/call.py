"""The vocabulary of the request path: a `Call` comes in, a `Reply` goes out, an `Outcome` is what is remembered.

Pure values, no I/O, no clock. Data moves forward only. Header lists are pairs in wire order; names of a call's headers
are lower case (the server folds them), names of a reply's headers are as the upstream wrote them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Protocol

from core.types import Confidence, Grant, ProviderName, Usage
from proxy_app.faults import Fault
from proxy_app.json_body import Turns, at_once, parse_object

Headers = tuple[tuple[str, str], ...]


class Endpoint(StrEnum):
    """What is asked of us, by SPEC section 3. Also the `endpoint` of a ledger record."""

    MESSAGES = "messages"
    COUNT_TOKENS = "count_tokens"
    MODELS = "models"
    PASSTHROUGH = "passthrough"


class Lifeline(Protocol):
    """Ties the upstream connection in use to the client's: when the client goes, the upstream is shut down."""

    @property
    def gone(self) -> bool:
        """The client has hung up."""

    @property
    def draining(self) -> bool:
        """The worker is shutting down and this request must end now."""

    def pause(self, seconds: float) -> None:
        """Sleep, but wake at once when the client goes."""

    def close(self) -> None:
        """The request is over. Idempotent."""

    def hold(self, connection: Severable) -> None:
        """From now on a hang-up severs this connection (at once, if the client has gone already)."""

    def release(self) -> None:
        """No connection is held any more."""


class Severable(Protocol):
    def sever(self) -> None:
        """Shut the socket down so that a blocked read ends. Safe from a hub callback; never blocks."""


class Asked:
    """The few things the proxy reads from a body, and the whole of it for whoever has to rewrite it.

    `body` is None when it is not a JSON object. It is parsed when first asked for: on the Plan's way it never is, and building
    a 100 KB prompt's thousand objects costs a fifth of such a request. Long work on it is done in `turns`.
    """

    __slots__ = ("_body", "_source", "model", "quota_probe", "stream", "turns")

    def __init__(
        self,
        model: str = "",
        stream: bool = False,
        quota_probe: bool = False,
        body: dict[str, Any] | None = None,
        source: bytes = b"",
        turns: Turns = at_once,
    ) -> None:
        self.model = model
        self.stream = stream
        self.quota_probe = quota_probe
        self._body = body
        self._source = source
        self.turns = turns

    @property
    def body(self) -> dict[str, Any] | None:
        if self._body is None and self._source:
            source, self._source = self._source, b""
            with self.turns() as rest:
                self._body = parse_object(source, rest)
        return self._body

    def without_body(self) -> Asked:
        return Asked(self.model, self.stream, self.quota_probe)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Asked) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        return f"Asked(model={self.model!r}, stream={self.stream}, quota_probe={self.quota_probe})"

    def _key(self) -> tuple[str, bool, bool]:
        return self.model, self.stream, self.quota_probe


@dataclass(frozen=True, slots=True)
class Call:
    """A request, read and authenticated.

    `target` is path and query exactly as the client sent them, after the access key's prefix (`/v1/messages?beta=true`).
    `started` and `received` are monotonic seconds: first sight of the request, and its last body byte.
    `commit_by` is the monotonic second by which a stream must have committed (SPEC 3); inf for everything else.
    """

    request_id: str
    grant: Grant
    endpoint: Endpoint
    method: str
    target: str
    headers: Headers = field(repr=False)
    body: bytes = field(repr=False)
    asked: Asked
    lifeline: Lifeline = field(repr=False)
    started: float = 0.0
    received: float = 0.0
    started_at: float = 0.0
    commit_by: float = float("inf")

    def without_body(self) -> Call:
        """What is still needed once an upstream has committed: a thousand streams must not hold a thousand prompts."""
        return replace(self, body=b"", asked=self.asked.without_body())

    def header(self, name: str) -> str:
        """The first value of a header (lower-case name), or an empty string."""
        return next((value for key, value in self.headers if key == name), "")


class Body(Protocol):
    """An answer's bytes, under way. Iterate once; `close()` is idempotent and safe before the first iteration.

    Iteration raises `StreamBroken` when the upstream fails after commit, and never anything else.
    """

    def __iter__(self) -> Iterator[bytes]: ...

    def close(self) -> None: ...


class StreamBroken(Exception):
    """The upstream failed after it had committed. `fault` tells how; the client gets one error event."""

    def __init__(self, fault: Fault, detail: str, error_type: str = "overloaded_error") -> None:
        super().__init__(detail)
        self.fault = fault
        self.error_type = error_type


@dataclass(slots=True)
class BytesBody:
    """A body that is already here: JSON answers of Bedrock, and errors."""

    content: bytes

    def __iter__(self) -> Iterator[bytes]:
        if self.content:
            yield self.content

    def close(self) -> None:
        return None


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer already under way. Whoever holds it must call `body.close()`.

    `fault` is set when the upstream's own refusal is the answer (`rejected`, `plan_auth`). `notes` go into the trace.
    """

    status: int
    headers: Headers
    body: Body
    provider: ProviderName | None
    reason: str = ""
    streamed: bool = False
    model_served: str = ""
    bedrock_key_id: str = ""
    error_type: str = ""
    fault: Fault | None = None
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class Outcome:
    """What came of a call; filled in along the path and handed to the recorder exactly once."""

    provider: ProviderName | None = None
    fault: Fault | None = None
    trace: list[str] = field(default_factory=list)
    circuit: str = "closed"
    usage: Usage = field(default_factory=Usage)
    confidence: Confidence = Confidence.EXACT
    status: int = 0
    error_type: str = ""
    model_served: str = ""
    bedrock_key_id: str = ""
    upstream_wait: float = 0.0
    first_byte: float | None = None
    ended: float | None = None
