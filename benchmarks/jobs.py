"""The language between the benchmark and its load generator: what to do, and what came of it.

Pure values that travel as one line of JSON each way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum

import orjson


class Shape(StrEnum):
    """When the next request is sent."""

    SEQUENTIAL = "sequential"  # after the last answer, on one connection
    CLOSED = "closed"  # after the last answer, on each of `concurrency` connections
    OPEN = "open"  # at fixed times, whatever the answers do


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One load. `target` is the request's target; `bedrock` sends InvokeModel's body instead of a messages one; `messages`,
    if not 0, makes it a session of so many messages with tool calls and results.

    CLOSED: `concurrency` connections begin within `ramp_s`, each asks once if `seconds` is 0, else again until then.
    OPEN: `rate` requests a second for `seconds`, over `concurrency` connections. SEQUENTIAL: `count` requests.
    `expect` must occur in every answer's head. `limit_s` ends the job whatever happens.
    """

    shape: Shape
    port: int
    target: str
    body_bytes: int
    streamed: bool
    headers: Mapping[str, str] = field(default_factory=dict)
    bedrock: bool = False
    messages: int = 0
    expect: str = ""
    count: int = 0
    concurrency: int = 1
    seconds: float = 0.0
    ramp_s: float = 0.0
    rate: float = 0.0
    limit_s: float = 60.0

    def to_json(self) -> bytes:
        return orjson.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: bytes) -> Job:
        value = orjson.loads(line)
        return cls(**{**value, "shape": Shape(value["shape"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What came of a job: times to the first byte and event delays in microseconds, answers that were right, `faults` of
    those that were not. `seconds` is from the first request to the last answer."""

    first_byte_us: list[float]
    delay_us: list[float]
    done: int
    faults: Mapping[str, int]
    seconds: float

    def to_json(self) -> bytes:
        return orjson.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: bytes) -> Tally:
        return cls(**orjson.loads(line))
