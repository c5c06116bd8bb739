"""`price`: administrators lay a price over the shipped one, from a moment on, and take it back."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.db import open_database
from core.price_rows import prices_in_force
from core.types import ProviderName, Usage
from tests.admin_app.test_cli import NOW, Terminal
from tests.installations import with_tables


@pytest.fixture
def terminal(tmp_path: Path, sqlite_template: Path) -> Terminal:
    made = Terminal(tmp_path / "var")
    with_tables(made.settings, sqlite_template)
    return made


def micros(terminal: Terminal, place: str = "global", **tokens: int) -> int:
    database = open_database(terminal.settings, pool_size=1)
    prices = database.read(prices_in_force)
    database.close()
    return prices.cost_micros(Usage(**tokens), "claude-opus-5-5", ProviderName.BEDROCK, place, NOW.timestamp()).micros


def test_a_price_is_set_by_any_spelling_and_the_rest_of_it_follows(terminal: Terminal) -> None:
    assert terminal("price set us.anthropic.claude-opus-5-5 --input 2 --output 9").code == 0
    assert [micros(terminal, **{kind: 1000}) for kind in ("input_tokens", "output_tokens")] == [2000, 9000]
    caches = ("cache_write_5m_tokens", "cache_write_1h_tokens", "cache_read_tokens")
    assert [micros(terminal, **{kind: 1000}) for kind in caches] == [2500, 4000, 200]
    assert micros(terminal, "us", input_tokens=1000) == 2200


def test_a_price_of_tomorrow_does_not_hold_today(terminal: Terminal) -> None:
    terminal("price set claude-opus-5-5 --input 2 --output 9 --from 2026-12-24")
    assert micros(terminal, output_tokens=1000) == 20_000


def test_a_removed_price_holds_no_more_and_is_listed_no_more(terminal: Terminal) -> None:
    price_id = terminal("price set claude-opus-5-5 --input 2 --output 9 --json").document["id"]
    assert [row["id"] for row in terminal("price list --json").document] == [price_id]
    assert terminal(f"price remove {price_id}").code == 0
    assert (terminal("price list --json").document, micros(terminal, output_tokens=1000)) == ([], 20_000)


@pytest.mark.parametrize("wrong", ["--input -1 --output 2", "--input NaN --output 2", "--input x --output 2", "--input 2"])
def test_what_is_no_price_is_a_mistake_of_usage(terminal: Terminal, wrong: str) -> None:
    assert terminal(f"price set claude-opus-5-5 {wrong}").code == 2


def test_a_name_that_no_model_has_is_refused(terminal: Terminal) -> None:
    refused = terminal("price set claude_opus! --input 1 --output 2")
    assert (refused.code, "a model's name" in refused.err) == (1, True)


def test_prices_are_listed_in_one_form_for_people_and_as_they_were_given_for_programs(terminal: Terminal) -> None:
    terminal("price set claude-opus-5-5 --input 5.00 --output 8")
    heading, line = terminal("price list").out.splitlines()

    shown = dict(zip(heading.split(), line.split(), strict=True))
    assert (shown["input"], shown["output"], shown["cache_write_5m"], shown["cache_read"]) == ("5.00", "8.00", "6.25", "0.50")
    assert terminal("price list --json").document[0]["output"] == "8"
