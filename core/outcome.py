"""What counts as an error, and what as a fallback: of every finished request, wherever it is counted. Pure."""

from __future__ import annotations

from core.types import ProviderName


def is_error(status: int, provider: str, fault: str) -> bool:
    """Answers that are 5xx, or that we made because no upstream gave one. Who hung up got no error."""
    if fault == "client_gone":
        return False
    return status >= 500 or fault == "stream_broken" or (not provider and status >= 400)


def is_fallback(provider: str, fault: str) -> bool:
    """Bedrock answered because the Plan did not."""
    return provider == ProviderName.BEDROCK and fault.startswith("plan_")
