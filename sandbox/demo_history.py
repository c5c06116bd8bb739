"""A month that the demo's developers have behind them: made up, the same each time, and let in the way a lost disk's is.

Pure but for the dice, which are seeded. Writes log lines (docs/operations.md) for `ledger import`; knows the product only by
that. Invariant: nothing in it is real: sessions are called `demo-...`, requests `req_demo_...`.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

DAYS = 30
_SEED = 1815
# dollars per million tokens: input, output
_RATES = {"claude-opus-5-5": (5, 25), "claude-sonnet-5-5": (3, 15), "claude-haiku-5-5": (1, 5)}
_FAULTS = ("plan_exhausted", "plan_exhausted", "plan_exhausted", "plan_overloaded", "plan_throttled", "plan_error")


@dataclass(frozen=True, slots=True)
class Habit:
    """How somebody works: sessions on a working day, and the share of requests for which the plan has no room."""

    name: str
    user_id: str
    access_key_ids: tuple[str, ...]
    sessions_a_day: float
    fallbacks: float
    bedrock_only: bool = False


@dataclass(frozen=True, slots=True)
class _Session:
    name: str
    habit: Habit
    access_key_id: str
    began: datetime
    model: str


def lines_of(habits: list[Habit], now: datetime) -> Iterator[str]:
    """One log line a request, of the DAYS before `now`."""
    dice = random.Random(f"{_SEED} {[habit.name for habit in habits]}")
    number = 0
    for day in range(DAYS, -1, -1):
        for session in _sessions(habits, now - timedelta(days=day), dice):
            for at, context in _requests(session, dice):
                if at < now:
                    number += 1
                    yield _line(f"req_demo_{session.habit.name}_{number:05d}", at, context)


def _sessions(habits: list[Habit], day: datetime, dice: random.Random) -> Iterator[_Session]:
    workload = 0.15 if day.weekday() >= 5 else 1.0
    for habit in habits:
        for number in range(round(habit.sessions_a_day * workload * dice.uniform(0.5, 1.5))):
            began = day.replace(hour=7, minute=0, second=0, microsecond=0) + timedelta(minutes=dice.triangular(0, 720, 200))
            model = dice.choices(list(_RATES), (3, 6, 1))[0]
            key = dice.choices(habit.access_key_ids, range(len(habit.access_key_ids), 0, -1))[0]
            yield _Session(f"demo-{habit.name}-{day:%m%d}-{number}", habit, key, began, model)


def _requests(session: _Session, dice: random.Random) -> Iterator[tuple[datetime, dict[str, Any]]]:
    """A conversation that grows, with a subagent or two of its own in some."""
    at, cached = session.began, dice.randrange(12_000, 25_000)
    agents = [("", "")]
    for _ in range(dice.choices((0, 1, 2, 3, 4), (6, 3, 2, 1, 1))[0]):
        agents.append((f"a{dice.getrandbits(64):016x}", dice.choice(agents)[0]))
    for turn in range(dice.randrange(6, 26)):
        at += timedelta(seconds=dice.uniform(8, 150))
        agent, parent = agents[0] if turn < 4 else dice.choice(agents)
        model = "claude-haiku-5-5" if agent and dice.random() < 0.5 else session.model
        added = dice.randrange(300, 4000)
        tokens = {"input_tokens": dice.randrange(3, 40), "output_tokens": dice.randrange(80, 2200)}
        tokens |= {"cache_read_tokens": cached, "cache_write_5m_tokens": added, "cache_write_1h_tokens": 0}
        cached += added
        who = {"session_id": session.name, "agent_id": agent, "parent_agent_id": parent}
        yield at, {**who, **_answered(session, model, tokens, dice)}


def _answered(session: _Session, model: str, tokens: dict[str, int], dice: random.Random) -> dict[str, Any]:
    habit, fault, status = session.habit, "", 200
    on_bedrock = habit.bedrock_only or dice.random() < habit.fallbacks
    if on_bedrock and not habit.bedrock_only:
        fault = dice.choice(_FAULTS)
    if dice.random() < 0.006:
        fault, status = ("bedrock_throttled", 429) if on_bedrock else ("plan_overloaded", 529)
        tokens = dict.fromkeys(tokens, 0)
    value = _list_value(model, tokens)
    provider = "bedrock" if on_bedrock else "plan"
    first = dice.lognormvariate(6.9, 0.45) + (120 if on_bedrock else 0)
    trace = [f"plan:{fault}"] if on_bedrock and fault else []
    return {
        "user_id": habit.user_id,
        "access_key_id": session.access_key_id,
        "endpoint": "messages",
        "provider": provider,
        "fault": fault,
        "trace": [*trace, f"{provider}:{status}"],
        "model_asked": model,
        "model_served": f"global.anthropic.{model}" if on_bedrock else model,
        "streamed": True,
        "status": status,
        **tokens,
        "cost_micros": value if on_bedrock else 0,
        "list_value_micros": value,
        "first_byte_ms": round(first, 1),
        "total_ms": round(first + tokens["output_tokens"] * dice.uniform(9, 16), 1),
        "overhead_ms": round(dice.lognormvariate(0.4, 0.5), 2),
    }


def _list_value(model: str, tokens: dict[str, int]) -> int:
    dollars_in, dollars_out = _RATES[model]
    weighed = tokens["input_tokens"] + tokens["cache_read_tokens"] * 0.1 + tokens["cache_write_5m_tokens"] * 1.25
    return round(weighed * dollars_in + tokens["output_tokens"] * dollars_out)


def _line(request_id: str, at: datetime, context: dict[str, Any]) -> str:
    told = {"log": "access", "started_at": at.astimezone(UTC).timestamp(), **context}
    return json.dumps({"request_id": request_id, "context": told})
