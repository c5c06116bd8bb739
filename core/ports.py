"""What the admin app needs of the proxy, as Protocols; `wsgi.py` hands in the real ones.

Knows neither app. Invariant: only values of `core` cross here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from core.types import Residency


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """Whether AWS took the key; `reason` says in a few words why not (or what answered), never the secret.

    `refused`: AWS knows the key and says no (401, 403 for the key itself). Other failures, a network that is down or a
    throttle, say nothing about the key, which stays in use.
    """

    ok: bool
    reason: str
    refused: bool = False


class BedrockProbe(Protocol):
    def test(self, region: str, secret: str, residency: Residency) -> ProbeResult:
        """Try the key with a tiny request. Blocks on the network; never raises for what AWS answers or fails to."""
