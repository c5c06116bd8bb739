"""The numbers of SPEC section 5, in one value. Knows no circuit. Invariant: seconds everywhere, all above 0."""

from __future__ import annotations

from dataclasses import dataclass

from core.settings import Settings
from proxy_app.faults import Fault


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitRules:
    """`failures` in a row, the first at most `window_s` old, open a circuit for `first_open_s`, doubling to `reset_s`.

    A reset announced by the Plan is believed up to `longest_s`, a quota of Bedrock's holds up to `quota_s` (until midnight);
    an exhausted Plan is probed every `probe_s`. `lease_s` outlives the
    longest answer that gives no sign of life, so that only a lost probe is replaced. `outage_keys` keys that cannot reach
    the Plan within `outage_window_s` close it to the whole worker for `outage_open_s`. `capacity` bounds the memory.
    """

    failures: int = 3
    window_s: float = 600.0
    first_open_s: float = 60.0
    reset_s: float = 300.0
    probe_s: float = 1800.0
    lease_s: float = 330.0
    longest_s: float = 6 * 3600.0
    quota_s: float = 24 * 3600.0
    outage_keys: int = 5
    outage_window_s: float = 30.0
    outage_open_s: float = 30.0
    capacity: int = 20_000

    def longest_for(self, fault: Fault | None) -> float:
        return self.quota_s if fault is Fault.BEDROCK_QUOTA else self.longest_s

    @classmethod
    def from_settings(cls, settings: Settings) -> CircuitRules:
        return cls(
            failures=settings.circuit_failures,
            window_s=settings.circuit_window_s,
            reset_s=settings.circuit_reset_s,
            probe_s=settings.circuit_probe_s,
        )
