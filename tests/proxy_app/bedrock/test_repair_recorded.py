"""What the real client sends, repaired for six models, holds nothing that Bedrock refuses.

The refusals are written here from what is known of Bedrock, not read from the product's tables.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest

from proxy_app.bedrock.models import ModelCatalogue
from proxy_app.bedrock.repair import CannotServe, Repaired, repair, serialise
from proxy_app.json_body import written_json
from sandbox.bedrock_models import MODELS as SANDBOX_MODELS
from sandbox.bedrock_refusals import Submission, dropped_thinking, refuse
from sandbox.binding import sign
from tests.proxy_app.bedrock.recorded import ANSWERABLE

MODELS = ("claude-opus-5-5", "claude-sonnet-5-5", "claude-fable-5-1", "claude-opus-4-7", "claude-sonnet-4-5", "claude-haiku-4-5")
REQUESTS = ("first_turn", "first_turn_oauth", "no_experimental_betas", "title", "quota_probe", "sonnet_4_5", "bedrock_mode")

BY_NAME = {model.name: model for model in SANDBOX_MODELS.values()}
NEVER_A_BETA = {
    "prompt-caching-scope-2026-01-05",
    "advisor-tool-2026-03-01",
    "redact-thinking-2026-02-12",
    "extended-cache-ttl-2025-04-11",
    "advanced-tool-use-2025-11-20",
    "oauth-2025-04-20",
    "structured-outputs-2025-11-13",
    "files-api-2025-04-14",
    "memory-2025-08-18",
}
TOP_LEVEL = {
    "anthropic_version", "anthropic_beta", "max_tokens", "messages", "system", "stop_sequences", "temperature", "top_p", "top_k",
    "tools", "tool_choice", "thinking", "metadata", "output_config", "safeguards", "context_management",
}  # fmt: skip
NO_SYSTEM_ROLE = {"claude-opus-4-7", "claude-sonnet-4-5", "claude-haiku-4-5"}
PER_MESSAGE_OUTPUT = {"claude-opus-5-5", "claude-sonnet-5-5"}
NO_ADAPTIVE = {"claude-sonnet-4-5", "claude-haiku-4-5"}
NO_ENABLED = set(MODELS) - NO_ADAPTIVE
NO_EFFORT = NO_ADAPTIVE
NO_TOOL_SEARCH = {"claude-fable-5-1"}
NEEDS_TOOL_SEARCH_BETA = {"claude-opus-4-7", "claude-sonnet-4-5", "claude-haiku-4-5"}


def objects(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for part in value.values():
            yield from objects(part)
    if isinstance(value, list):
        for part in value:
            yield from objects(part)


def refusals(body: dict[str, Any], model: str) -> Iterator[str]:
    yield from (f"field {name}" for name in body.keys() - TOP_LEVEL)
    yield from _beta_refusals(body, set(body.get("anthropic_beta", ())))
    yield from _message_refusals(body, model)
    yield from _thinking_refusals(body, model)
    for control in (found["cache_control"] for found in objects(body) if isinstance(found.get("cache_control"), dict)):
        if not control.keys() <= {"type", "ttl"}:
            yield f"cache_control {control}"
    if sum("cache_control" in found for found in objects(body)) > 4:
        yield "more than four breakpoints"
    if body["anthropic_version"] != "bedrock-2023-05-31":
        yield "version"
    if "x-anthropic-billing-header" in json.dumps(body):
        yield "billing block"
    if "example-device" in json.dumps(body.get("metadata", "")):
        yield "user id"


def _beta_refusals(body: dict[str, Any], betas: set[str]) -> Iterator[str]:
    yield from (f"beta {name}" for name in betas & NEVER_A_BETA)
    pairs = (
        ("context_management" in body, "context-management-2025-06-27"),
        ("safeguards" in body, "dangerous-tool-use-2026-09-03"),
        ("block_binding" in body.get("thinking", {}), "thinking-binding-controls-2026-08-01"),
    )
    yield from (f"half of {beta}" for present, beta in pairs if present is not (beta in betas))
    if any("output_config" in message for message in body["messages"]) and not betas & {
        "per-turn-control-2026-07-01",
        "mid-conversation-output-config-2026-07-01",
    }:
        yield "messages.output_config without its beta"


def _message_refusals(body: dict[str, Any], model: str) -> Iterator[str]:
    roles = {message["role"] for message in body["messages"]}
    if "system" in roles and (model in NO_SYSTEM_ROLE or "mid-conversation-system-2026-04-07" not in body["anthropic_beta"]):
        yield "role system"
    if model not in PER_MESSAGE_OUTPUT and any("output_config" in message for message in body["messages"]):
        yield "messages.output_config"
    if any(message["content"] in ([], "") for message in body["messages"]):
        yield "an empty content"
    deferred = any("defer_loading" in tool for tool in body.get("tools", ()))
    betas = body.get("anthropic_beta", ())
    if deferred and (model in NO_TOOL_SEARCH or (model in NEEDS_TOOL_SEARCH_BETA and "tool-search-tool-2025-10-19" not in betas)):
        yield "defer_loading"


def _thinking_refusals(body: dict[str, Any], model: str) -> Iterator[str]:
    thinking = body.get("thinking", {})
    mode = thinking.get("type")
    if (mode == "adaptive" and model in NO_ADAPTIVE) or (mode == "enabled" and model in NO_ENABLED):
        yield f"thinking {mode}"
    if mode == "enabled" and not 1024 <= thinking["budget_tokens"] < body["max_tokens"]:
        yield "thinking budget"
    config = body.get("output_config", {})
    if not config and "output_config" in body:
        yield "an empty output_config"
    if "effort" in config and model in NO_EFFORT:
        yield "effort"
    if "format" in config and model in NO_ENABLED:
        yield "output_config.format"
    edits = body.get("context_management", {}).get("edits", ())
    if any(edit["type"].startswith("clear_thinking") for edit in edits) and mode not in ("enabled", "adaptive"):
        yield "clear_thinking without thinking"


def repaired(catalogue: ModelCatalogue, recorded: dict[str, Any], request: str, model: str) -> Repaired:
    return repair(recorded[request]["body"], recorded[request]["betas"].split(","), catalogue.capabilities(model))


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("request_name", REQUESTS)
def test_nothing_that_bedrock_refuses_is_left(
    catalogue: ModelCatalogue, recorded: dict[str, Any], request_name: str, model: str
) -> None:
    assert list(refusals(repaired(catalogue, recorded, request_name, model).body, model)) == []


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("request_name", REQUESTS)
def test_a_repaired_request_repairs_to_the_same_bytes(
    catalogue: ModelCatalogue, recorded: dict[str, Any], request_name: str, model: str
) -> None:
    once = repaired(catalogue, recorded, request_name, model)
    twice = repair(json.loads(serialise(once.body)), once.betas, catalogue.capabilities(model))
    assert serialise(twice.body) == serialise(once.body)


@pytest.mark.parametrize("model", MODELS)
def test_a_longer_conversation_begins_with_the_same_bytes(
    catalogue: ModelCatalogue, recorded: dict[str, Any], model: str
) -> None:
    request = recorded["first_turn"]
    longer = copy.deepcopy(request["body"])
    longer["messages"] += [{"role": "assistant", "content": "hi"}, {"role": "user", "content": "more"}]
    able, betas = catalogue.capabilities(model), (request["betas"],)
    before, after = repair(request["body"], betas, able).body, repair(longer, betas, able).body
    assert written_json(after["messages"]).startswith(written_json(before["messages"])[:-1])
    assert [written_json(after[key]) for key in ("tools", "system")] == [written_json(before[key]) for key in ("tools", "system")]


@pytest.mark.parametrize("model", ["claude-opus-5-5", "claude-sonnet-5-5", "claude-fable-5-1"])
@pytest.mark.parametrize("request_name", ANSWERABLE)
def test_a_thought_of_bedrock_still_stands_in_the_next_turn(
    catalogue: ModelCatalogue, recorded: dict[str, Any], request_name: str, model: str
) -> None:
    request, betas = recorded[request_name]["body"], (recorded[request_name]["betas"],)
    able = catalogue.capabilities(model)
    sent = repair(request, betas, able).body
    thought = {"type": "thinking", "thinking": "hm", "signature": sign("bedrock-", model, sent, len(sent["messages"]), "hm")}
    answer = {"role": "assistant", "content": [thought, {"type": "text", "text": "hi"}]}
    longer = {**request, "messages": [*request["messages"], answer, {"role": "user", "content": "more"}]}
    submission = Submission(BY_NAME[model], repair(longer, betas, able).body, "global", BY_NAME[model].betas)
    refuse(submission)
    assert dropped_thinking(submission) == []


@pytest.mark.parametrize("model", MODELS)
def test_the_callers_body_is_never_changed(catalogue: ModelCatalogue, recorded: dict[str, Any], model: str) -> None:
    kept = copy.deepcopy(recorded["first_turn_oauth"]["body"])
    repaired(catalogue, recorded, "first_turn_oauth", model)
    assert recorded["first_turn_oauth"]["body"] == kept


def test_what_the_newest_models_accept_is_left_alone(catalogue: ModelCatalogue, recorded: dict[str, Any]) -> None:
    body, sent = repaired(catalogue, recorded, "first_turn", "claude-opus-5-5").body, recorded["first_turn"]["body"]
    for name in ("messages", "tools", "thinking", "output_config", "context_management", "max_tokens"):
        assert body[name] == sent[name]


def test_the_web_search_subrequest_cannot_be_served(catalogue: ModelCatalogue, recorded: dict[str, Any]) -> None:
    with pytest.raises(CannotServe, match="web_search_20250305 is not available"):
        repaired(catalogue, recorded, "web_search", "claude-opus-5-5")
