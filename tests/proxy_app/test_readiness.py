"""When a worker says that it can serve."""

from __future__ import annotations

from proxy_app.readiness import Readiness, State


class Database:
    away_since: float | None = None


def readiness(database: Database) -> Readiness:
    return Readiness(lambda: database.away_since)


def test_a_worker_is_not_ready_before_it_has_seen_its_database() -> None:
    assert readiness(Database()).state() == State(False, "starting")


def test_a_worker_that_has_started_is_ready() -> None:
    state = readiness(Database())
    state.started()
    assert state.state() == State(True, "ready")


def test_a_database_that_goes_away_degrades_and_does_not_stop() -> None:
    database = Database()
    state = readiness(database)
    state.started()
    database.away_since = 0.0
    assert (state.state().serving, state.state().word) == (True, "degraded")
    assert "database" in state.state().reason

    database.away_since = None
    assert state.state() == State(True, "ready")


def test_a_worker_that_drains_is_not_ready_whatever_else_is_true() -> None:
    database = Database()
    state = readiness(database)
    state.draining()
    state.started()
    database.away_since = 1.0
    assert state.state() == State(False, "draining")
