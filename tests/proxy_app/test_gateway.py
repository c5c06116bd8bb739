"""The one loop over upstreams, with upstreams that say what the test tells them to; the same promises run live in tests/live."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import pytest

from core.types import BedrockKey, Grant, KeyHealth, ProviderName, Residency, Strategy
from proxy_app.bedrock.models import load_catalogue
from proxy_app.call import Asked, Call, Endpoint, Reply
from proxy_app.circuits import Circuits
from proxy_app.faults import POLICY, Fault, NotAsked, UpstreamError
from proxy_app.gateway import Gateway, Opened, route
from proxy_app.upstream_socket import Severed

PLAN, BEDROCK = ProviderName.PLAN, ProviderName.BEDROCK
KEY = BedrockKey("bdk-1", "us-east-1", Residency.GLOBAL, KeyHealth.HEALTHY, "secret")
CATALOGUE = load_catalogue()


class Body:
    def __init__(self) -> None:
        self.closed = 0

    def __iter__(self) -> Iterator[bytes]:
        yield b"{}"

    def close(self) -> None:
        self.closed += 1


class Line:
    gone = draining = False


@dataclass
class Upstream:
    """Answers each request with the next of `says`, and from then on with the last."""

    name: ProviderName
    says: list[Reply | BaseException]
    metered: bool = False
    is_able: bool = True
    asked: list[bool] = field(default_factory=list)  # of each request, whether it insisted

    def serves(self, call: Call) -> bool:
        return self.is_able

    def open(self, call: Call, *, insist: bool = False) -> Reply:
        self.asked.append(insist)
        said = self.says.pop(0) if len(self.says) > 1 else self.says[0]
        if isinstance(said, Reply):
            return said
        raise said


@dataclass
class World:
    now: float = 1000.0
    plan: Upstream = field(default_factory=lambda: Upstream(PLAN, [reply(PLAN)]))
    bedrock: Upstream = field(default_factory=lambda: Upstream(BEDROCK, [reply(BEDROCK)]))
    circuits: Circuits = field(init=False)

    def __post_init__(self) -> None:
        clock = lambda: self.now  # noqa: E731
        self.circuits = Circuits(clock=clock, wall=clock, digest_key=b"digest")
        self.gateway = Gateway((self.plan, self.bedrock), self.circuits, CATALOGUE, clock)

    def open(self, **changes: Any) -> Opened:
        return self.gateway.open(call(**changes))

    def is_skipped(self) -> bool:
        before = len(self.plan.asked)
        self.open()
        return len(self.plan.asked) == before


def reply(provider: ProviderName, status: int = 200, *, streamed: bool = False, fault: Fault | None = None) -> Reply:
    return Reply(status, (), Body(), provider, streamed=streamed, fault=fault)


def call(
    strategy: Strategy = Strategy.PLAN_FIRST, stream: bool = True, quota_probe: bool = False, commit_by: float = float("inf")
) -> Call:
    asked = Asked("claude-opus-5-5", stream, quota_probe, {})
    grant = Grant("usr-1", "key-1", strategy, (KEY,))
    line: object = Line()
    return Call("req_1", grant, Endpoint.MESSAGES, "POST", "/v1/messages", (), b"{}", asked, line, commit_by=commit_by)  # type: ignore[arg-type]


def failing(fault: Fault, answer: Reply | None = None, **more: object) -> UpstreamError:
    return UpstreamError(fault, answer=answer, **more)  # type: ignore[arg-type]


@pytest.fixture
def world() -> World:
    return World()


# --- route


@pytest.mark.parametrize(("quota_probe", "serves"), list(product([True, False], repeat=2)))
def test_each_strategy_keeps_to_its_upstreams(quota_probe: bool, serves: bool) -> None:
    first, bedrock_only, plan_only = (
        route(call(strategy, quota_probe=quota_probe), bedrock_serves=serves)
        for strategy in (Strategy.PLAN_FIRST, Strategy.BEDROCK_ONLY, Strategy.PLAN_ONLY)
    )
    assert first == ((PLAN, BEDROCK) if serves and not quota_probe else (PLAN,))
    assert (bedrock_only, plan_only) == ((BEDROCK,), (PLAN,))


# --- the table


@pytest.mark.parametrize("fault", [fault for fault in Fault if fault.value.startswith("plan_") and POLICY[fault].falls_back])
def test_whatever_falls_back_is_answered_by_bedrock_and_the_plans_answer_is_closed(world: World, fault: Fault) -> None:
    refusal = reply(PLAN, 503)
    world.plan.says = [failing(fault, refusal)]
    opened = world.open()
    assert (opened.reply.provider, opened.fallback, opened.outcome.fault) == (BEDROCK, fault, fault)
    assert refusal.body.closed == 1  # type: ignore[attr-defined]


@pytest.mark.parametrize("fault", [Fault.PLAN_AUTH, Fault.REJECTED])
def test_whatever_does_not_fall_back_is_passed_on(world: World, fault: Fault) -> None:
    refusal = reply(PLAN, 401)
    world.plan.says = [failing(fault, refusal)]
    opened = world.open()
    assert (opened.reply, opened.fallback, opened.outcome.fault) == (refusal, None, fault)
    assert world.bedrock.asked == []


def test_a_timeout_without_an_answer_falls_back_for_a_stream_only(world: World) -> None:
    world.plan.says = [failing(Fault.PLAN_TIMEOUT)]
    assert world.open(stream=False).reply.status == 504
    assert World(plan=world.plan).open(stream=True).reply.provider is BEDROCK
    assert len(world.plan.asked) == 2


def test_a_refusal_that_is_passed_on_neither_counts_nor_starts_the_count_anew(world: World) -> None:
    overloaded = failing(Fault.PLAN_OVERLOADED)
    world.plan.says = [overloaded, overloaded, reply(PLAN, 404, fault=Fault.REJECTED), overloaded]
    for _ in range(4):
        world.open()
    assert world.is_skipped()


def test_a_success_in_one_piece_starts_the_count_anew(world: World) -> None:
    overloaded = failing(Fault.PLAN_OVERLOADED)
    world.plan.says = [overloaded, overloaded, reply(PLAN), overloaded]
    for _ in range(4):
        world.open(stream=False)
    assert not world.is_skipped()


def test_a_stream_is_settled_by_its_end(world: World) -> None:
    world.plan.says = [reply(PLAN, streamed=True)]
    opened = [world.open() for _ in range(3)]
    for each in opened:
        assert each.admission is not None
        each.admission.failed(Fault.STREAM_BROKEN)
    assert world.is_skipped()


def test_a_probe_is_settled_by_its_commit(world: World) -> None:
    world.plan.says = [failing(Fault.PLAN_TIMEOUT), reply(PLAN, streamed=True)]
    world.open()
    world.now += 61
    assert world.open().admission is None
    assert not world.is_skipped()


def test_the_circuits_state_is_in_the_outcome(world: World) -> None:
    world.plan.says = [failing(Fault.PLAN_OVERLOADED)]
    circuits = [world.open().outcome.circuit for _ in range(4)]
    assert circuits[:2] == ["closed", "closed"]
    assert [each.startswith("open until ") for each in circuits[2:]] == [True, True]


# --- nothing else can serve


@pytest.mark.parametrize("fault", [fault for fault in Fault if fault.value.startswith("bedrock_")])
def test_whatever_bedrock_does_the_plans_own_answer_is_passed_on_open(world: World, fault: Fault) -> None:
    refusal = reply(PLAN, 429)
    world.plan.says = [failing(Fault.PLAN_EXHAUSTED, refusal)]
    world.bedrock.says = [failing(fault, reply(BEDROCK, 500))]
    opened = world.open()
    assert (opened.reply, refusal.body.closed) == (refusal, 0)  # type: ignore[attr-defined]
    assert opened.outcome.fault is Fault.PLAN_EXHAUSTED


def test_a_skipped_plan_is_asked_when_bedrock_fails_and_its_answer_is_no_fault(world: World) -> None:
    world.plan.says = [failing(Fault.PLAN_TIMEOUT), reply(PLAN)]
    world.open()
    world.bedrock.says = [failing(Fault.BEDROCK_OVERLOADED)]
    opened = world.open()
    assert (opened.reply.provider, opened.outcome.fault) == (PLAN, None)
    assert [each.partition("(")[0] for each in opened.outcome.trace] == [
        "plan:skipped", "bedrock:bedrock_overloaded", "plan:last resort", "plan:200",
    ]  # fmt: skip


def test_before_an_error_is_made_a_bedrock_that_was_only_skipped_is_insisted_upon(world: World) -> None:
    world.plan.says = [failing(Fault.PLAN_UNREACHABLE)]
    world.bedrock.says = [NotAsked(Fault.BEDROCK_THROTTLED), reply(BEDROCK)]
    assert world.open().reply.provider is BEDROCK
    assert world.bedrock.asked == [False, True]


def test_a_bedrock_that_was_asked_is_not_asked_again(world: World) -> None:
    world.plan.says = [failing(Fault.PLAN_UNREACHABLE)]
    world.bedrock.says = [failing(Fault.BEDROCK_THROTTLED)]
    assert world.open().reply.status == 529
    assert world.bedrock.asked == [False]


@pytest.mark.parametrize(
    "fault",
    [Fault.PLAN_UNREACHABLE, Fault.PLAN_ERROR, Fault.PLAN_OVERLOADED, Fault.PLAN_TIMEOUT],
)
def test_an_error_of_ours_for_a_stream_is_an_overload(world: World, fault: Fault) -> None:
    world.plan.says = [failing(fault)]
    world.bedrock.says = [failing(Fault.BEDROCK_ERROR)]
    opened = world.open()
    assert (opened.reply.status, opened.reply.error_type, opened.reply.provider) == (529, "overloaded_error", None)


def test_a_bedrock_only_call_insists(world: World) -> None:
    world.open(strategy=Strategy.BEDROCK_ONLY)
    assert (world.plan.asked, world.bedrock.asked) == ([], [True])


def test_with_no_time_left_nobody_is_asked(world: World) -> None:
    opened = world.open(commit_by=world.now)
    assert (opened.reply.status, world.plan.asked, world.bedrock.asked) == (529, [], [])


# --- the end of the client, and of admissions


@pytest.mark.parametrize("gone", [True, False], ids=["client gone", "draining"])
def test_a_cut_tells_the_circuit_nothing_and_closes_what_was_kept(world: World, gone: bool) -> None:
    refusal = reply(PLAN, 503)
    world.plan.says = [failing(Fault.PLAN_ERROR, refusal)]
    world.bedrock.says = [Severed()]
    cut = call()
    cut.lifeline.gone = gone  # type: ignore[misc]
    opened = world.gateway.open(cut)
    assert (opened.reply.status, refusal.body.closed) == (499 if gone else 529, 1)  # type: ignore[attr-defined]


def test_a_probe_that_was_cut_is_given_to_the_next(world: World) -> None:
    world.plan.says = [failing(Fault.PLAN_TIMEOUT), Severed(), reply(PLAN)]
    world.open()
    world.now += 61
    world.open()
    assert not world.is_skipped()


def test_a_defect_in_a_provider_does_not_keep_a_probe(world: World) -> None:
    world.plan.says = [failing(Fault.PLAN_TIMEOUT), ZeroDivisionError(), reply(PLAN)]
    world.open()
    world.now += 61
    with pytest.raises(ZeroDivisionError):
        world.open()
    assert not world.is_skipped()


def test_what_was_tried_is_in_the_trace_also_when_it_failed(world: World) -> None:
    failed = failing(Fault.BEDROCK_THROTTLED)
    failed.notes = ("bedrock:throttled(global.x)",)
    world.plan.says = [failing(Fault.PLAN_ERROR, reply(PLAN, 500))]
    world.bedrock.says = [failed]
    assert world.open().outcome.trace == ["plan:plan_error", "bedrock:throttled(global.x)", "bedrock:bedrock_throttled"]
