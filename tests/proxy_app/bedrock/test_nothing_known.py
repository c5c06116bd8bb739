"""With the tables of betas and fields emptied, the corrections alone get a request through, each class at most once.

Emptied means that nothing is known: every model is taken to accept every flag and every field. What remains is what the
models themselves are (thinking, effort, length).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from core.types import BedrockKey
from proxy_app.bedrock.capabilities import Beta, Capabilities
from proxy_app.bedrock.models import ModelCatalogue, Route
from proxy_app.call import Reply
from proxy_app.circuits import Circuits
from proxy_app.lesson_book import LessonBook
from proxy_app.providers.bedrock import BedrockProvider
from proxy_app.providers.bedrock_attempt import Knowledge
from proxy_app.providers.bedrock_wire import BedrockEndpoint
from proxy_app.upstream_http import UpstreamAnswer, UpstreamRequest
from sandbox.bedrock import Bedrock
from sandbox.http import parse_head, request_of
from sandbox.script import Send, script_of
from tests.proxy_app.bedrock.recorded import ANSWERABLE, SIX_MODELS
from tests.proxy_app.bedrock_world import LIMITS, NOON
from tests.proxy_app.scripted import Clock, ScriptedPool, call

KNOWN = ("thinking", "output_config.effort", "sampling", "metadata", "messages.thinking", "tool_choice", "cache_control.ttl")


def know_nothing(able: Capabilities, flags: tuple[str, ...], pairs: bool) -> Capabilities:
    """All but thinking and effort is taken to be accepted; without `pairs` it is not even known which flag opens what."""
    rows = {name: able.rules.betas.get(name, Beta()) if pairs else Beta() for name in {*flags, *able.rules.betas}}
    lacking = frozenset(name for name in able.rules.features - able.features if name.startswith(KNOWN))
    return replace(
        able,
        rules=replace(able.rules, betas=rows, beta_aliases={}),
        features=able.rules.features - lacking,
        betas=frozenset(rows),
        ga=able.ga if pairs else able.rules.features,
        lone_betas=True,
    )


@dataclass
class SandboxPool(ScriptedPool):
    """Each request is answered by the strict sandbox, as it would answer over a socket."""

    bedrock: Bedrock = field(default_factory=Bedrock)

    def send(self, request: UpstreamRequest, lifeline: object, deadline: float) -> UpstreamAnswer:
        read = request_of(parse_head(request.head()), request.body)
        steps = script_of(self.bedrock.answer(self.bedrock.read(read)))
        self.scripts = [[step.content for step in steps if isinstance(step, Send)]]
        return super().send(request, lifeline, deadline)


@dataclass(frozen=True)
class Ignorant:
    """The catalogue with the tables of betas and fields emptied."""

    catalogue: ModelCatalogue
    flags: tuple[str, ...]
    pairs: bool

    def current(self) -> Any:
        return self

    def canonical(self, model: str) -> str:
        return self.catalogue.canonical(model)

    def routes(self, model: str, key: BedrockKey) -> tuple[Route, ...]:
        able = know_nothing(self.catalogue.capabilities(model), self.flags, self.pairs)
        return tuple(replace(route, capabilities=able) for route in self.catalogue.routes(model, key))


def asked(pool: SandboxPool, catalogue: Any, request: dict[str, Any], model: str, stream: bool) -> Reply:
    """One recorded request to the real provider; raises what it raises."""
    clock = Clock()
    pool.clock = clock
    circuits = Circuits(clock=clock, wall=lambda: NOON, digest_key=b"digest")
    endpoint = BedrockEndpoint(pool, "https://bedrock.example")  # type: ignore[arg-type]
    known = Knowledge(catalogue, LessonBook(lambda: NOON, 86_400.0))
    provider = BedrockProvider(endpoint, known, circuits, LIMITS, (clock, lambda: NOON), lambda *_: None)
    body = {"model": model, **{name: value for name, value in request["body"].items() if name != "model"}}
    return provider.open(call(clock, body=body, stream=stream, headers=(("anthropic-beta", request["betas"]),)))


EACH_MODEL = pytest.mark.parametrize("model", SIX_MODELS)
EACH_REQUEST = pytest.mark.parametrize("name", ANSWERABLE)


@EACH_MODEL
@EACH_REQUEST
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_every_recorded_request_is_served_at_the_first_try(
    catalogue: ModelCatalogue, recorded: dict[str, Any], name: str, model: str, stream: bool
) -> None:
    pool = SandboxPool(Clock(), [])
    assert asked(pool, catalogue, recorded[name], model, stream).status == 200
    assert len(pool.requests) == 1


@EACH_MODEL
@EACH_REQUEST
@pytest.mark.parametrize("pairs", [True, False], ids=["pairs known", "no pair known"])
def test_with_nothing_known_each_class_is_corrected_at_most_once(
    catalogue: ModelCatalogue, recorded: dict[str, Any], name: str, model: str, pairs: bool
) -> None:
    pool = SandboxPool(Clock(), [])
    flags = tuple(recorded[name]["betas"].split(","))
    reply = asked(pool, Ignorant(catalogue, flags, pairs), recorded[name], model, stream=False)
    assert reply.status == 200
    assert len(pool.requests) <= 3  # the first, one for what was named or refused without a name, one for all the rest


def test_every_request_of_the_client_is_recorded_here(recorded: dict[str, Any]) -> None:
    assert recorded.keys() == {*ANSWERABLE, "count_tokens", "web_search"}
