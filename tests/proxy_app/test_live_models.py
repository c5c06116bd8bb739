"""The catalogue follows the rows at the tick; who began with one keeps it."""

from __future__ import annotations

import pytest

from core import model_rows
from core.db import Database
from core.model_ids import NewModel
from core.revision import Tick
from proxy_app.bedrock.models import load_catalogue
from proxy_app.live_models import LiveModels
from tests.core.office import NOW
from tests.proxy_app.scripted import KEY

SHIPPED = load_catalogue()
NEW = NewModel("claude-opus-6", "anthropic.claude-opus-6-v1", "claude-opus-5-5")


def add(database: Database, new: NewModel = NEW, known: frozenset[str] = SHIPPED.known_models()) -> str:
    return database.run(lambda connection: model_rows.add_model(connection, new, known, NOW)).id


def ticking(database: Database) -> tuple[LiveModels, Tick]:
    models, tick = LiveModels(SHIPPED, database), Tick(database, 1.0)
    tick.listen(models.changed)
    tick.look()
    return models, tick


def first_id(models: LiveModels) -> str:
    return models.current().routes("claude-opus-6", KEY)[0].id


def test_a_row_is_in_force_with_the_next_look_and_its_removal_too(database: Database) -> None:
    models, tick = ticking(database)
    row_id = add(database)
    assert first_id(models) == "global.anthropic.claude-opus-6"
    tick.look()
    assert first_id(models) == "global.anthropic.claude-opus-6-v1"
    database.run(lambda connection: model_rows.remove_model(connection, row_id))
    tick.look()
    assert first_id(models) == "global.anthropic.claude-opus-6"


def test_a_worker_that_starts_has_the_rows_with_its_first_look(database: Database) -> None:
    add(database)
    models, _ = ticking(database)
    assert first_id(models) == "global.anthropic.claude-opus-6-v1"


def test_who_has_taken_a_catalogue_keeps_it(database: Database) -> None:
    models, tick = ticking(database)
    taken = models.current()
    add(database)
    tick.look()
    assert taken.routes("claude-opus-6", KEY) == SHIPPED.routes("claude-opus-6", KEY)
    assert models.current() is not taken


def test_other_changes_leave_it_alone(database: Database) -> None:
    models, _ = ticking(database)
    taken = models.current()
    models.changed("grants")
    assert models.current() is taken


def test_a_row_like_a_model_that_is_no_longer_shipped_is_left_out_and_told(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    models, tick = ticking(database)
    gone = add(database, NewModel("claude-opus-7", "anthropic.claude-opus-7-v1", "claude-gone"), frozenset({"claude-gone"}))
    add(database)
    tick.look()
    assert first_id(models) == "global.anthropic.claude-opus-6-v1"
    assert [record.context["row"] for record in caplog.records] == [gone]  # type: ignore[attr-defined]
