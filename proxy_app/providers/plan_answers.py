"""What a Plan answer means: fine, passed through, or a fault (SPEC section 4, the table's left column).

Pure: a status, headers and a body in, a verdict out. The only reader of `anthropic-ratelimit-unified-*`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from proxy_app.faults import Fault

_UNIFIED = "anthropic-ratelimit-unified-"
_ACCOUNT_CLAIMS = frozenset({"", "five_hour", "seven_day"})
_WINDOWS = ("5h", "7d")
_ENTITLEMENT = re.compile(r"extra usage is required|usage credits (are )?required|long context (requests|beta)", re.IGNORECASE)
_THINKING = re.compile(
    r"signature.{0,40}thinking|thinking.{0,60}(signature|bound|cannot be modified)|block is bound|expected .?thinking",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """`fault` None: it is the answer. `open_until` is unix seconds, only with an announced reset.

    `retry_after_s` is set when the Plan may be asked once more after that many seconds (a burst throttle).
    """

    fault: Fault | None
    open_until: float | None = None
    whole_account: bool = False
    retry_after_s: float | None = None


_ANSWER = Verdict(None)


def judge(status: int, headers: Mapping[str, str], body: bytes) -> Verdict:
    """`headers` have lower-case names. `body` is the whole error body; it is not looked at for a 2xx."""
    if 200 <= status < 300:
        return _ANSWER
    if status == 429:
        return _judge_429(headers, body)
    if status == 402:
        return Verdict(Fault.PLAN_ENTITLEMENT)
    if status in (401, 403):
        return Verdict(Fault.PLAN_AUTH)
    if status == 408:
        return Verdict(Fault.PLAN_TIMEOUT)
    if status == 529:
        return Verdict(Fault.PLAN_OVERLOADED)
    if status >= 500:
        return Verdict(Fault.PLAN_ERROR)
    return Verdict(Fault.REJECTED)


def fault_of_error_event(event: bytes) -> Fault:
    """The fault of a stream whose first event is `error`."""
    kind = error_type_of(event)
    return _FAULT_OF_TYPE.get(kind, Fault.PLAN_ERROR)


def error_type_of(body: bytes) -> str:
    """`error.type` of an error body or event in Anthropic's shape, or an empty string."""
    return str(_error_of(body).get("type") or "")


def names_thinking(body: bytes) -> bool:
    """Whether a 400 complains about a thinking block: its signature, its binding, or that a running turn lacks it."""
    return bool(_THINKING.search(str(_error_of(body).get("message") or "")))


_FAULT_OF_TYPE: Mapping[str, Fault] = {
    "overloaded_error": Fault.PLAN_OVERLOADED,
    "rate_limit_error": Fault.PLAN_THROTTLED,
    "timeout_error": Fault.PLAN_TIMEOUT,
    "billing_error": Fault.PLAN_ENTITLEMENT,
}


def _judge_429(headers: Mapping[str, str], body: bytes) -> Verdict:
    if _ENTITLEMENT.search(str(_error_of(body).get("message") or "")):
        return Verdict(Fault.PLAN_ENTITLEMENT)
    if headers.get(_UNIFIED + "status") == "rejected":
        claim = headers.get(_UNIFIED + "representative-claim", "")
        whole_account = claim in _ACCOUNT_CLAIMS
        return Verdict(Fault.PLAN_EXHAUSTED, _reset_of(headers, whole_account), whole_account)
    return Verdict(Fault.PLAN_THROTTLED, retry_after_s=_retry_after(headers))


def _reset_of(headers: Mapping[str, str], whole_account: bool) -> float | None:
    """The latest reset among the rejected windows; a model-scoped claim has its reset in the general header alone."""
    resets = [_number(headers.get(_UNIFIED + "reset", ""))]
    if whole_account:
        resets += [
            _number(headers.get(f"{_UNIFIED}{window}-reset", ""))
            for window in _WINDOWS
            if headers.get(f"{_UNIFIED}{window}-status") == "rejected"
        ]
    known = [reset for reset in resets if reset is not None]
    return max(known, default=None)


def _retry_after(headers: Mapping[str, str]) -> float | None:
    seconds = _number(headers.get("retry-after", ""))
    if seconds is not None:
        return seconds
    if "retry-after" not in headers and headers.get("x-should-retry") == "true":
        return 0.5
    return None


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if 0 <= number < 1e12 else None


def _error_of(body: bytes) -> Mapping[str, object]:
    try:
        error = orjson.loads(body)["error"]
    except (ValueError, KeyError, TypeError, IndexError):
        return {}
    return error if isinstance(error, dict) else {}
