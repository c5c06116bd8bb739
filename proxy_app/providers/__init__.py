"""The contract of an upstream.

A provider turns a `Call` into a `Reply`. `open` returns only when its upstream has *committed*: a 2xx and, for a stream, a
first event in hand that is not `error` (SPEC section 4), or an answer that is passed on as it is whatever happens. Until
then nothing has reached the client; after it, falling back is impossible by construction. What `Reply.body` yields is
always Anthropic's wire, whatever the upstream speaks; nothing above a provider branches on which one it was.

`open` raises `UpstreamError` when the upstream did not serve, carrying the upstream's own answer if there was one, and
nothing else but `Severed` (the client has gone, or the worker drains). An upstream with circuits of its own uses them to
choose among its ways; when they close every one it raises `NotAsked`, unless the caller insists because nobody else is left.
"""

from __future__ import annotations

from typing import Protocol

from core.types import ProviderName
from proxy_app.call import Call, Reply


class Provider(Protocol):
    @property
    def name(self) -> ProviderName:
        """The label in logs, metrics and the ledger."""

    @property
    def metered(self) -> bool:
        """The operator pays per token: budgets are asked first."""

    def serves(self, call: Call) -> bool:
        """Whether this upstream could answer such a call at all. Pure."""

    def open(self, call: Call, *, insist: bool = False) -> Reply:
        """An answer already under way, or UpstreamError. Blocks its greenlet; bounded by the settings' time limits.

        `insist`: no circuit may keep this upstream from being asked.
        """
