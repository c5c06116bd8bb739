"""The pretended Bedrock over HTTP: who is let in, which ids mean a model, how errors are worded."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import quote

import pytest

from sandbox.bedrock import Bedrock
from sandbox.bedrock_models import OPUS_5_5, SONNET_4_5, addressed
from sandbox.client import Sandbox

Caller = Any
BEDROCK_QUESTION: dict[str, Any] = {
    "anthropic_version": "bedrock-2023-05-31",
    "max_tokens": 500,
    "messages": [{"role": "user", "content": "hello"}],
}
INVALID = "The provided model identifier is invalid."


def invoke(model_id: str, operation: str = "invoke") -> str:
    return f"/model/{quote(model_id, safe='')}/{operation}"


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("Bearer bad-key", "Authentication failed: Please make sure your API Key is valid."),
        ("Bearer expired-key", "Bearer Token has expired"),
        ("Bearer malformed-key", "Invalid API Key format: Must start with pre-defined prefix"),
    ],
)
def test_a_wrong_key_is_refused_with_a_capital_m(cloud: Caller, key: str, message: str) -> None:
    reply = cloud.ask(headers={"authorization": key})
    assert (reply.status, reply.json) == (403, {"Message": message})


def test_without_a_credential_nothing_is_served(cloud: Caller) -> None:
    assert cloud.ask(headers={"authorization": ""}).status == 403


@pytest.mark.parametrize(
    ("model_id", "status", "message"),
    [
        ("global.anthropic.claude-opus-5-5", 200, ""),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", 200, ""),
        ("arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-sonnet-5", 200, ""),
        ("arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1b2c3", 200, ""),
        ("anthropic.claude-3-haiku-20240307-v1:0", 200, ""),
        ("us.anthropic.claude-sonnet-4-5", 400, INVALID),
        ("claude-opus-5-5", 400, INVALID),
        ("jp.anthropic.claude-opus-4-6-v1", 400, INVALID),
        ("global.anthropic.claude-opus-4-1-20250805-v1:0", 400, INVALID),
        ("anthropic.claude-opus-5-5", 400, "Invocation of model ID anthropic.claude-opus-5-5 with on-demand throughput isn"),
    ],
)  # fmt: skip
def test_an_id_means_a_model_or_is_invalid(cloud: Caller, model_id: str, status: int, message: str) -> None:
    reply = cloud.ask(invoke(model_id))
    assert reply.status == status
    assert reply.json.get("message", "").startswith(message)


@pytest.mark.parametrize(
    ("region", "prefix", "reachable"),
    [
        ("us-east-1", "us", True), ("us-east-1", "eu", False), ("eu-west-1", "eu", True), ("ap-northeast-2", "global", True),
        ("ap-northeast-2", "apac", False), ("ap-northeast-1", "jp", True), ("us-gov-west-1", "us-gov", True),
        ("us-gov-west-1", "global", False), (None, "jp", True),
    ],
)  # fmt: skip
def test_a_region_has_its_own_profiles(region: str | None, prefix: str, reachable: bool) -> None:
    assert (addressed(f"{prefix}.anthropic.claude-opus-5-5", region) is not None) is reachable


def test_a_region_may_stand_in_the_path(cloud: Caller) -> None:
    path = invoke("us.anthropic.claude-opus-5-5")
    assert (cloud.ask(f"/us-west-2{path}").status, cloud.ask(f"/eu-west-1{path}").status) == (200, 400)


@pytest.mark.parametrize(
    ("model_id", "body"),
    [
        ("us.anthropic.claude-opus-4-1-20250805-v1:0", {"message": "model: Extra inputs are not permitted"}),
        (
            "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
            {"message": "The model returned the following errors: model: Extra inputs are not permitted"},
        ),
        (
            "us.anthropic.claude-opus-5-5",
            {"type": "error", "error": {"type": "invalid_request_error", "message": "model: Extra inputs are not permitted"}},
        ),
    ],
)
def test_each_generation_words_a_refusal_in_its_own_way(cloud: Caller, model_id: str, body: dict[str, Any]) -> None:
    reply = cloud.ask(invoke(model_id), model="claude")
    assert (reply.status, reply.json) == (400, body)
    assert reply.headers["x-amzn-errortype"].startswith("ValidationException:http://")


def test_a_wrong_route_is_answered_with_a_200(cloud: Caller) -> None:
    reply = cloud.ask("/model/us.anthropic.claude-opus-5-5/with/slashes/invoke")
    assert (reply.status, b"UnknownOperationException" in reply.body) == (200, True)


def test_a_body_over_twenty_megabytes_is_refused(cloud: Caller) -> None:
    assert cloud.ask(system="x" * 20_000_000).status == 413


@pytest.mark.parametrize(
    ("lack", "model", "status", "words"),
    [
        ("no-global", "global.anthropic.claude-opus-5-5", 403, "is not authorized to perform: bedrock:InvokeModel"),
        ("no-global", "us.anthropic.claude-opus-5-5", 200, ""),
        ("no-retention", "us.anthropic.claude-fable-5-1", 400, "data retention mode 'default' is not available for this model"),
        ("no-form", "us.anthropic.claude-opus-5-5", 404, "Model use case details have not been submitted for this account."),
    ],
)
def test_an_account_may_lack_things(started: Any, caller_of: Any, lack: str, model: str, status: int, words: str) -> None:
    reply = caller_of(started("bedrock", "--account", lack)).ask(invoke(model))
    assert (reply.status, words in reply.body.decode()) == (status, True)


def test_headers_count_the_tokens_of_an_answer(cloud: Caller, bedrock: Sandbox) -> None:
    reply = cloud.ask()
    counted = bedrock.totals()["models"]["claude-opus-5-5"]["complete"]
    assert int(reply.headers["x-amzn-bedrock-output-token-count"]) == counted["output_tokens"]
    assert int(reply.headers["x-amzn-bedrock-cache-read-input-token-count"]) == counted["cache_read_tokens"]
    assert reply.headers["x-amzn-requestid"]


def test_dropped_thinking_is_reported_to_who_controls_it(cloud: Caller) -> None:
    foreign = {"type": "thinking", "thinking": "x", "signature": "anthropic-x"}
    history = [*BEDROCK_QUESTION["messages"], {"role": "assistant", "content": [foreign, {"type": "text", "text": "x"}]}]
    reply = cloud.ask(anthropic_beta=["thinking-binding-controls-2026-08-01"], messages=[*history, *BEDROCK_QUESTION["messages"]])
    assert reply.json["input_transformations"][0]["reason"] == "organization"


def counting(inner: dict[str, Any]) -> dict[str, Any]:
    encoded = base64.b64encode(json.dumps(inner).encode()).decode()
    return {"anthropic_version": None, "max_tokens": None, "messages": None, "input": {"invokeModel": {"body": encoded}}}


@pytest.mark.parametrize(
    ("path", "inner", "status"),
    [
        (invoke("anthropic.claude-sonnet-4-6", "count-tokens"), BEDROCK_QUESTION, 200),
        (invoke("anthropic.claude-opus-5-5", "count-tokens"), BEDROCK_QUESTION, 400),
        (invoke("us.anthropic.claude-sonnet-4-6", "count-tokens"), BEDROCK_QUESTION, 400),
        ("/ap-northeast-2" + invoke("anthropic.claude-sonnet-4-6", "count-tokens"), BEDROCK_QUESTION, 400),
        (invoke("anthropic.claude-sonnet-4-6", "count-tokens"), {"messages": BEDROCK_QUESTION["messages"]}, 400),
        (invoke("anthropic.claude-sonnet-4-6", "count-tokens"), BEDROCK_QUESTION | {"model": "x"}, 400),
    ],
)
def test_tokens_are_counted_only_for_a_foundation_model_that_can(
    cloud: Caller, path: str, inner: dict[str, Any], status: int
) -> None:
    reply = cloud.ask(path, **counting(inner))
    assert (reply.status, "inputTokens" in reply.json) == (status, status == 200)


def test_a_seed_leaves_each_model_a_stable_part_of_its_betas() -> None:
    one, other = Bedrock(accepted_seed="1"), Bedrock(accepted_seed="2")
    assert one.accepted(OPUS_5_5).betas < OPUS_5_5.betas
    assert one.accepted(OPUS_5_5) == Bedrock(accepted_seed="1").accepted(OPUS_5_5)
    assert one.accepted(OPUS_5_5) != other.accepted(OPUS_5_5)
    assert one.accepted(SONNET_4_5).betas < SONNET_4_5.betas


def test_a_seed_takes_fields_from_a_model_too_and_adds_none() -> None:
    parts = [Bedrock(accepted_seed=str(seed)).accepted(OPUS_5_5) for seed in range(20)]
    assert {part.role_system for part in parts} == {True, False}
    assert {part.tool_search for part in parts} == {"yes", "no"}
    assert {part.structured_output for part in parts} == {OPUS_5_5.structured_output} == {False}
