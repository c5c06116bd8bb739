"""A strict Bedrock with random allow-sets, asked in process: requests that use everything, and who drives them to an answer."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any

import orjson

from proxy_app.bedrock.errors import BedrockFault, Kind, from_http
from proxy_app.bedrock.lessons import Fact, Lessons, Verdict
from proxy_app.bedrock.models import ModelCatalogue
from proxy_app.bedrock.repair import Repaired
from proxy_app.bedrock.trial import Trial
from sandbox.bedrock import Bedrock
from sandbox.bedrock_models import MODELS, Model
from sandbox.http import Request

SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False, "required": ["a"]}
NAMED = ("claude-opus-5-5", "claude-sonnet-5", "claude-opus-4-8", "claude-haiku-5-5")
UNNAMED = ("claude-sonnet-4-5-20250929", "claude-opus-4-5-20251101", "claude-sonnet-4-6")
BY_NAME = {model.name: model for model in MODELS.values()}


def rich_body(model: Model) -> dict[str, Any]:
    """Both halves of every pair that this kind of model has."""
    tools: list[dict[str, Any]] = [
        {"name": "read", "input_schema": SCHEMA, "cache_control": {"type": "ephemeral", "ttl": "1h"}},
        {"name": "late", "input_schema": SCHEMA, "defer_loading": True},
        {"name": "exact", "input_schema": SCHEMA, "strict": True},
        {"type": "tool_search_tool_regex_20251119", "name": "tool_search_tool_regex"},
    ]
    thinking = "adaptive" if "adaptive" in model.thinking else "enabled"
    budget = {} if thinking == "adaptive" else {"budget_tokens": 2048}
    return {
        "model": model.name,
        "max_tokens": 8192,
        "stream": False,
        "thinking": {
            "type": thinking,
            "display": "updates",
            "block_binding": {"prefix_mismatch_behavior": "drop_block"},
            **budget,
        },
        "context_management": {"edits": [{"type": "clear_tool_uses_20250919"}, {"type": "compact_20260112"}]},
        "output_config": {"effort": "high", "format": {"type": "json_schema", "schema": SCHEMA}},
        "safeguards": [{"type": "dangerous_tool_use"}],
        "tools": tools,
        "messages": [
            {"role": "user", "content": "first", "output_config": {"effort": "low"}},
            {"role": "assistant", "content": "yes"},
            {"role": "user", "content": "then"},
            {"role": "system", "content": "a note"},
            {"role": "assistant", "content": "yes"},
            {"role": "user", "content": [*_changes(), {"type": "text", "text": "now"}]},
        ],
    }


def _changes() -> list[dict[str, Any]]:
    tool = {"type": "tool_reference", "tool_name": "late"}
    definition = {"name": "inline", "input_schema": SCHEMA}
    return [
        {"type": "tool_removal", "tool": {"type": "tool_reference", "tool_name": "read"}},
        {"type": "tool_addition", "tool": tool},
        {"type": "tool_addition", "tool": {"type": "tool_definition", "definition": definition}},
    ]


@dataclass(frozen=True, slots=True)
class _Account(Bedrock):
    """Whose models all accept what `part` does."""

    part: Model = field(kw_only=True)

    def accepted(self, model: Model) -> Model:
        return self.part


@dataclass
class Strict:
    """One account's model. `statuses`: of each request, the statuses of all its tries."""

    catalogue: ModelCatalogue
    model: Model
    seed: str | None
    lessons: Lessons = field(default_factory=Lessons.none)
    statuses: list[list[int]] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.able = self.catalogue.capabilities(self.model.name)
        self._service: Bedrock = Bedrock(accepted_seed=self.seed)
        self.part = self._service.accepted(self.model)

    def ask(self, body: dict[str, Any] | None = None, betas: tuple[str, ...] | None = None) -> None:
        """One request as a client sends it, with all betas of the closed list unless told otherwise; learns from its fate."""
        asked = tuple(self.able.rules.betas) if betas is None else betas
        trial = Trial(body or rich_body(self.model), asked, self.able, self.lessons)
        self.statuses.append([])
        while True:
            status, content = self._answer(trial.repaired())
            self.statuses[-1].append(status)
            if status == 200:
                break
            if not trial.refused(from_http(status, {"x-amzn-errortype": "ValidationException"}, content)):
                return
        facts = trial.accepted()
        self.facts += facts
        self.take(list(facts))

    def ask_often(self, times: int) -> None:
        for _ in range(times):
            self.ask()

    def asked(self) -> Strict:
        self.ask()
        return self

    def take(self, facts: list[Fact]) -> None:
        for fact in facts:
            self.lessons = self.lessons.after(fact, 0.0)

    def refuse(self, *betas: str) -> None:
        """This account takes all but these."""
        self.part = replace(self.model, betas=self.model.betas - set(betas))
        self._service = _Account(part=self.part)

    def fact_of(self, words: str, body: dict[str, Any] | None = None) -> Fact | None:
        """What a refusal in these words proves of a request that uses everything, once it is corrected and accepted."""
        trial = Trial(body or rich_body(self.model), tuple(self.able.rules.betas), self.able, self.lessons)
        assert trial.refused(BedrockFault(Kind.BETA_OR_FIELD, detail=words))
        return next((fact for fact in trial.accepted() if fact.verdict is not Verdict.ACCEPTED), None)

    def _answer(self, repaired: Repaired) -> tuple[int, bytes]:
        self.bodies.append(repaired.body)
        path = f"/model/us.{self.model.base_id}/invoke"
        fields = {"authorization": "Bearer bedrock-sandbox", "content-type": "application/json"}
        body = orjson.dumps(repaired.body)
        request = Request("POST", path, tuple(fields.items()), body, fields, sha256(body).digest())
        answer = self._service.answer(self._service.read(request))
        return answer.status, answer.body

    @property
    def corrected(self) -> int:
        return sum(len(statuses) > 1 for statuses in self.statuses)

    @property
    def refused_names(self) -> int:
        return len(self.lessons.refused.betas) + len(self.lessons.refused.fields)

    @property
    def sent_betas(self) -> set[str]:
        return set(self.bodies[-1].get("anthropic_beta", ()))
