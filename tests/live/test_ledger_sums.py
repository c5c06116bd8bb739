"""The ledger's token sums are the upstreams' own counts, whatever mixture of answers, faults and hang-ups there was."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import func, select

from core.models import requests, usage_hourly
from tests.live.leaver import TOKENS, Line, eventually, token_sums

REQUESTS = 500
AT_ONCE = 16
HANG_UP = "silent_midstream;after=4"
PLAN_FAULTS = (
    "ok",
    "ok",
    "overloaded",
    "cut_midstream;after=6",
    "first_event_error",
    "error_midstream;after=7",
    "cut_midstream;after=6;how=rst",
    "throttle",
    "ends_early;after=5",
    "http_400",
    "one_byte_writes",
    HANG_UP,
)
BEDROCK_FAULTS = (
    ("ok", {}),
    ("throttling_first_frame", {}),
    ("exception_midstream", {"after": 5}),
    ("cut_midstream", {"after": 6}),
    ("truncated_frame", {"after": 5}),
    ("internal", {}),
)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def product_settings(request: pytest.FixtureRequest) -> dict[str, str]:
    settings = {"PROXY_FLUSH_INTERVAL_S": "0.5"}
    if request.param == "sqlite":
        return settings
    return settings | {"PROXY_DATABASE_URL": request.getfixturevalue("postgres_server").migrated(), "PROXY_WORKERS": "2"}


@pytest.fixture
def clients() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield pool


@dataclass(frozen=True)
class Errand:
    """One request of the mixture, number `n`: every combination comes up."""

    n: int
    developers: tuple[Any, ...]

    @property
    def stream(self) -> bool:
        return self.n % 3 != 0

    @property
    def fault(self) -> str:
        """Who leaves a whole answer has not seen its count, so nobody does."""
        fault = PLAN_FAULTS[self.n % len(PLAN_FAULTS)]
        return "ok" if fault == HANG_UP and not self.stream else fault

    def run(self) -> str:
        """Its id. Whatever the answer is, it is read to its end, if it has one; a hang-up reads the beginning."""
        with Line(self.developers[self.n % len(self.developers)].base_url, timeout_s=60) as line:
            words = [{"role": "user", "content": f"errand {self.n}"}]
            line.ask(stream=self.stream, headers={"x-sandbox-fault": self.fault}, messages=words, max_tokens=300 + self.n)
            line.read_head()
            if self.fault == HANG_UP and line.headers.get("x-proxy-provider") == "plan":
                line.await_text(b"content_block_delta")
                line.leave("rst")
            else:
                drain(line)
            return line.headers["x-proxy-request-id"]


def drain(line: Line) -> None:
    try:
        line.body()
    except ConnectionError:
        return


def all_booked(stack: Any) -> int:
    count = stack.database.read(lambda connection: connection.execute(select(func.count()).select_from(requests)).scalar_one())
    return int(count)


def counted(sandbox: Any) -> dict[str, int]:
    """What an upstream has sent, in whole and in broken answers."""
    totals = sandbox.totals()
    return {name: totals["complete"][name] + totals["partial"][name] for name in TOKENS}


def test_the_sums_of_a_mixture_are_what_the_upstreams_counted(stack: Any, clients: ThreadPoolExecutor) -> None:
    for number, (fault, arguments) in enumerate(BEDROCK_FAULTS):
        stack.bedrock.fault(fault, match={"credential": f"bedrock-{number}"}, **arguments)
    developers = [stack.developer(bedrock=f"bedrock-{number}") for number in range(len(BEDROCK_FAULTS))]
    developers += [stack.developer("bedrock_only", bedrock=f"bedrock-{number}") for number in range(4)]
    errands = [Errand(n, tuple(developers)) for n in range(REQUESTS)]
    answered = set(clients.map(Errand.run, errands))
    eventually(lambda: all_booked(stack) == REQUESTS, 30)
    rows = stack.database.read(lambda connection: connection.execute(select(requests)).all())
    assert answered == {row.request_id for row in rows}
    sums = token_sums(stack)
    assert sums["plan"] == counted(stack.anthropic)
    assert sums["bedrock"] == counted(stack.bedrock)
    assert min(sums["plan"]["output_tokens"], sums["bedrock"]["output_tokens"]) > 1000
    assert hourly_sums(stack) == {name: sum(each[name] for each in sums.values()) for name in TOKENS}


def hourly_sums(stack: Any) -> dict[str, int]:
    wanted = select(*(func.sum(usage_hourly.c[name]) for name in TOKENS))
    row = stack.database.read(lambda connection: connection.execute(wanted).one())
    return dict(zip(TOKENS, map(int, row), strict=True))
