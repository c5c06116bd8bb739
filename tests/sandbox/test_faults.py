"""Each fault by name, seen from a client's side of the wire."""

from __future__ import annotations

import gzip
import http.client
import time
from typing import Any

import pytest

from sandbox.client import Sandbox, SandboxError

Caller = Any
LOST = (http.client.RemoteDisconnected, ConnectionError)


@pytest.mark.parametrize(
    ("fault", "status", "kind"),
    [
        ("error_500", 500, "api_error"),
        ("error_503", 503, "api_error"),
        ("overloaded", 529, "overloaded_error"),
        ("throttle", 429, "rate_limit_error"),
        ("long_context", 429, "rate_limit_error"),
        ("http_400", 400, "invalid_request_error"),
        ("http_401", 401, "authentication_error"),
        ("http_402", 402, "billing_error"),
        ("http_403", 403, "permission_error"),
        ("http_404", 404, "not_found_error"),
        ("http_408", 408, "timeout_error"),
        ("http_413", 413, "request_too_large"),
    ],
)
def test_an_error_of_anthropic_has_its_status_and_type(plan: Caller, fault: str, status: int, kind: str) -> None:
    reply = plan.ask(fault=fault)
    assert (reply.status, reply.json["error"]["type"]) == (status, kind)


@pytest.mark.parametrize("status", [502, 504, 520])
def test_an_error_of_the_edge_is_a_page(plan: Caller, status: int) -> None:
    reply = plan.ask(fault=f"error_{status}")
    assert (reply.status, reply.headers["content-type"]) == (status, "text/html")


@pytest.mark.parametrize(
    ("fault", "status", "kind", "text"),
    [
        ("throttling_http", 429, "ThrottlingException", "Too many requests"),
        ("quota_day", 429, "ThrottlingException", "Too many tokens per day"),
        ("quota_exceeded", 400, "ServiceQuotaExceededException", "quota"),
        ("access_denied", 403, "AccessDeniedException", "access to the model"),
        ("validation;message=odd thing", 400, "ValidationException", "odd thing"),
        ("not_ready", 429, "ModelNotReadyException", "not ready"),
        ("service_unavailable", 503, "ServiceUnavailableException", "unable"),
        ("internal", 500, "InternalServerException", "unexpected"),
        ("model_error_424", 424, "ModelErrorException", "error while processing"),
        ("model_timeout", 408, "ModelTimeoutException", "timed out"),
        ("http_403", 403, "AccessDeniedException", "access"),
    ],
)
def test_an_error_of_bedrock_has_its_status_and_name(cloud: Caller, fault: str, status: int, kind: str, text: str) -> None:
    reply = cloud.ask(fault=fault)
    assert (reply.status, reply.headers["x-amzn-errortype"].partition(":")[0]) == (status, kind)
    assert text in reply.json["message"]


def test_an_exhausted_plan_says_which_window_and_until_when(plan: Caller) -> None:
    reply = plan.ask(fault="plan_exhausted;claim=five_hour;reset=120")
    unified = "anthropic-ratelimit-unified-"
    assert (reply.status, reply.headers[unified + "status"]) == (429, "rejected")
    assert abs(int(reply.headers[unified + "reset"]) - time.time() - 120) < 5
    assert (reply.headers[unified + "5h-status"], reply.headers[unified + "7d-status"]) == ("rejected", "allowed")
    assert (reply.headers["retry-after"], reply.headers["x-should-retry"]) == ("120", "true")


def test_an_exhausted_plan_may_name_no_claim(plan: Caller) -> None:
    headers = plan.ask(fault="plan_exhausted;claim=none").headers
    assert "anthropic-ratelimit-unified-representative-claim" not in headers


def test_an_exhausted_model_leaves_the_others_served(plan: Caller) -> None:
    opus, sonnet = plan.ask(fault="plan_exhausted_model"), plan.ask(fault="plan_exhausted_model", model="claude-sonnet-5-5")
    assert opus.headers["anthropic-ratelimit-unified-representative-claim"] == "seven_day_opus"
    assert (opus.status, sonnet.status) == (429, 200)


def test_a_throttle_has_no_windows_and_the_advice_it_is_told_to_give(plan: Caller) -> None:
    headers = plan.ask(fault="throttle;retry_after=2;should_retry=true").headers
    assert (headers["retry-after"], headers["x-should-retry"]) == ("2", "true")
    assert "anthropic-ratelimit-unified-status" not in headers


def test_paid_overage_is_an_answer_with_a_rejected_window(plan: Caller) -> None:
    reply = plan.ask(
        fault="overage_200", headers={"authorization": "Bearer sk-ant-oat01-x", "anthropic-beta": "oauth-2025-04-20"}
    )
    assert (reply.status, reply.headers["anthropic-ratelimit-unified-status"]) == (200, "rejected")
    assert reply.headers["anthropic-ratelimit-unified-overage-in-use"] == "true"


@pytest.mark.parametrize("fault", ["reset_before_headers", "eof_before_headers", "hang;s=0.05"])
def test_a_lost_connection_gives_no_byte(plan: Caller, fault: str) -> None:
    with pytest.raises(LOST):
        plan.ask(fault=fault)


def test_a_late_first_byte_comes_after_its_time(plan: Caller) -> None:
    asked = time.monotonic()
    assert plan.ask(fault="slow_first_byte;s=0.15").status == 200
    assert time.monotonic() - asked >= 0.15


def test_headers_may_come_without_a_body(plan: Caller) -> None:
    response = plan.begin(fault="headers_then_hang;s=0.05", stream=True)
    assert response.status == 200
    with pytest.raises(http.client.IncompleteRead):
        response.read()


@pytest.mark.parametrize("kind", ["overloaded_error", "rate_limit_error", "api_error"])
def test_the_first_event_may_be_an_error(plan: Caller, kind: str) -> None:
    reply = plan.ask(fault=f"first_event_error;type={kind}", stream=True)
    assert (reply.status, reply.body.count(b"event: "), reply.body.startswith(b"event: error")) == (200, 1, True)
    assert kind.encode() in reply.body


def test_without_a_stream_the_error_is_the_answer(plan: Caller) -> None:
    assert plan.ask(fault="first_event_error;type=rate_limit_error").status == 429


@pytest.mark.parametrize(("how", "error"), [("fin", http.client.IncompleteRead), ("rst", ConnectionResetError)])
def test_a_stream_is_cut_after_its_events(plan: Caller, how: str, error: type[Exception]) -> None:
    response = plan.begin(fault=f"cut_midstream;after=3;how={how}", stream=True)
    assert response.readline() == b"event: message_start\n"
    with pytest.raises(error):
        response.read()


def test_a_json_answer_is_cut_in_its_middle(plan: Caller) -> None:
    response = plan.begin(fault="cut_midstream")
    with pytest.raises(http.client.IncompleteRead) as caught:
        response.read()
    assert len(caught.value.partial) > 0


def test_an_error_in_mid_stream_ends_it(plan: Caller) -> None:
    body = plan.ask(fault="error_midstream;type=api_error;after=4", stream=True).body
    assert body.count(b"event: ") == 5
    assert body.rpartition(b"event: ")[2].startswith(b"error\n")


def test_a_silence_in_mid_stream_ends_with_the_rest(plan: Caller) -> None:
    asked = time.monotonic()
    body = plan.ask(fault="silent_midstream;after=2;s=0.15", stream=True).body
    assert time.monotonic() - asked >= 0.15
    assert body.endswith(b'data: {"type":"message_stop"}\n\n')
    assert body.count(b"event: message_start") == 1


def test_a_stream_may_end_in_order_before_its_message(plan: Caller) -> None:
    assert plan.ask(fault="ends_early;after=3", stream=True).body.count(b"event: ") == 3


def test_a_200_may_be_empty_or_a_page(plan: Caller) -> None:
    empty, page = plan.ask(fault="empty_200", stream=True), plan.ask(fault="html_200", stream=True)
    assert (empty.status, empty.body) == (200, b"")
    assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")


@pytest.mark.parametrize("stream", [True, False])
def test_an_answer_is_compressed_for_who_takes_it(plan: Caller, stream: bool) -> None:
    packed = plan.ask(fault="gzip", stream=stream, headers={"accept-encoding": "gzip, br"})
    plain = plan.ask(fault="gzip", stream=stream, headers={"accept-encoding": "identity"})
    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(packed.body) == plain.body


def test_a_slow_stream_has_as_many_events_as_told(plan: Caller) -> None:
    asked = time.monotonic()
    body = plan.ask(fault="slow_stream;delay=0.005;events=30", stream=True).body
    assert body.count(b"text_delta") == 30
    assert time.monotonic() - asked >= 0.15


@pytest.mark.parametrize("fault", ["one_byte_writes", "dribbled_headers;delay=0.001"])
@pytest.mark.parametrize("stream", [True, False])
def test_an_answer_in_crumbs_is_the_same_answer(plan: Caller, fault: str, stream: bool) -> None:
    assert plan.ask(fault=fault, stream=stream).body == plan.ask(stream=stream).body


def test_a_connection_may_be_closed_silently_after_the_answer(plan: Caller) -> None:
    reply = plan.ask(fault="close_after_response")
    assert (reply.status, reply.headers["connection"]) == (200, "keep-alive")
    with pytest.raises(LOST):
        plan.ask()


def test_a_first_frame_may_be_an_exception(cloud: Caller) -> None:
    reply = cloud.ask(fault="throttling_first_frame", stream=True)
    assert (reply.status, reply.headers["content-type"]) == (200, "application/vnd.amazon.eventstream")
    assert b"throttlingException" in reply.body


def test_an_unserved_part_is_counted_as_partial(plan: Caller, anthropic: Sandbox) -> None:
    response = plan.begin(fault="cut_midstream;after=3", stream=True)
    with pytest.raises(http.client.IncompleteRead):
        response.read()
    totals = anthropic.totals()
    assert (totals["complete"]["answers"], totals["partial"]["answers"], totals["partial"]["output_tokens"]) == (0, 1, 1)


@pytest.mark.parametrize("name", ["nonsense", "hang;x=1", "hang;s=soon", "throttling_http"])
def test_a_fault_that_does_not_exist_is_refused(plan: Caller, anthropic: Sandbox, name: str) -> None:
    assert plan.ask(fault=name).status == 400
    with pytest.raises(SandboxError):
        anthropic.fault(name)
