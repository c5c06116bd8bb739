"""Orders, the witness, closed doors and recorded answers, through the control port."""

from __future__ import annotations

import http.client
import socket
from typing import Any

import pytest

from sandbox.client import RecordedAnswer, Sandbox, SandboxError

Caller = Any


def test_an_order_is_used_as_often_as_it_says(plan: Caller, anthropic: Sandbox) -> None:
    anthropic.fault("overloaded", times=2)
    assert [plan.ask().status for _ in range(3)] == [529, 529, 200]


def test_orders_are_used_in_the_order_in_which_they_were_given(plan: Caller, anthropic: Sandbox) -> None:
    anthropic.fault("error_500", times=1)
    anthropic.fault("overloaded", times=1)
    assert [plan.ask().status for _ in range(3)] == [500, 529, 200]


def test_an_order_without_a_number_lasts_until_cleared(plan: Caller, anthropic: Sandbox) -> None:
    anthropic.fault("overloaded")
    assert [plan.ask().status for _ in range(2)] == [529, 529]
    anthropic.clear_faults()
    assert plan.ask().status == 200


def test_an_order_hits_only_what_it_matches(plan: Caller, anthropic: Sandbox) -> None:
    anthropic.fault("overloaded", match={"model": "opus", "credential": "second"})
    second = {"x-api-key": "second-key"}
    assert (plan.ask().status, plan.ask(headers=second, model="claude-sonnet-5").status) == (200, 200)
    assert plan.ask(headers=second).status == 529


def test_an_order_spares_what_makes_no_tokens_unless_its_path_is_named(plan: Caller, anthropic: Sandbox) -> None:
    anthropic.fault("error_500", times=1)
    assert plan.ask("/v1/messages/count_tokens").status == 200
    anthropic.clear_faults()
    anthropic.fault("error_500", match={"path": "count_tokens"})
    assert (plan.ask("/v1/messages/count_tokens").status, plan.ask().status) == (500, 200)


def test_the_requests_own_header_wins_over_orders(plan: Caller, anthropic: Sandbox) -> None:
    anthropic.fault("overloaded", times=1)
    assert [plan.ask(fault="ok").status, plan.ask().status] == [200, 529]


def test_a_default_fault_can_be_given_at_the_start(started: Any, caller_of: Any) -> None:
    caller = caller_of(started("anthropic", "--fault", "plan_exhausted;claim=seven_day"))
    assert caller.ask().status == 429


def test_a_closed_door_refuses_connections_and_ends_idle_ones(plan: Caller, anthropic: Sandbox) -> None:
    plan.ask()
    anthropic.listen(False)
    with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
        plan.ask()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", anthropic.port), timeout=2)
    anthropic.listen(True)
    plan.connection.close()
    assert plan.ask().status == 200


def test_refuse_is_a_fault_that_clearing_ends(plan: Caller, anthropic: Sandbox) -> None:
    anthropic.fault("refuse")
    with pytest.raises(ConnectionRefusedError):
        plan.ask()
    anthropic.clear_faults()
    plan.connection.close()
    assert plan.ask().status == 200


def test_the_witness_tells_raw_target_and_ordered_headers(plan: Caller, anthropic: Sandbox) -> None:
    plan.ask("/ak/x/v1/messages?beta=true&x=%2f", headers={"X-First": "1", "x-Second": "2"})
    seen = anthropic.requests()[-1]
    assert (seen["method"], seen["target"]) == ("POST", "/ak/x/v1/messages?beta=true&x=%2f")
    assert seen["headers"][-2:] == [["X-First", "1"], ["x-Second", "2"]]
    assert (seen["model"], seen["fault"], seen["finished"], seen["body"]) == ("claude-opus-5-5", "ok", True, None)
    assert len(seen["body_sha256"]) == 64


def test_the_witness_tells_only_what_is_new(plan: Caller, anthropic: Sandbox) -> None:
    plan.ask()
    newest = anthropic.requests()[-1]["number"]
    plan.ask(fault="error_500")
    assert [seen["fault"] for seen in anthropic.requests(newest)] == ["error_500"]


def test_bodies_are_kept_when_asked(started: Any, caller_of: Any) -> None:
    keeping = started("anthropic", "--keep-bodies")
    caller_of(keeping).ask()
    assert '"claude-opus-5-5"' in keeping.requests()[-1]["body"]


def test_requests_on_one_connection_share_its_number(plan: Caller, anthropic: Sandbox, caller_of: Any) -> None:
    plan.ask()
    plan.ask()
    caller_of(anthropic).ask()
    first, second, third = (seen["connection"] for seen in anthropic.requests())
    assert first == second != third


def test_idle_connections_can_be_closed_now(plan: Caller, anthropic: Sandbox) -> None:
    plan.ask()
    assert anthropic.close_idle() >= 1
    with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
        plan.ask()


def test_connections_close_when_they_idle_for_too_long(started: Any, caller_of: Any) -> None:
    caller = caller_of(started("anthropic", "--idle-close", "0.5"))
    caller.ask()
    assert caller.connection.sock.recv(1) == b""


def test_a_connection_that_has_not_asked_yet_is_not_idle(started: Any) -> None:
    """Who connects and is held up before its first request would be told that the upstream is away."""
    sandbox = started("anthropic", "--idle-close", "0.1")
    with socket.create_connection(("127.0.0.1", sandbox.port)) as connection:
        connection.settimeout(0.5)
        with pytest.raises(TimeoutError):
            connection.recv(1)


BODY = b'event: odd\ndata: {"x":  1}\n\n\xff\x00'


@pytest.mark.parametrize("framing", ["chunked", "length", "close"])
def test_a_recorded_answer_is_played_back_byte_for_byte(plan: Caller, anthropic: Sandbox, framing: Any) -> None:
    headers = (("Content-Type", "text/event-stream"), ("X-oDD", "a"), ("X-oDD", "b"))
    anthropic.record(RecordedAnswer(BODY, 207, headers, chunks=(1, 5, 9), framing=framing))
    response = plan.begin()
    assert (response.status, response.read()) == (207, BODY)
    assert [pair for pair in response.getheaders() if pair[0] == "X-oDD"] == [("X-oDD", "a"), ("X-oDD", "b")]
    assert plan.ask().status == 200


def test_a_recorded_answer_goes_to_the_request_that_names_it(plan: Caller, anthropic: Sandbox) -> None:
    anthropic.record(RecordedAnswer(b"first"))
    second = anthropic.record(RecordedAnswer(b"second"))
    assert plan.ask(headers={"x-sandbox-answer": second}).body == b"second"
    assert plan.ask().body == b"first"


def test_an_order_that_is_not_understood_is_refused(anthropic: Sandbox) -> None:
    with pytest.raises(SandboxError, match="unknown keys"):
        anthropic.fault("overloaded", match={"colour": "red"})
    with pytest.raises(SandboxError, match="chunks"):
        anthropic.record(RecordedAnswer(b"x", chunks=(5,)))


def test_an_unknown_default_fault_stops_the_start() -> None:
    with pytest.raises(SandboxError, match="did not start"):
        Sandbox("anthropic", ("--fault", "nonsense")).start()


@pytest.mark.parametrize("fault", ["hang", "headers_then_hang", "silent_midstream;after=2", "slow_stream;delay=0.02;events=500"])
def test_a_client_that_leaves_is_noticed_in_every_phase(anthropic: Sandbox, plan: Caller, fault: str) -> None:
    plan.connection.connect()
    plan.connection.timeout = 1
    leaving = plan.connection.sock
    body = b'{"model":"claude-opus-5-5","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"x"}]}'
    head = (
        f"POST /v1/messages HTTP/1.1\r\nHost: x\r\nx-api-key: k\r\nanthropic-version: 2023-06-01\r\nx-sandbox-fault: {fault}\r\n"
    )
    leaving.sendall(head.encode() + b"content-length: %d\r\n\r\n" % len(body) + body)
    wait_for(lambda: anthropic.requests())
    leaving.close()
    wait_for(lambda: anthropic.requests()[-1]["closed_by_client_at"])
    assert anthropic.requests()[-1]["finished"]


def wait_for(reached: Any) -> None:
    """Ask until it is so; every question is a round trip, so this neither sleeps nor spins for long."""
    for _ in range(2000):
        if reached():
            return
    raise AssertionError("did not come about")
