"""The vendors' own clients read the stand-ins, so these cannot agree with the product by mistake."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import anthropic as sdk
import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, EventStreamError

from sandbox.client import Sandbox

MODEL = "us.anthropic.claude-opus-5-5"
MESSAGES: list[Any] = [{"role": "user", "content": "hello"}]
BODY = json.dumps({"anthropic_version": "bedrock-2023-05-31", "max_tokens": 300, "messages": MESSAGES})


@pytest.fixture
def runtime(bedrock: Sandbox) -> Iterator[Any]:
    client = boto3.client(
        "bedrock-runtime",
        region_name="us-east-1",
        endpoint_url=bedrock.url,
        aws_access_key_id="dummy",
        aws_secret_access_key="dummy",
        config=Config(retries={"total_max_attempts": 1}),
    )
    yield client
    client.close()


@pytest.fixture
def claude(anthropic: Sandbox) -> Iterator[sdk.Anthropic]:
    with sdk.Anthropic(api_key="test-key", base_url=anthropic.url, max_retries=0) as client:
        yield client


@pytest.fixture
def claude_on_bedrock(bedrock: Sandbox) -> Iterator[sdk.AnthropicBedrock]:
    with sdk.AnthropicBedrock(
        aws_access_key="dummy", aws_secret_key="dummy", aws_region="us-east-1", base_url=bedrock.url, max_retries=0
    ) as client:
        yield client


def events_of(response: Any) -> list[dict[str, Any]]:
    return [json.loads(event["chunk"]["bytes"]) for event in response["body"]]


def test_boto3_reads_an_answer(runtime: Any) -> None:
    response = runtime.invoke_model(modelId=MODEL, body=BODY)
    message = json.loads(response["body"].read())
    assert message["content"][0]["text"].startswith("Hello from Bedrock")
    assert message["id"].startswith("msg_bdrk_")


def test_boto3_reads_a_stream_to_its_metrics(runtime: Any, bedrock: Sandbox) -> None:
    events = events_of(runtime.invoke_model_with_response_stream(modelId=MODEL, body=BODY))
    assert (events[0]["type"], events[-1]["type"]) == ("message_start", "message_stop")
    assert "ping" not in {event["type"] for event in events}
    metrics = events[-1]["amazon-bedrock-invocationMetrics"]
    assert metrics["outputTokenCount"] == events[-2]["usage"]["output_tokens"]
    assert metrics["inputTokenCount"] == bedrock.totals()["complete"]["input_tokens"]


def test_boto3_raises_a_validation_error_by_its_name(runtime: Any) -> None:
    with pytest.raises(ClientError, match="The provided model identifier is invalid") as caught:
        runtime.invoke_model(modelId="us.anthropic.claude-nonsense", body=BODY)
    assert caught.value.response["Error"]["Code"] == "ValidationException"


def test_boto3_raises_a_throttle_by_its_name(runtime: Any, bedrock: Sandbox) -> None:
    bedrock.fault("throttling_http", times=1)
    with pytest.raises(runtime.exceptions.ThrottlingException):
        runtime.invoke_model(modelId=MODEL, body=BODY)


@pytest.mark.parametrize(
    "kind", ["throttlingException", "internalServerException", "validationException", "modelTimeoutException"]
)
def test_boto3_raises_an_exception_that_comes_as_the_first_frame(runtime: Any, bedrock: Sandbox, kind: str) -> None:
    bedrock.fault("exception_first_frame", times=1, type=kind)
    response = runtime.invoke_model_with_response_stream(modelId=MODEL, body=BODY)
    with pytest.raises(EventStreamError, match=kind):
        events_of(response)


def test_boto3_raises_an_exception_in_mid_stream(runtime: Any, bedrock: Sandbox) -> None:
    bedrock.fault("exception_midstream", times=1, after=4)
    stream = iter(runtime.invoke_model_with_response_stream(modelId=MODEL, body=BODY)["body"])
    assert len([next(stream), next(stream), next(stream), next(stream)]) == 4
    with pytest.raises(EventStreamError, match="modelStreamErrorException"):
        next(stream)


def test_boto3_refuses_a_frame_with_a_wrong_checksum(runtime: Any, bedrock: Sandbox) -> None:
    bedrock.fault("wrong_crc", times=1)
    with pytest.raises(Exception, match="Checksum mismatch"):
        events_of(runtime.invoke_model_with_response_stream(modelId=MODEL, body=BODY))


def test_boto3_sees_a_truncated_stream_end_without_its_message(runtime: Any, bedrock: Sandbox) -> None:
    bedrock.fault("truncated_frame", times=1, after=2)
    events = events_of(runtime.invoke_model_with_response_stream(modelId=MODEL, body=BODY))
    assert [event["type"] for event in events] == ["message_start", "content_block_start"]


def test_boto3_counts_tokens_of_a_foundation_model(runtime: Any) -> None:
    response = runtime.count_tokens(modelId="anthropic.claude-sonnet-4-6", input={"invokeModel": {"body": BODY.encode()}})
    assert response["inputTokens"] > 10


def test_boto3_cannot_count_tokens_by_a_profile(runtime: Any) -> None:
    with pytest.raises(ClientError, match="doesn't support counting tokens"):
        runtime.count_tokens(modelId="us.anthropic.claude-sonnet-4-6", input={"invokeModel": {"body": BODY.encode()}})


def test_the_bedrock_sdk_reads_a_message(claude_on_bedrock: sdk.AnthropicBedrock) -> None:
    message = claude_on_bedrock.messages.create(model=MODEL, max_tokens=300, messages=MESSAGES)
    assert (message.stop_reason, message.model) == ("end_turn", "claude-opus-5-5")


def test_the_bedrock_sdk_reads_a_stream(claude_on_bedrock: sdk.AnthropicBedrock) -> None:
    with claude_on_bedrock.messages.stream(model=MODEL, max_tokens=300, messages=MESSAGES) as stream:
        text = "".join(stream.text_stream)
    assert text == "Hello from Bedrock, the second upstream of this sandbox."


THINKING: Any = {"type": "adaptive", "display": "summarized"}
BASH: list[Any] = [{"name": "Bash", "description": "Runs a command", "input_schema": {"type": "object"}}]
ORDER: list[Any] = [{"role": "user", "content": "Please use-tool:Bash:echo 42"}]


def test_boto3_reads_thinking_and_a_tool_call_of_a_stream(runtime: Any) -> None:
    asked = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 300, "messages": ORDER, "tools": BASH, "thinking": THINKING}
    events = events_of(runtime.invoke_model_with_response_stream(modelId=MODEL, body=json.dumps(asked)))
    blocks = [event["content_block"] for event in events if event["type"] == "content_block_start"]
    written = "".join(event["delta"].get("partial_json", "") for event in events if event["type"] == "content_block_delta")
    assert [block["type"] for block in blocks] == ["thinking", "tool_use"]
    assert (blocks[1]["id"].startswith("toolu_bdrk_"), json.loads(written)["command"]) == (True, "echo 42")


def test_the_bedrock_sdk_reads_thinking_a_tool_call_and_takes_both_back(claude_on_bedrock: sdk.AnthropicBedrock) -> None:
    common: Any = {"model": MODEL, "max_tokens": 300, "tools": BASH, "thinking": THINKING}
    with claude_on_bedrock.messages.stream(messages=ORDER, **common) as stream:
        called = stream.get_final_message()
    thought, call = called.content
    assert (called.stop_reason, thought.type, call.type) == ("tool_use", "thinking", "tool_use")
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "forty-two"}  # type: ignore[union-attr]
    history = [*ORDER, {"role": "assistant", "content": called.content}, {"role": "user", "content": [result]}]
    told = claude_on_bedrock.messages.create(messages=history, **common)
    assert told.content[-1].type == "text"
    assert "forty-two" in told.content[-1].text


def test_the_bedrock_sdk_raises_an_exception_in_mid_stream(claude_on_bedrock: sdk.AnthropicBedrock, bedrock: Sandbox) -> None:
    bedrock.fault("exception_midstream", times=1, after=4, type="throttlingException")
    with (
        pytest.raises(Exception, match=r"throttling|Too many requests|Bad response"),
        claude_on_bedrock.messages.stream(model=MODEL, max_tokens=300, messages=MESSAGES) as stream,
    ):
        stream.until_done()


def test_the_sdk_reads_a_message(claude: sdk.Anthropic) -> None:
    message = claude.messages.create(model="claude-opus-5-5", max_tokens=300, messages=MESSAGES)
    assert message.usage.cache_creation_input_tokens
    assert message.stop_reason == "end_turn"


def test_the_sdk_reads_a_stream_and_its_usage(claude: sdk.Anthropic, anthropic: Sandbox) -> None:
    with claude.messages.stream(model="claude-opus-5-5", max_tokens=300, messages=MESSAGES) as stream:
        text = "".join(stream.text_stream)
        usage = stream.get_final_message().usage
    assert text == "Hello from Anthropic, the first upstream of this sandbox."
    assert anthropic.totals()["complete"]["output_tokens"] == usage.output_tokens


def test_the_sdk_reads_thinking_with_its_signature(claude: sdk.Anthropic) -> None:
    with claude.messages.stream(
        model="claude-opus-5-5", max_tokens=300, messages=MESSAGES, thinking={"type": "adaptive", "display": "summarized"}
    ) as stream:
        thought = stream.get_final_message().content[0]
    assert thought.type == "thinking"
    assert thought.thinking.endswith("the answer.")
    assert thought.signature.startswith("anthropic-")


def test_the_sdk_sees_an_exhausted_plan(claude: sdk.Anthropic, anthropic: Sandbox) -> None:
    anthropic.fault("plan_exhausted", times=1, claim="seven_day")
    with pytest.raises(sdk.RateLimitError) as caught:
        claude.messages.create(model="claude-opus-5-5", max_tokens=300, messages=MESSAGES)
    headers = caught.value.response.headers
    assert headers["anthropic-ratelimit-unified-representative-claim"] == "seven_day"
    assert headers["anthropic-ratelimit-unified-7d-status"] == "rejected"


def test_the_sdk_lists_models_and_counts_tokens(claude: sdk.Anthropic) -> None:
    assert "claude-opus-5-5" in {model.id for model in claude.models.list()}
    assert claude.messages.count_tokens(model="claude-opus-5-5", messages=MESSAGES).input_tokens > 10


def test_a_tool_that_the_user_orders_is_called_and_its_result_is_told(claude: sdk.Anthropic) -> None:
    tools: list[Any] = [{"name": "Bash", "description": "Runs a command", "input_schema": {"type": "object"}}]
    asked: list[Any] = [{"role": "user", "content": "Please use-tool:Bash:echo 42"}]
    with claude.messages.stream(model="claude-opus-5-5", max_tokens=300, messages=asked, tools=tools) as stream:
        call = stream.get_final_message()
    use = call.content[-1]
    assert (call.stop_reason, use.type == "tool_use" and use.input["command"]) == ("tool_use", "echo 42")
    result = {"type": "tool_result", "tool_use_id": use.id, "content": "forty-two"}  # type: ignore[union-attr]
    asked += [{"role": "assistant", "content": call.content}, {"role": "user", "content": [result]}]
    told = claude.messages.create(model="claude-opus-5-5", max_tokens=300, messages=asked, tools=tools)
    assert told.content[0].type == "text"
    assert "forty-two" in told.content[0].text


def test_several_orders_are_carried_out_one_a_round(claude: sdk.Anthropic) -> None:
    tools: list[Any] = [{"name": "Bash", "description": "Runs a command", "input_schema": {"type": "object"}}]
    asked: list[Any] = [{"role": "user", "content": "use-tool:Bash:one\nuse-tool:Bash:two"}]
    first = claude.messages.create(model="claude-opus-5-5", max_tokens=300, messages=asked, tools=tools)
    asked += _round(first)
    second = claude.messages.create(model="claude-opus-5-5", max_tokens=300, messages=asked, tools=tools)
    asked += _round(second)
    last = claude.messages.create(model="claude-opus-5-5", max_tokens=300, messages=asked, tools=tools)
    assert [each.content[-1].input["command"] for each in (first, second)] == ["one", "two"]  # type: ignore[union-attr]
    assert last.stop_reason == "end_turn"


def _round(call: Any) -> list[Any]:
    result = {"type": "tool_result", "tool_use_id": call.content[-1].id, "content": "done"}
    return [{"role": "assistant", "content": call.content}, {"role": "user", "content": [result]}]
