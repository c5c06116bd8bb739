"""A conversation that moves between Plan and Bedrock in the middle: it goes on, with the thinking of both in its history.

The histories are made of real answers, read by Anthropic's own SDK. Both stand-ins check signatures, the binding of thinking,
and that a running turn keeps its thought.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anthropic as sdk
import pytest

from tests.live.asking import CREDENTIAL, await_true

pytestmark = pytest.mark.filterwarnings("ignore:The model:DeprecationWarning")

STREAMS = pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
MODELS = pytest.mark.parametrize(
    "model", ["claude-sonnet-4-5", "claude-opus-4-8", "claude-opus-5-5", "claude-sonnet-5-5", "claude-fable-5-1"]
)
PLAN, BEDROCK = "plan", "bedrock"
COUNTS = ("input_tokens", "output_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens", "cache_read_tokens")
TOOLS: list[Any] = [{"name": "Bash", "description": "Runs a command", "input_schema": {"type": "object"}}]
ORDER, PLAIN = "Please use-tool:Bash:echo 42", "And what else?"
REDACTED = {"type": "redacted_thinking", "data": "b3BhcXVl"}


class Session:
    """One conversation. `say` asks one upstream (the other is shut by a fault) and takes its answer into the history."""

    def __init__(self, stack: Any, model: str, stream: bool, thinking: dict[str, Any] | None = None) -> None:
        self._stack, self._model, self._stream = stack, model, stream
        budget = {"type": "enabled", "budget_tokens": 2000}
        self.thinking = thinking or (budget if model == "claude-sonnet-4-5" else {"type": "adaptive", "display": "summarized"})
        self._developer = stack.developer()
        self.client = sdk.Anthropic(api_key=CREDENTIAL, base_url=self._developer.base_url, max_retries=0)
        self.history: list[Any] = []
        self.answers: list[tuple[str, str]] = []
        self.tries: list[int] = []

    def say(self, upstream: str, text: str = "") -> Any:
        """A text, or without one the result of the tool that was called last."""
        result = {"type": "tool_result", "tool_use_id": self._called(), "content": "forty-two"} if not text else None
        self.history.append({"role": "user", "content": [result or {"type": "text", "text": text}]})
        before = len(self._posts(upstream))
        if upstream == BEDROCK:
            self._stack.anthropic.fault("overloaded", times=1)
        message, provider = self._streamed() if self._stream else self._whole()
        self.history.append({"role": "assistant", "content": [block.to_dict() for block in message.content]})
        self.answers.append((provider, message.stop_reason))
        self.tries.append(len(self._posts(upstream)) - before)
        return message

    def lines(self) -> list[dict[str, Any]]:
        """What the log, and so the ledger, holds of this conversation."""
        contexts = (line["context"] for line in self._stack.product.access_lines())
        return [each for each in contexts if each["access_key_id"] == self._developer.access_key_id]

    def counted(self, usage: Any) -> dict[str, int]:
        split = usage.cache_creation
        written = (split.ephemeral_5m_input_tokens, split.ephemeral_1h_input_tokens)
        return dict(zip(COUNTS, (usage.input_tokens, usage.output_tokens, *written, usage.cache_read_input_tokens), strict=True))

    def _asked(self) -> dict[str, Any]:
        common = {"model": self._model, "max_tokens": 8000, "tools": TOOLS, "messages": self.history}
        return {**common, "thinking": self.thinking}

    def _streamed(self) -> tuple[Any, str]:
        with self.client.messages.stream(**self._asked()) as stream:
            return stream.get_final_message(), stream.response.headers["x-proxy-provider"]

    def _whole(self) -> tuple[Any, str]:
        raw = self.client.messages.with_raw_response.create(**self._asked())
        return raw.parse(), raw.headers["x-proxy-provider"]

    def _called(self) -> str:
        return str(self.history[-1]["content"][-1]["id"])

    def _posts(self, upstream: str) -> list[Any]:
        posts: list[Any] = self._stack.plan_posts() if upstream == PLAN else self._stack.bedrock_posts()
        return posts


@pytest.fixture
def session(stack: Any, model: str, stream: bool) -> Iterator[Session]:
    session = Session(stack, model, stream)
    yield session
    session.client.close()


@MODELS
@STREAMS
def test_a_session_that_moves_at_every_turn_is_answered_at_the_first_try_each_time(session: Session) -> None:
    session.say(PLAN, ORDER)
    session.history[-1]["content"].insert(1, REDACTED)
    session.say(BEDROCK)
    session.say(PLAN, PLAIN)
    session.say(BEDROCK, ORDER)
    session.history[-1]["content"].insert(1, REDACTED)
    session.say(PLAN)
    session.say(BEDROCK, ORDER)
    session.say(PLAN)
    session.say(BEDROCK, PLAIN)
    assert [provider for provider, _ in session.answers] == [PLAN, BEDROCK] * 4
    reasons = ["tool_use", "end_turn", "end_turn", "tool_use", "end_turn", "tool_use", "end_turn", "end_turn"]
    assert [reason for _, reason in session.answers] == reasons
    assert session.tries == [1] * 8
    kept = [block for message in session.history for block in message["content"] if block["type"] == "thinking"]
    assert {block["signature"].split("-")[0] for block in kept} == {"anthropic", "bedrock"}


@MODELS
@STREAMS
@pytest.mark.parametrize("upstream", [PLAN, BEDROCK])
@pytest.mark.parametrize("change", [{"thinking": "tampered"}, {"signature": ""}], ids=["tampered", "unsigned"])
def test_thinking_that_is_refused_is_stripped_and_the_turn_is_served_at_the_second_try(
    session: Session, upstream: str, change: dict[str, str]
) -> None:
    session.say(upstream, ORDER)
    session.history[-1]["content"][0].update(change)
    session.say(upstream)
    assert session.answers == [(upstream, "tool_use"), (upstream, "end_turn")]
    assert session.tries == [1, 2]


@pytest.mark.parametrize("model", ["claude-sonnet-4-5"])
@STREAMS
@pytest.mark.parametrize("upstream", [PLAN, BEDROCK])
def test_a_running_turn_that_lost_its_thought_is_served_without_thinking(session: Session, upstream: str) -> None:
    session.say(upstream, ORDER)
    del session.history[-1]["content"][0]
    message = session.say(upstream)
    assert session.answers[-1] == (upstream, "end_turn")
    tries = [1, 2] if upstream == PLAN else [1, 1]  # the repair for Bedrock sees it coming
    assert (session.tries, message.content[0].type) == (tries, "text")


@pytest.mark.parametrize("model", ["claude-opus-5-5", "claude-sonnet-5-5", "claude-fable-5-1"])
@STREAMS
def test_thinking_that_no_longer_stands_where_it_was_made_is_stripped(session: Session) -> None:
    session.say(BEDROCK, ORDER)
    session.history[0]["content"][0]["text"] += " Edited."
    session.say(BEDROCK)
    assert session.answers[-1] == (BEDROCK, "end_turn")
    assert session.tries == [1, 2]


@MODELS
@STREAMS
def test_what_the_sdk_reads_of_bedrock_is_what_the_stand_in_sent(session: Session, stack: Any) -> None:
    message = session.say(BEDROCK, ORDER)
    thought, call = message.content
    assert (thought.type, thought.signature.startswith("bedrock-")) == ("thinking", True)
    assert (call.type, call.input["command"], call.id.startswith("toolu_bdrk_")) == ("tool_use", "echo 42", True)
    assert message.id.startswith("msg_bdrk_")
    sent = stack.bedrock.totals()["complete"]
    assert session.counted(message.usage) == {name: sent[name] for name in COUNTS}
    [line] = await_true(lambda: session.lines())
    assert {name: line[name] for name in COUNTS} == {name: sent[name] for name in COUNTS}
