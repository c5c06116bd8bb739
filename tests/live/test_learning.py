"""Two gunicorn workers on one PostgreSQL database, an account that takes only some betas: what one learned the other uses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from sandbox.client import Sandbox
from sandbox.product import Product
from tests.live.asking import ask, await_true
from tests.live.conftest import Stack

SEED = "7"
SHARED_WITHIN_S = 5.0
NEWEST, ELDER = "claude-opus-5-5", "claude-sonnet-4-6"
CONTEXT = {"edits": [{"type": "clear_tool_uses_20250919"}]}
BETAS = (
    "claude-code-20250219,interleaved-thinking-2025-05-14,context-management-2025-06-27,thinking-token-count-2026-05-13,"
    "afk-mode-2026-01-31,fine-grained-tool-streaming-2025-05-14,model-context-window-exceeded-2025-08-26,effort-2025-11-24"
)
TOOLS = [{"name": "read", "input_schema": {"type": "object"}}]
USES = {"thinking": {"type": "adaptive"}, "context_management": CONTEXT, "output_config": {"effort": "high"}, "tools": TOOLS}


@pytest.fixture(scope="module")
def product_settings(postgres_server: Any) -> Iterator[dict[str, str]]:
    url = postgres_server.migrated()
    yield {"PROXY_DATABASE_URL": url, "PROXY_TICK_S": "0.2"}
    postgres_server.drop(url)


@pytest.fixture(scope="module")
def account() -> Iterator[Sandbox]:
    with Sandbox("bedrock", ("--keep-bodies", "--allow-sets", SEED)) as bedrock:
        yield bedrock


@pytest.fixture(scope="module")
def learners(
    running: Stack, account: Sandbox, product_settings: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[Product]]:
    """Two workers, each behind an address of its own, which share a database and their secrets."""
    secrets = {"PROXY_DATA_DIR": str(running.product.data_dir / "var")}
    environment = {"PROXY_PLAN_URL": running.anthropic.url, "PROXY_BEDROCK_URL": account.url, **product_settings, **secrets}
    products = [Product(tmp_path_factory.mktemp(name), environment) for name in ("first", "second")]
    for product in products:
        product.start()
    yield products
    for product in products:
        product.stop()


class At:
    """A developer who asks one of the workers."""

    def __init__(self, product: Product, developer: Any, account: Sandbox) -> None:
        self.base_url = product.base_url(developer.access_key)
        self._account = account

    def tries(self, model: str, status: int = 200, **changes: Any) -> int:
        """How often Bedrock was asked for one request."""
        before = self._account.totals()["requests"]
        answer = ask(self, model=model, headers={"anthropic-beta": BETAS}, max_tokens=4096, **{**USES, **changes})
        assert answer.status == status, answer.body
        return int(self._account.totals()["requests"]) - before

    def knows(self, model: str) -> bool:
        """Asked with a request that teaches nothing: it is refused for its tools, whatever is left out of it."""
        return self.tries(model, 400, tools=TOOLS * 2) == 1

    def converge(self, model: str) -> int:
        """Asks until ten first tries in a row were accepted; how many requests had been corrected."""
        corrected = calm = 0
        while calm < 10:
            again = self.tries(model) > 1
            corrected, calm = corrected + again, 0 if again else calm + 1
        return corrected

    def first_tries_succeed(self, model: str) -> bool:
        return [self.tries(model) for _ in range(5)] == [1] * 5


@pytest.mark.parametrize(("model", "most"), [(NEWEST, 8), (ELDER, 16)], ids=["named", "unnamed"])
def test_what_one_worker_learned_the_other_uses_and_first_tries_succeed(
    stack: Any, learners: list[Product], account: Sandbox, model: str, most: int
) -> None:
    developer = stack.developer(strategy="bedrock_only")
    first, second = (At(product, developer, account) for product in learners)
    assert not second.knows(model)
    assert 1 <= first.converge(model) <= most
    await_true(lambda: second.knows(model), SHARED_WITHIN_S)
    assert second.first_tries_succeed(model)


def test_what_is_cleared_is_sent_again_by_every_worker(stack: Any, learners: list[Product], account: Sandbox) -> None:
    developer = stack.developer(strategy="bedrock_only")
    first, second = (At(product, developer, account) for product in learners)
    first.converge(NEWEST)
    await_true(lambda: second.knows(NEWEST), SHARED_WITHIN_S)
    assert learners[0].cli("repairs", "clear", "--all")["cleared"] >= 1
    await_true(lambda: not first.knows(NEWEST) and not second.knows(NEWEST), SHARED_WITHIN_S)


def test_another_bedrock_key_of_the_same_account_has_its_own_lessons(
    stack: Any, learners: list[Product], account: Sandbox
) -> None:
    taught, other = (stack.developer(strategy="bedrock_only") for _ in range(2))
    At(learners[0], taught, account).converge(NEWEST)
    assert At(learners[0], taught, account).knows(NEWEST)
    assert not At(learners[0], other, account).knows(NEWEST)
