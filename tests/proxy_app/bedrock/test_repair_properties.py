"""What holds for every request and every model, with the strict sandbox as the judge of what Bedrock takes."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from proxy_app.bedrock.models import ModelCatalogue
from proxy_app.bedrock.repair import CannotServe, Repaired, repair, serialise
from sandbox.bedrock_models import MODELS, Model
from tests.proxy_app.bedrock.accepted import grown, refusal
from tests.proxy_app.bedrock.parts import Request, requests

EACH_MODEL = pytest.mark.parametrize("model", MODELS.values(), ids=lambda model: model.name)
GENERATIONS = [model for model in MODELS.values() if model.name[7:] in ("sonnet-4-5-20250929", "opus-4-7", "opus-5", "opus-5-5")]
EACH_GENERATION = pytest.mark.parametrize("model", GENERATIONS, ids=lambda model: model.name)
GROWN = settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
CHECKED = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
# Flags that Bedrock takes and that change nothing there: no function on Bedrock, or one that every model has by now.
IDLE = {
    "computer-use-2024-10-22", "context-1m-2025-08-07", "output-128k-2025-02-19", "token-efficient-tools-2025-02-19",
    "dev-full-thinking-2025-05-14", "mcp-client-2025-04-04", "mcp-client-2025-11-20", "pdfs-2024-09-25",
    "token-counting-2024-11-01", "web-search-2025-03-05", "fallback-credit-2026-06-01", "fallback-credit-2026-07-01",
}  # fmt: skip


def repaired(catalogue: ModelCatalogue, request: Request, model: Model) -> Repaired | None:
    """None when only Anthropic can serve it."""
    try:
        return repair(request.body, request.betas, catalogue.capabilities(model.name))
    except CannotServe:
        return None


def as_bedrock_gets_it(body: dict[str, Any]) -> dict[str, Any]:
    """The body less what the repair may change of a body that is accepted: who asks, and the flags."""
    kept = {name: value for name, value in body.items() if name not in ("metadata", "anthropic_beta", "model", "stream")}
    if isinstance(kept.get("system"), list):
        kept["system"] = [block for block in kept["system"] if not block["text"].startswith("x-anthropic-billing-header")]
    return kept


@EACH_MODEL
@CHECKED
@given(request=requests())
def test_whatever_comes_in_bedrock_takes_what_goes_out(catalogue: ModelCatalogue, model: Model, request: Request) -> None:
    sent = repaired(catalogue, request, model)
    assert sent is None or refusal(model, sent.body) == ""


@EACH_MODEL
@GROWN
@given(request=requests())
def test_what_bedrock_takes_is_left_untouched(catalogue: ModelCatalogue, model: Model, request: Request) -> None:
    body = grown(model, request)
    betas = body.pop("anthropic_beta")
    sent = repair(body, betas, catalogue.capabilities(model.name))
    assert as_bedrock_gets_it(sent.body) == as_bedrock_gets_it(body)
    assert refusal(model, sent.body) == ""
    assert ("metadata" in sent.body) == ("metadata" in body)


@EACH_MODEL
@GROWN
@given(request=requests())
def test_no_flag_that_does_something_is_dropped(catalogue: ModelCatalogue, model: Model, request: Request) -> None:
    """From 4.8 on every flag that may do something goes along; before that those with their field (the test above)."""
    body = grown(model, request)
    betas = body.pop("anthropic_beta")
    able = catalogue.capabilities(model.name)
    dropped = set(betas) - set(repair(body, betas, able).betas) - IDLE
    alone = {flag for flag in dropped if able.rules.betas[flag].only_with}
    assert dropped == alone or not able.lone_betas


@EACH_GENERATION
@CHECKED
@given(request=requests())
def test_the_same_request_gives_the_same_bytes_and_stays_as_it_was(
    catalogue: ModelCatalogue, model: Model, request: Request
) -> None:
    before = copy.deepcopy(request.body)
    first, second = repaired(catalogue, request, model), repaired(catalogue, Request(before, request.betas), model)
    assert (first and serialise(first.body)) == (second and serialise(second.body))
    assert request.body == before


@EACH_GENERATION
@CHECKED
@given(request=requests())
def test_a_repaired_request_needs_no_repair(catalogue: ModelCatalogue, model: Model, request: Request) -> None:
    once = repaired(catalogue, request, model)
    again = once and repaired(catalogue, Request(once.body, once.betas), model)
    assert (again and serialise(again.body)) == (once and serialise(once.body))


@EACH_GENERATION
@CHECKED
@given(request=requests())
def test_no_call_loses_its_answer_and_no_content_is_empty(catalogue: ModelCatalogue, model: Model, request: Request) -> None:
    sent = repaired(catalogue, request, model)
    messages = sent.body["messages"] if sent else request.body["messages"]
    assert _ids(messages, "tool_use", "id") == _ids(request.body["messages"], "tool_use", "id")
    assert _ids(messages, "tool_result", "tool_use_id") == _ids(request.body["messages"], "tool_result", "tool_use_id")
    assert all(message["content"] for message in messages)


def _ids(messages: list[dict[str, Any]], kind: str, key: str) -> list[str]:
    contents = [message["content"] for message in messages if isinstance(message["content"], list)]
    return [block[key] for content in contents for block in content if block["type"] == kind]
