"""A recorder at its desk, calls and what came of them: what the tests of records begin with."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from core.db import Database
from core.log import AccessLog, LineWriter
from core.pricing import load_prices
from core.record import RequestRecord
from core.settings import Settings
from core.spool import Spool
from core.types import Grant, ProviderName, Strategy, Usage
from core.under_way import adopt_orphans
from proxy_app.call import Asked, Call, Endpoint, Outcome
from proxy_app.faults import Fault
from proxy_app.recorder import Recorder

USAGE = Usage(1000, 200, 30, 40, 5000)
SESSION = "5f0c7a2e-session"


class Alone:
    """A lifeline whose client neither goes nor is drained."""

    gone = draining = False

    def pause(self, seconds: float) -> None: ...
    def close(self) -> None: ...
    def hold(self, connection: Any) -> None: ...
    def release(self) -> None: ...


@dataclass
class Sums:
    done: list[RequestRecord] = field(default_factory=list)
    written: list[RequestRecord] = field(default_factory=list)

    def finished(self, record: RequestRecord) -> None:
        self.done.append(record)

    def flushed(self, records: Sequence[RequestRecord]) -> None:
        self.written += records


@dataclass
class Desk:
    """A recorder, and what it leaves behind."""

    recorder: Recorder
    spool: Spool
    log: Path

    @property
    def records(self) -> list[RequestRecord]:
        return [RequestRecord.from_json(line) for line in self.spool.read_batch(1000)[0]]

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_bytes().splitlines()]

    def record(self, a_call: Call, outcome: Outcome) -> RequestRecord:
        self.recorder.finish(a_call, outcome)
        return self.records[-1]


@pytest.fixture
def desk(tmp_path: Path, database: Database) -> Iterator[Desk]:
    log = tmp_path / "log"
    fd = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    spool = Spool(tmp_path / "spool", "worker")
    access_log = AccessLog(LineWriter(fd))
    yield Desk(Recorder(spool, database, load_prices(), access_log, Settings(), (lambda: 120.0, lambda: 1.8e9)), spool, log)
    spool.close()
    os.close(fd)


def call(number: int = 1, **changes: Any) -> Call:
    a_call = Call(
        request_id=f"req_{number:026d}",
        grant=Grant("user_1", "key_1", Strategy.PLAN_FIRST),
        endpoint=Endpoint.MESSAGES,
        method="POST",
        target="/v1/messages",
        headers=(("x-claude-code-session-id", SESSION), ("authorization", "Bearer " + "t" * 20)),
        body=b'{"secret prompt"}',
        asked=Asked("claude-opus-5", stream=True),
        lifeline=Alone(),
        started=100.0,
        received=101.0,
        started_at=1_800_000_000.0,
    )
    return replace(a_call, **changes)


def outcome(**changes: Any) -> Outcome:
    usual: dict[str, Any] = {
        "provider": ProviderName.PLAN,
        "status": 200,
        "usage": USAGE,
        "upstream_wait": 2.0,
        "first_byte": 103.25,
        "ended": 110.5,
        "trace": ["plan:200"],
    }
    return Outcome(**(usual | changes))


ON_BEDROCK: dict[str, Any] = {
    "provider": ProviderName.BEDROCK,
    "fault": Fault.PLAN_EXHAUSTED,
    "model_served": "us.anthropic.claude-opus-5",
    "bedrock_key_id": "bk_1",
    "trace": ["plan:skipped(open until 12:00)", "bedrock:200"],
}


def left_by_a_kill(desk: Desk) -> list[RequestRecord]:
    """What an adopter finds."""
    os.close(desk.spool._fd)
    desk.spool._fd = -1
    orphans = adopt_orphans(desk.spool.path.parent)
    records = [RequestRecord.from_json(line) for orphan in orphans for line in orphan.read_batch(9)[0]]
    for orphan in orphans:
        os.close(orphan._fd)
    return records
