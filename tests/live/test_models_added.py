"""Models that administrators add at the command line: in force in every worker within two ticks (SPEC section 6)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.live.asking import MODEL, ask, await_true, get, line_of
from tests.live.bedrock_asked import attach, ids_asked
from tests.live.workers import AtWorker, at_every_worker

TWO_TICKS_S = 2.0
WORKERS = 2
ARN = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123"
SONNET = "claude-sonnet-5"  # what the stand-in's application profiles lead to


@pytest.fixture(scope="module")
def product_settings(postgres_server: Any) -> Iterator[dict[str, str]]:
    url = postgres_server.migrated()
    yield {"PROXY_DATABASE_URL": url, "PROXY_WORKERS": str(WORKERS), "PROXY_TICK_S": "1"}
    postgres_server.drop(url)


@pytest.fixture
def added(stack: Any) -> Iterator[Any]:
    """`added(name, ...)`: `model add`; what was added is removed at the end."""
    ids: list[str] = []

    def add(*arguments: str) -> str:
        ids.append(stack.product.cli("model", "add", *arguments)["id"])
        return ids[-1]

    yield add
    for row_id in ids:
        stack.product.cli("model", "remove", row_id, check=False)


@pytest.fixture
def workers(stack: Any) -> list[AtWorker]:
    return at_every_worker([stack.product])


def _ids_of_all(stack: Any, workers: list[AtWorker], developer: Any) -> set[str]:
    """What each worker asks for."""
    stack.bedrock.reset()
    assert {worker.ask(developer.access_key, model=SONNET).status for worker in workers} == {200}
    return set(ids_asked(stack))


def test_an_arn_for_one_key_serves_in_every_worker_within_two_ticks_and_no_other_key(
    stack: Any, workers: list[AtWorker], added: Any
) -> None:
    developer, other = stack.developer("bedrock_only", bedrock=""), stack.developer("bedrock_only")
    key_id = attach(stack, developer, "bedrock-first")
    assert _ids_of_all(stack, workers, developer) == {f"global.anthropic.{SONNET}"}
    added(SONNET, "--bedrock", ARN, "--bedrock-key", key_id)
    await_true(lambda: _ids_of_all(stack, workers, developer) == {ARN}, TWO_TICKS_S)
    assert _ids_of_all(stack, workers, other) == {f"global.anthropic.{SONNET}"}


def test_what_is_removed_is_gone_within_two_ticks(stack: Any, workers: list[AtWorker], added: Any) -> None:
    developer = stack.developer("bedrock_only")
    row_id = added(SONNET, "--bedrock", ARN)
    await_true(lambda: _ids_of_all(stack, workers, developer) == {ARN}, TWO_TICKS_S)
    stack.product.cli("model", "remove", row_id)
    await_true(lambda: _ids_of_all(stack, workers, developer) == {f"global.anthropic.{SONNET}"}, TWO_TICKS_S)


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_a_name_of_the_teams_own_is_served_repaired_listed_and_paid_for(
    stack: Any, workers: list[AtWorker], added: Any, stream: bool
) -> None:
    developer = stack.developer("bedrock_only")
    added("team-sonnet", "--bedrock", f"anthropic.{MODEL}", "--like", MODEL, "--prefix", "us")
    key = developer.access_key
    await_true(lambda: {worker.ask(key, model="team-sonnet").status for worker in workers} == {200}, TWO_TICKS_S)
    assert "team-sonnet" in [row["id"] for row in get(developer, "/v1/models?limit=1000").json["data"]]
    answer = ask(developer, stream=stream, model="team-sonnet", temperature=0.5, context_management={"edits": []})
    assert answer.came_from_bedrock("")
    line = line_of(stack, answer)
    assert (line["model_asked"], line["model_served"]) == ("team-sonnet", f"us.anthropic.{MODEL}")
    assert line["cost_micros"] > 0


def test_a_refused_row_changes_nothing(stack: Any, added: Any) -> None:
    refused = stack.product.cli("model", "add", "claude-opus-9", "--bedrock", "http://evil.example/x", check=False)
    assert "an ARN of bedrock or looks like" in refused["error"] or "no known model to be like" in refused["error"]
    assert stack.product.cli("model", "list") == []
