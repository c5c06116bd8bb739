"""What a stand-in saw and what it sent: the witness that tests compare the product's ledger with.

Knows requests and token sums; refuses to know faults and how answers are made. Bodies are kept only when asked.
Invariant: an answer's tokens are counted once, as complete or as partial, as far as the client can have received them.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from sandbox.connection import Delivery
from sandbox.http import Request
from sandbox.script import Headers, Tokens

KEPT_REQUESTS = 20_000


@dataclass(slots=True)
class Entry:
    """One request as it arrived. The last three fields are filled in while it is answered."""

    number: int
    at: float
    connection: int
    method: str
    target: str
    headers: Headers
    body_sha256: str
    body_bytes: int
    body: str | None
    model: str = ""
    fault: str = "ok"
    finished: bool = False
    closed_by_client_at: float | None = None

    def as_json(self) -> dict[str, Any]:
        shown = {name: getattr(self, name) for name in self.__slots__}
        return shown | {"headers": [list(pair) for pair in self.headers]}


@dataclass(slots=True)
class Sum:
    answers: int = 0
    tokens: Tokens = field(default_factory=Tokens)

    def add(self, tokens: Tokens) -> None:
        self.answers += 1
        self.tokens = self.tokens.plus(tokens)

    def as_json(self) -> dict[str, int]:
        return {
            "answers": self.answers,
            "input_tokens": self.tokens.input,
            "output_tokens": self.tokens.output,
            "cache_write_5m_tokens": self.tokens.cache_write_5m,
            "cache_write_1h_tokens": self.tokens.cache_write_1h,
            "cache_read_tokens": self.tokens.cache_read,
        }


@dataclass(slots=True)
class Total:
    requests: int = 0
    complete: Sum = field(default_factory=Sum)
    partial: Sum = field(default_factory=Sum)

    def count(self, delivery: Delivery) -> None:
        """Answers without tokens (errors, counts of tokens) are requests and nothing else."""
        if delivery.known is not None:
            (self.complete if delivery.complete else self.partial).add(delivery.known)

    def as_json(self) -> dict[str, Any]:
        return {"requests": self.requests, "complete": self.complete.as_json(), "partial": self.partial.as_json()}


class Journal:
    def __init__(self, keep_bodies: bool = False) -> None:
        self._keep_bodies = keep_bodies
        self._received = 0
        self._entries: deque[Entry] = deque(maxlen=KEPT_REQUESTS)
        self._total = Total()
        self._by_model: dict[str, Total] = {}

    def open(self, connection: int, request: Request, model: str) -> Entry:
        """Note a request before it is answered."""
        self._received += 1
        entry = Entry(
            number=self._received,
            at=time.time(),
            connection=connection,
            method=request.method,
            target=request.target,
            headers=request.headers,
            body_sha256=request.digest.hex(),
            body_bytes=len(request.body),
            body=request.body.decode("utf-8", "replace") if self._keep_bodies else None,
            model=model,
        )
        self._entries.append(entry)
        self._total.requests += 1
        self._of(model).requests += 1
        return entry

    def close(self, entry: Entry, delivery: Delivery) -> None:
        """Count what was delivered. Called once for each entry, however its answer ended."""
        entry.finished = True
        self._total.count(delivery)
        self._of(entry.model).count(delivery)

    def client_left(self, entry: Entry) -> None:
        entry.closed_by_client_at = time.time()

    def since(self, number: int) -> list[dict[str, Any]]:
        """Requests with a higher number, oldest first."""
        return [entry.as_json() for entry in self._entries if entry.number > number]

    def totals(self) -> dict[str, Any]:
        models = {model: total.as_json() for model, total in sorted(self._by_model.items()) if model}
        return self._total.as_json() | {"models": models}

    def reset(self) -> None:
        """Forget everything but the numbering, so that a `since` of before stays right."""
        self._entries.clear()
        self._total = Total()
        self._by_model.clear()

    def _of(self, model: str) -> Total:
        return self._by_model.setdefault(model, Total())
