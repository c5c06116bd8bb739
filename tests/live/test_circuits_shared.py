"""Two servers on one PostgreSQL database: what one has found out the other knows within 2-3 s (SPEC section 5)."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.product import Product
from tests.live.asking import ask, await_true, line_of, was_skipped
from tests.live.two_servers import database_of_both as database_of_both
from tests.live.two_servers import neighbour as neighbour

SHARED_WITHIN_S = 3.0


@pytest.fixture(scope="module")
def product_settings(database_of_both: str) -> dict[str, str]:
    return {"PROXY_DATABASE_URL": database_of_both, "PROXY_CIRCUIT_RESET_S": "20"}


class At:
    """The same developer, asking at another server."""

    def __init__(self, product: Product, developer: Any) -> None:
        self.base_url = product.base_url(developer.access_key)


def _skips(product: Product, developer: Any, because: str) -> bool:
    return ask(At(product, developer)).fallback == because


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_a_window_used_up_at_one_server_is_skipped_at_the_other(stack: Any, neighbour: Product, stream: bool) -> None:
    developer = stack.developer()
    stack.anthropic.fault("plan_exhausted", times=1, reset=600)
    assert ask(developer, stream=stream).came_from_bedrock("plan_exhausted")
    await_true(lambda: _skips(neighbour, developer, "plan_exhausted"), SHARED_WITHIN_S)
    posts = len(stack.plan_posts())
    assert ask(At(neighbour, developer), stream=stream).came_from_bedrock("plan_exhausted")
    assert len(stack.plan_posts()) == posts


def test_failures_that_open_a_circuit_at_one_server_open_it_at_the_other(stack: Any, neighbour: Product) -> None:
    developer = stack.developer()
    stack.anthropic.fault("overloaded", times=3)
    for _ in range(3):
        ask(developer)
    await_true(lambda: _skips(neighbour, developer, "plan_overloaded"), SHARED_WITHIN_S)


def test_another_login_that_is_served_at_one_server_opens_the_way_at_the_other(stack: Any, neighbour: Product) -> None:
    developer = stack.developer()
    stack.anthropic.fault("plan_exhausted", match={"credential": "sk-ant-tired"}, reset=600)
    assert ask(developer, credential="sk-ant-tired").came_from_bedrock("plan_exhausted")
    await_true(lambda: ask(At(neighbour, developer), credential="sk-ant-tired").came_from_bedrock("plan_exhausted"))
    assert ask(At(neighbour, developer), credential="sk-ant-fresh").came_from_plan


def test_a_login_is_in_no_log_and_not_in_the_table(stack: Any, neighbour: Product) -> None:
    developer = stack.developer()
    stack.anthropic.fault("plan_exhausted", reset=600)
    ask(developer, credential="sk-ant-marked-login")
    await_true(lambda: _skips(neighbour, developer, "plan_exhausted"), SHARED_WITHIN_S)
    rows = stack.database.read(lambda connection: connection.exec_driver_sql("SELECT * FROM circuits").all())
    written = repr(rows) + stack.product.log_path.read_text() + neighbour.log_path.read_text()
    assert developer.access_key_id in written
    assert "marked-login" not in written


def test_what_is_open_stays_open_through_a_restart(stack: Any) -> None:
    developer = stack.developer()
    stack.anthropic.fault("plan_exhausted", times=1, reset=600)
    ask(developer)
    assert was_skipped(stack, ask(developer))
    stack.product.stop()
    stack.product.start()
    await_true(lambda: ask(developer).fallback == "plan_exhausted", SHARED_WITHIN_S)


def test_a_circuit_that_closes_at_one_server_closes_at_the_other(stack: Any, neighbour: Product) -> None:
    developer = stack.developer()
    stack.anthropic.fault("plan_exhausted", times=1, reset=4)
    ask(developer)
    await_true(lambda: _skips(neighbour, developer, "plan_exhausted"), SHARED_WITHIN_S)
    await_true(lambda: ask(developer).came_from_plan)
    await_true(lambda: ask(At(neighbour, developer)).came_from_plan, SHARED_WITHIN_S)
    assert line_of(stack, ask(developer))["circuit"] == "closed"


def test_a_plan_that_is_away_for_five_keys_is_away_for_the_sixth_without_a_try(stack: Any) -> None:
    """The last test of the file: this server stays away from the Plan for 30 s."""
    developers = [stack.developer() for _ in range(6)]
    stack.anthropic.listen(False)
    answers = [ask(each) for each in developers]
    assert [each.came_from_bedrock("plan_unreachable") for each in answers] == [True] * 6
    assert [was_skipped(stack, each) for each in answers] == [False] * 5 + [True]
