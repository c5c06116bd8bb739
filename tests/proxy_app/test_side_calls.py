"""count_tokens, models and other paths: who answers, and that no connection is forgotten; run live in tests/live too."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import orjson
import pytest

from core.types import Confidence, ProviderName, Residency, Strategy
from proxy_app.bedrock.models import load_catalogue
from proxy_app.call import Endpoint
from proxy_app.faults import Fault
from proxy_app.gateway import Opened
from proxy_app.providers.bedrock_wire import BedrockEndpoint
from proxy_app.providers.plan import PlanLimits, PlanProvider
from proxy_app.side_calls import SideCalls
from proxy_app.upstream_http import ConnectFailed
from proxy_app.upstream_socket import Severed
from tests.proxy_app.scripted import KEY, OTHER_KEY, Clock, Script, ScriptedPool, answer, call

LIMITS = PlanLimits(first_byte_s=90.0, response_s=300.0, silence_s=240.0, count_tokens_s=5.0, patience_s=3.0)
BODY = {"model": "claude-sonnet-4-6", "messages": [{"role": "user", "content": "count me"}]}
COUNTED: Script = [answer(200, b'{"inputTokens":7}')]
PLAN_COUNTED: Script = [answer(200, b'{"input_tokens":5}')]
AWAY: Script = [ConnectFailed("refused")]
OVERLOADED: Script = [answer(529)]


@dataclass
class World:
    clock: Clock = field(default_factory=Clock)
    pool: ScriptedPool = field(init=False)
    count_region: str = ""

    def calls(self, *scripts: Script) -> SideCalls:
        """The Plan and Bedrock share the list of answers, as they share the pool."""
        self.pool = ScriptedPool(self.clock, [list(script) for script in scripts])
        plan = PlanProvider(self.pool, "https://plan.example", LIMITS, self.clock)  # type: ignore[arg-type]
        bedrock = BedrockEndpoint(self.pool, "https://bedrock.{region}.example")  # type: ignore[arg-type]
        return SideCalls(plan, bedrock, load_catalogue(), self.clock, LIMITS.count_tokens_s, self.count_region)

    def count(self, *scripts: Script, **changes: Any) -> Opened:
        return self.calls(*scripts).count_tokens(
            call(self.clock, Endpoint.COUNT_TOKENS, **{"stream": False, "body": BODY, **changes})
        )

    def models(self, *scripts: Script, **changes: Any) -> Opened:
        target = {"stream": False, "target": "/v1/models?limit=1000"}
        return self.calls(*scripts).models(call(self.clock, Endpoint.MODELS, **{**target, **changes}))

    def other(self, *scripts: Script, **changes: Any) -> Opened:
        return self.calls(*scripts).pass_through(call(self.clock, Endpoint.PASSTHROUGH, **{"stream": False, **changes}))

    @property
    def hosts(self) -> list[str]:
        return [each.origin.host.split(".")[0] for each in self.pool.requests]


@pytest.fixture
def world() -> World:
    return World()


def content(opened: Opened) -> Any:
    return orjson.loads(b"".join(opened.reply.body))


def is_estimated(opened: Opened) -> bool:
    marked = ("x-proxy-estimated", "true") in opened.reply.headers
    return marked and opened.outcome.confidence is Confidence.ESTIMATED and content(opened)["input_tokens"] > 0


def test_the_plans_count_is_passed_on(world: World) -> None:
    opened = world.count(PLAN_COUNTED)
    assert (content(opened), opened.outcome.provider, opened.outcome.trace) == (
        {"input_tokens": 5},
        ProviderName.PLAN,
        ["plan:200"],
    )


@pytest.mark.parametrize("plan", [AWAY, OVERLOADED, [answer(429)], [answer(402)], [answer(200, b"{", length=9)], [6.0, answer()]])
def test_a_plan_that_does_not_count_is_replaced_by_bedrock(world: World, plan: Script) -> None:
    opened = world.count(plan, COUNTED)
    assert (content(opened), opened.outcome.provider) == ({"input_tokens": 7}, ProviderName.BEDROCK)
    assert world.hosts == ["plan", "bedrock"]
    assert world.pool.requests[1].target == "/model/anthropic.claude-sonnet-4-6/count-tokens"


@pytest.mark.parametrize(
    "bedrock",
    [
        AWAY, [answer(403)], [answer(200, b"[]")], [answer(200, b"null")], [answer(200, b"{}")], [answer(200, b"<html>")],
        [answer(200, b'{"inputTokens":"7"}')], [6.0, answer()], [answer(200, b"{", length=9), ConnectionResetError()],
    ],
)  # fmt: skip
def test_a_bedrock_that_does_not_count_is_replaced_by_an_estimate(world: World, bedrock: Script) -> None:
    opened = world.count(OVERLOADED, bedrock)
    assert is_estimated(opened)
    assert opened.outcome.trace[-1] == "estimated"
    assert all(world.pool.fates)


def test_the_next_key_is_asked_within_the_same_time(world: World) -> None:
    assert content(world.count(OVERLOADED, [answer(403)], COUNTED, keys=(KEY, OTHER_KEY))) == {"input_tokens": 7}
    world.count(OVERLOADED, [6.0], [6.0], keys=(KEY, OTHER_KEY))
    assert world.clock.now <= 1005


@pytest.mark.parametrize(("strategy", "scripts", "hosts"), [
    (Strategy.PLAN_ONLY, [OVERLOADED], ["plan"]),
    (Strategy.BEDROCK_ONLY, [[answer(500)]], ["bedrock"]),
])  # fmt: skip
def test_each_strategy_keeps_to_its_upstream_before_the_estimate(
    world: World, strategy: Strategy, scripts: list[Script], hosts: list[str]
) -> None:
    assert is_estimated(world.count(*scripts, strategy=strategy))
    assert world.hosts == hosts


@pytest.mark.parametrize("body", [{}, {"model": "x"}, {"messages": 3}, {"model": "claude-sonnet-4-6", "messages": [None, 1, {}]}])
def test_whatever_the_body_holds_there_is_a_number(world: World, body: dict[str, Any]) -> None:
    assert content(world.count(AWAY, AWAY, body=body))["input_tokens"] > 0


@pytest.mark.parametrize("gone", [True, False], ids=["client gone", "draining"])
@pytest.mark.parametrize("scripts", [[[Severed()]], [OVERLOADED, [Severed()]]], ids=["at the plan", "at bedrock"])
def test_a_cut_ends_the_count(world: World, gone: bool, scripts: list[Script]) -> None:
    cut = call(world.clock, Endpoint.COUNT_TOKENS, stream=False, body=BODY)
    cut.lifeline.gone = gone  # type: ignore[misc]
    opened = world.calls(*scripts).count_tokens(cut)
    assert (opened.reply.status, opened.outcome.fault) == ((499, Fault.CLIENT_GONE) if gone else (529, None))


def test_bedrocks_models_are_those_of_every_key(world: World) -> None:
    opened = world.models(OVERLOADED, keys=(KEY, OTHER_KEY))
    ids = [row["id"] for row in content(opened)["data"]]
    assert (len(ids), "claude-sonnet-5-5" in ids) == (len(set(ids)), True)
    assert opened.outcome.provider is ProviderName.BEDROCK


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=-1", "limit=x", "limit=99999", "limit=", "after_id=none", "before_id=none", "&&=&"]
)
def test_a_strange_page_is_a_page(world: World, query: str) -> None:
    page = content(world.models(AWAY, target=f"/v1/models?{query}"))
    assert 1 <= len(page["data"]) <= 20
    assert page["first_id"] == page["data"][0]["id"]


def test_an_alias_finds_its_model(world: World) -> None:
    assert content(world.models(AWAY, target="/v1/models/claude-sonnet-4-5"))["id"] == "claude-sonnet-4-5-20250929"


def test_a_list_of_nothing_is_never_made(world: World) -> None:
    assert world.models(OVERLOADED, keys=()).reply.provider is ProviderName.PLAN
    assert world.models(AWAY, keys=()).reply.status == 529


def test_any_other_path_is_the_plans_whatever_it_answers(world: World) -> None:
    assert world.other(OVERLOADED).reply.provider is ProviderName.PLAN
    assert world.other(AWAY).reply.status == 529
    refused = world.other(strategy=Strategy.BEDROCK_ONLY)
    assert (refused.reply.status, world.pool.requests) == (404, [])


# --- counting in another region


SEOUL = replace(KEY, region="ap-northeast-2")


def test_a_region_that_cannot_count_gets_an_estimate_unless_the_operator_named_another(world: World) -> None:
    assert world.count(AWAY, keys=(SEOUL,)).outcome.trace[-1] == "estimated"
    world.count_region = "us-east-1"
    assert content(world.count(AWAY, COUNTED, keys=(SEOUL,))) == {"input_tokens": 7}
    assert world.pool.requests[-1].origin.host == "bedrock.us-east-1.example"


@pytest.mark.parametrize(
    "key",
    [
        pytest.param(replace(SEOUL, residency=Residency.GEO), id="residency geo"),
        pytest.param(replace(SEOUL, secret="bedrock-api-key-for-hours"), id="good in its region only"),
        pytest.param(replace(KEY, region="us-gov-west-1"), id="another partition"),
    ],
)
def test_nothing_is_counted_elsewhere_that_may_not_leave_or_whose_key_is_not_good_there(world: World, key: Any) -> None:
    world.count_region = "us-east-1"
    assert world.count(AWAY, keys=(key,)).outcome.trace[-1] == "estimated"
    assert world.hosts == ["plan"]


def test_a_region_that_can_count_counts_itself(world: World) -> None:
    world.count_region = "us-east-1"
    world.count(AWAY, COUNTED, keys=(replace(KEY, region="eu-west-1"),))
    assert world.pool.requests[-1].origin.host == "bedrock.eu-west-1.example"
