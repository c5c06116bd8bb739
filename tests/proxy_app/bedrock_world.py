"""The real Bedrock provider over a scripted pool, for its tests: what AWS says, who was asked, who was told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest

from core.model_ids import NewModel
from core.types import ProviderName
from proxy_app.bedrock.models import load_catalogue
from proxy_app.call import Reply
from proxy_app.circuits import CircuitName, Circuits, Refused
from proxy_app.faults import UpstreamError
from proxy_app.lesson_book import LessonBook
from proxy_app.providers.bedrock import BedrockProvider
from proxy_app.providers.bedrock_attempt import Knowledge
from proxy_app.providers.bedrock_refusals import KeyTrouble
from proxy_app.providers.bedrock_wire import BedrockEndpoint, BedrockLimits
from sandbox.frames import chunk_frame
from tests.proxy_app.scripted import KEY, Clock, Script, ScriptedPool, answer, call, chunk, stream_head

NOON = 1_795_435_200.0  # 2026-11-23T12:00:00Z
LIMITS = BedrockLimits(first_byte_s=120.0, response_s=300.0, silence_s=240.0, ping_s=15.0)
CATALOGUE = load_catalogue()
MESSAGE = orjson.dumps({"type": "message", "role": "assistant", "content": [], "usage": {"input_tokens": 1, "output_tokens": 1}})
GLOBAL, US, EU = (f"{prefix}.anthropic.claude-sonnet-5-5" for prefix in ("global", "us", "eu"))
BODY_OF_20_MB = {"model": "claude-sonnet-5-5", "max_tokens": 1, "messages": [{"role": "user", "content": "x" * 20_000_000}]}


def refusal(status: int, kind: str, message: str = "words of AWS for account 123456789012") -> Script:
    return [answer(status, orjson.dumps({"message": message}), f"x-amzn-errortype: {kind}:http://x/")]


THROTTLED = (429, "ThrottlingException", "Too many requests")
DENIED = (403, "AccessDeniedException")
EXPIRED = (403, "AccessDeniedException", "Bearer Token has expired")
SERVED: Script = [answer(200, MESSAGE)]


def frame(event: dict[str, Any]) -> bytes:
    return chunk_frame(orjson.dumps(event), 0)


START = frame({"type": "message_start", "message": {"id": "m", "usage": {"input_tokens": 1}}})


def stream(*steps: bytes | float | Exception) -> Script:
    head = stream_head("application/vnd.amazon.eventstream")
    return [head, *(chunk(step) if isinstance(step, bytes) else step for step in steps)]


@dataclass
class World:
    clock: Clock = field(default_factory=Clock)
    told: list[tuple[str, str, bool]] = field(default_factory=list)
    limits: BedrockLimits = LIMITS
    rows: tuple[NewModel, ...] = ()
    troubles: list[KeyTrouble] = field(default_factory=list)
    pool: ScriptedPool = field(init=False)

    def __post_init__(self) -> None:
        self.pool = ScriptedPool(self.clock, [])
        self.circuits = Circuits(clock=self.clock, wall=lambda: NOON, digest_key=b"digest")
        endpoint = BedrockEndpoint(self.pool, "https://bedrock.{region}.example")  # type: ignore[arg-type]
        clocks = (self.clock, lambda: NOON)
        self.lessons = LessonBook(lambda: NOON, 7 * 86400.0)
        known = Knowledge(CATALOGUE.with_rows(self.rows), self.lessons)
        self.bedrock = BedrockProvider(endpoint, known, self.circuits, self.limits, clocks, self._hear)

    def _hear(self, trouble: KeyTrouble) -> None:
        self.told.append((trouble.key_id, trouble.kind.value, trouble.unusable))
        self.troubles.append(trouble)

    def open(self, *scripts: Script, insist: bool = False, **changes: Any) -> Reply:
        self.pool.scripts = [list(script) for script in scripts]
        return self.bedrock.open(call(self.clock, **{"stream": False, **changes}), insist=insist)

    def fails(self, *scripts: Script, **changes: Any) -> UpstreamError:
        with pytest.raises(UpstreamError) as failed:
            self.open(*scripts, **changes)
        return failed.value

    @property
    def asked(self) -> list[tuple[str, str]]:
        """(region, model id) of each request."""
        return [(each.origin.host.split(".")[1], each.target.split("/")[2]) for each in self.pool.requests]

    def is_closed_to(self, model_id: str) -> bool:
        return isinstance(self.circuits.admit(CircuitName(KEY.id, ProviderName.BEDROCK, f"us-east-1/{model_id}")), Refused)


@pytest.fixture
def world() -> World:
    return World()
