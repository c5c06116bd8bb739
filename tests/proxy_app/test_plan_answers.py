"""What each answer of the Plan means (SPEC section 4, the left column of the table)."""

from __future__ import annotations

import orjson
import pytest

from proxy_app.faults import Fault
from proxy_app.providers.plan_answers import Verdict, error_type_of, fault_of_error_event, judge, names_thinking

UNIFIED = "anthropic-ratelimit-unified-"
NOW = 1_800_000_000


def error(message: str, kind: str = "rate_limit_error") -> bytes:
    return orjson.dumps({"type": "error", "error": {"type": kind, "message": message}})


def rejected(claim: str | None = None, **more: object) -> dict[str, str]:
    headers = {"status": "rejected", "reset": NOW, "representative-claim": claim}
    headers |= {name.replace("_", "-"): value for name, value in more.items()}
    return {UNIFIED + name: str(value) for name, value in headers.items() if value is not None}


@pytest.mark.parametrize("status", [200, 201, 299])
def test_a_success_is_the_answer_even_with_a_window_rejected(status: int) -> None:
    assert judge(status, rejected("five_hour"), b"") == Verdict(None)


@pytest.mark.parametrize(
    ("status", "fault"),
    [
        (400, Fault.REJECTED), (404, Fault.REJECTED), (409, Fault.REJECTED), (413, Fault.REJECTED), (422, Fault.REJECTED),
        (401, Fault.PLAN_AUTH), (403, Fault.PLAN_AUTH), (402, Fault.PLAN_ENTITLEMENT), (408, Fault.PLAN_TIMEOUT),
        (529, Fault.PLAN_OVERLOADED), (500, Fault.PLAN_ERROR), (501, Fault.PLAN_ERROR), (502, Fault.PLAN_ERROR),
        (503, Fault.PLAN_ERROR), (504, Fault.PLAN_ERROR), (520, Fault.PLAN_ERROR), (526, Fault.PLAN_ERROR),
        (599, Fault.PLAN_ERROR),
    ],
)  # fmt: skip
def test_every_status_but_429_has_one_meaning_whatever_its_headers_say(status: int, fault: Fault) -> None:
    assert judge(status, rejected("five_hour") | {"retry-after": "1"}, b"<html>") == Verdict(fault)


@pytest.mark.parametrize("claim", ["five_hour", "seven_day", None, ""])
def test_the_accounts_window_is_used_up_for_every_family(claim: str | None) -> None:
    assert judge(429, rejected(claim), b"") == Verdict(Fault.PLAN_EXHAUSTED, NOW, whole_account=True)


@pytest.mark.parametrize("claim", ["seven_day_opus", "seven_day_sonnet", "seven_day_oi"])
def test_a_window_of_a_model_is_used_up_for_its_family_alone(claim: str) -> None:
    later = NOW + 9000
    verdict = judge(429, rejected(claim, **{"5h_status": "rejected", "5h_reset": later}), b"")
    assert verdict == Verdict(Fault.PLAN_EXHAUSTED, NOW, whole_account=False)


def test_the_latest_reset_among_the_rejected_windows_counts() -> None:
    windows = {"5h_status": "rejected", "5h_reset": NOW + 60, "7d_status": "rejected", "7d_reset": NOW + 600}
    assert judge(429, rejected("five_hour", **windows), b"").open_until == NOW + 600


def test_the_reset_of_a_window_that_is_open_does_not_count() -> None:
    windows = {"5h_status": "rejected", "5h_reset": NOW + 60, "7d_status": "allowed_warning", "7d_reset": NOW + 600}
    assert judge(429, rejected("five_hour", **windows), b"").open_until == NOW + 60


@pytest.mark.parametrize("reset", ["", "soon", "-5", "nan", "inf", "9" * 400])
def test_a_reset_that_is_no_time_is_no_reset(reset: str) -> None:
    assert judge(429, rejected("five_hour", reset=reset), b"") == Verdict(Fault.PLAN_EXHAUSTED, None, whole_account=True)


@pytest.mark.parametrize("unified", [{}, {UNIFIED + "status": "allowed"}, {UNIFIED + "status": "allowed_warning"}])
def test_a_429_that_rejects_no_window_is_a_throttle(unified: dict[str, str]) -> None:
    assert judge(429, unified, error("Error")) == Verdict(Fault.PLAN_THROTTLED)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "2"}, 2.0), ({"retry-after": "0"}, 0.0), ({"retry-after": "2", "x-should-retry": "true"}, 2.0),
        ({"x-should-retry": "true"}, 0.5), ({"x-should-retry": "false"}, None), ({}, None),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT", "x-should-retry": "true"}, None), ({"retry-after": "nan"}, None),
    ],
)  # fmt: skip
def test_a_throttle_says_when_it_may_be_asked_again(headers: dict[str, str], seconds: float | None) -> None:
    assert judge(429, headers, b"").retry_after_s == seconds


@pytest.mark.parametrize(
    "message",
    [
        "Extra usage is required for long context requests.",
        "The long context beta is not yet available for this subscription.",
        "Usage credits are required for long context requests.",
    ],
)
@pytest.mark.parametrize("headers", [{}, rejected("five_hour"), {"retry-after": "1"}], ids=["bare", "rejected", "retry"])
def test_what_the_plan_does_not_include_is_no_window_and_no_throttle(message: str, headers: dict[str, str]) -> None:
    assert judge(429, headers, error(message)) == Verdict(Fault.PLAN_ENTITLEMENT)


@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        ("overloaded_error", Fault.PLAN_OVERLOADED), ("rate_limit_error", Fault.PLAN_THROTTLED), ("api_error", Fault.PLAN_ERROR),
        ("timeout_error", Fault.PLAN_TIMEOUT), ("billing_error", Fault.PLAN_ENTITLEMENT), ("new_error", Fault.PLAN_ERROR),
    ],
)  # fmt: skip
def test_a_stream_that_begins_with_an_error_has_the_fault_of_its_type(kind: str, fault: Fault) -> None:
    assert fault_of_error_event(error("x", kind)) is fault


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"[1]", b"{}", b'{"error":3}', b'{"error":[]}', b'{"error":{}}', b"null"]
)
def test_a_body_of_another_shape_names_nothing(body: bytes) -> None:
    assert (error_type_of(body), names_thinking(body), fault_of_error_event(body)) == ("", False, Fault.PLAN_ERROR)
    assert judge(429, {}, body) == Verdict(Fault.PLAN_THROTTLED)


@pytest.mark.parametrize(
    "message",
    [
        "messages.1.content.0: Invalid `signature` in `thinking` block",
        "messages.3.content.0: `thinking` or `redacted_thinking` blocks in the latest assistant message cannot be modified.",
        "thinking block is bound to another conversation",
        "messages.1.content.0.thinking.signature: Field required",
        "messages.1.content.0.type: Expected `thinking` or `redacted_thinking`, but found `tool_use`.",
    ],
)
def test_a_complaint_about_thinking_is_recognised(message: str) -> None:
    assert names_thinking(error(message, "invalid_request_error"))


@pytest.mark.parametrize("message", ["max_tokens must be greater than thinking.budget_tokens", "signature", "prompt is too long"])
def test_other_complaints_are_none_about_thinking(message: str) -> None:
    assert not names_thinking(error(message, "invalid_request_error"))
