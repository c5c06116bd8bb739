"""Sessions as the ledger sums them up, and how they are found, on both databases."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta
from importlib import import_module
from typing import Any

import pytest
from sqlalchemy import event, func, select, text

from core import session_list
from core.db import Database
from core.kept import all_kept
from core.ledger import Unwritable, write_batch
from core.record import RequestRecord
from core.retention import purge
from core.session_list import Answered, SessionFilter, SessionLine, count_sessions, find_sessions, sessions_in_order
from core.session_models import claude_agents, claude_sessions
from core.session_report import Whose, session_tree
from core.settings import Settings
from tests.core.office import NOW

FELL_BACK = {"provider": "bedrock", "fault": "plan_exhausted", "cost_micros": 70, "list_value_micros": 60, "output_tokens": 5}

EVERY = SessionFilter()


def record(number: int, session: str = "one", **more: Any) -> RequestRecord:
    """A second after the one before."""
    at = (NOW + timedelta(seconds=number)).timestamp()
    plain = RequestRecord(f"req_{number:026d}", at, "usr_1", "key_1", session_id=session, provider="plan", status=200)
    return replace(plain, **more)


def write(database: Database, *records: RequestRecord) -> None:
    database.run(lambda connection: write_batch(connection, records))


def write_in_batches(database: Database, records: list[RequestRecord], size: int) -> None:
    for begin in range(0, len(records), size):
        write(database, *records[begin : begin + size])


def found(database: Database, wanted: SessionFilter = EVERY, limit: int = 50, after: Any = None) -> Any:
    return database.read(lambda connection: find_sessions(connection, wanted, limit, after))


def ids(database: Database, **wanted: Any) -> list[str]:
    return [line.session_id for line in found(database, SessionFilter(**wanted)).lines]


def at(second: int) -> Any:
    return NOW + timedelta(seconds=second)


def test_a_session_is_summed_up_over_batches_with_why_it_fell_back_the_last_time(database: Database) -> None:
    write(database, record(1), record(5, agent_id="a", cache_read_tokens=40, input_tokens=2, **FELL_BACK))
    write(database, record(3, agent_id="a", **{**FELL_BACK, "fault": "plan_error"}), record(7, provider="", status=529))
    (line,) = found(database).lines
    told = (line.first_at, line.last_at, line.fell_back_at, line.fault)
    assert told == (at(1), at(7), at(5), "plan_exhausted")
    assert (line.agents, line.requests, line.errors, line.fallbacks, line.plan, line.bedrock, line.nobody) == (
        2,
        4,
        1,
        2,
        1,
        2,
        1,
    )
    assert (line.input_tokens, line.output_tokens, line.cost_micros, line.list_value_micros) == (42, 10, 140, 120)


def test_a_later_fallback_says_why_whichever_batch_comes_first(database: Database) -> None:
    write(database, record(3, **{**FELL_BACK, "fault": "plan_error"}))
    write(database, record(5, **FELL_BACK))
    write(database, record(4, **{**FELL_BACK, "fault": "plan_timeout"}))
    assert [(line.fault, line.fell_back_at) for line in found(database).lines] == [("plan_exhausted", at(5))]


def test_a_record_that_comes_twice_is_summed_up_once(database: Database) -> None:
    write(database, record(1, agent_id="a"))
    write(database, record(1, agent_id="a"), record(2, agent_id="b"))
    assert [(line.requests, line.agents) for line in found(database).lines] == [(2, 2)]


def test_the_sums_are_what_the_tree_makes_of_the_records(database: Database) -> None:
    """In batches of any size, in any order."""
    made = random.Random(7)
    records = [record(n, f"s{made.randrange(3)}", agent_id=made.choice(("", "a", "b")), **drawn(made)) for n in range(60)]
    made.shuffle(records)
    write_in_batches(database, records, 7)
    lines = found(database).lines
    assert len(lines) == 3
    assert [sums_of(line) for line in lines] == [tree_of(database, line) for line in lines]


def drawn(made: random.Random) -> dict[str, Any]:
    outcome = made.choice(({}, FELL_BACK, {"provider": "", "status": 503}, {"fault": "stream_broken"}, {"fault": "client_gone"}))
    return {**outcome, "input_tokens": made.randrange(50), "cache_write_1h_tokens": made.randrange(9)}


def sums_of(line: SessionLine) -> tuple[Any, ...]:
    figures = (line.requests, line.errors, line.fallbacks, line.input_tokens, line.output_tokens, line.cost_micros)
    return (*figures, line.list_value_micros, line.first_at, line.last_at, line.agents)


def tree_of(database: Database, line: SessionLine) -> tuple[Any, ...]:
    tree = database.read(lambda c: session_tree(c, Whose(access_key_id=line.access_key_id), line.session_id))
    assert tree is not None
    total = tree.span.total
    figures = (total.requests, total.errors, total.fallbacks, total.input_tokens, total.output_tokens, total.cost_micros)
    spoke = sum(agent.own is not None for agent in tree.agents)
    return (*figures, total.list_value_micros, tree.span.first_at, tree.span.last_at, spoke)


def test_counting_tokens_and_requests_without_a_session_are_in_no_session(database: Database) -> None:
    write(database, record(1, endpoint="count_tokens"), record(2, ""))
    assert found(database).lines == ()


def test_the_same_id_under_two_keys_is_two_sessions(database: Database) -> None:
    write(database, record(1), record(2, access_key_id="key_2"), record(3, user_id="usr_2", access_key_id="key_3"))
    assert [(line.access_key_id, line.requests) for line in found(database).lines] == [("key_3", 1), ("key_2", 1), ("key_1", 1)]


def test_sessions_are_found_by_user_key_outcome_and_time(database: Database) -> None:
    write(database, record(1, "plan"), record(2, "fell", **FELL_BACK), record(3, "chosen", provider="bedrock"))
    write(database, record(4, "bad", provider="", status=500, user_id="usr_2", access_key_id="key_2"))
    assert ids(database) == ["bad", "chosen", "fell", "plan"]
    assert (ids(database, user_id="usr_2"), ids(database, access_key_id="key_2")) == (["bad"], ["bad"])
    assert ids(database, answered=Answered.PLAN) == ["plan"]
    assert ids(database, answered=Answered.BEDROCK) == ["chosen", "fell"]
    assert (ids(database, answered=Answered.FALLBACK), ids(database, answered=Answered.ERRORS)) == (["fell"], ["bad"])
    assert ids(database, since=at(2), until=at(4)) == ["chosen", "fell"]


def test_pages_end_where_the_next_begins_also_among_sessions_of_one_moment(database: Database) -> None:
    write(database, *[record(number, f"s{number}", started_at=NOW.timestamp()) for number in range(5)])
    first = found(database, limit=2)
    second = found(database, limit=2, after=first.last)
    third = found(database, limit=2, after=second.last)
    assert [line.session_id for page in (first, second, third) for line in page.lines] == ["s0", "s1", "s2", "s3", "s4"]
    assert third.last is None


def test_in_the_order_of_ids_nothing_moves_while_it_is_read(database: Database) -> None:
    write(database, *[record(number, f"s{number}") for number in range(4)])
    first = database.read(lambda c: sessions_in_order(c, SessionFilter(), 2))
    write(database, record(9, "s2"), record(10, "s0"))
    second = database.read(lambda c: sessions_in_order(c, SessionFilter(), 2, first.last))
    assert [line.session_id for line in (*first.lines, *second.lines)] == ["s0", "s1", "s2", "s3"]


def test_more_sessions_than_are_counted_are_told_as_one_more(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_list, "MOST_COUNTED", 3)
    write(database, *[record(number, f"s{number}") for number in range(9)])
    counted = [database.read(lambda c, w=w: count_sessions(c, w)) for w in (SessionFilter(), SessionFilter(since=at(7)))]
    assert counted == [4, 2]


def test_a_session_goes_with_its_agents_when_its_last_request_was_kept_long_enough(database: Database) -> None:
    write(database, record(1, "old", agent_id="a"), record(1 + 86_400, "new"))
    [kept] = [each for each in all_kept(Settings()) if each.table is claude_sessions]
    assert purge(database, kept, NOW + timedelta(days=30, hours=2), lambda _: None) == 1
    agents = database.read(lambda c: c.execute(select(func.count()).select_from(claude_agents)).scalar_one())
    assert (ids(database), agents) == (["new"], 1)


def test_tokens_that_no_column_holds_cost_that_record_alone(database: Database) -> None:
    most = 2**63 - 1
    huge = record(1, input_tokens=most, cache_read_tokens=most, cache_write_5m_tokens=most)
    with pytest.raises(Unwritable):
        write(database, huge)
    write(database, record(2))
    assert [line.requests for line in found(database).lines] == [1]


def test_a_batch_costs_two_statements_more_and_a_page_one(database: Database) -> None:
    write(database, *[record(number, f"s{number}", agent_id=f"a{number}") for number in range(4)])
    said: list[str] = []

    def again(connection: Any) -> Any:
        event.listen(connection, "before_cursor_execute", lambda *args: said.append(args[2]))
        return write_batch(connection, [record(40 + number, f"s{number}", agent_id=f"a{number}") for number in range(4)])

    database.run(again)
    assert sum("claude_" in each for each in said) == 2


def test_what_was_in_the_ledger_before_is_summed_up_by_the_migration(database: Database) -> None:
    made = random.Random(11)
    write(database, *[record(n, f"s{n % 4}", agent_id=made.choice(("", "a", "b")), **drawn(made)) for n in range(40)])
    before = found(database).lines
    database.run(again_by_migration)
    assert found(database).lines == before
    assert len(before) == 4


def again_by_migration(connection: Any) -> None:
    migration = import_module("migrations.versions.0015_claude_sessions")
    connection.execute(text("DELETE FROM claude_sessions"))
    for statement in migration.STATEMENTS:
        connection.execute(text(statement))


def test_no_statement_of_a_batch_compares_all_sessions(database: Database) -> None:
    """As a list of pairs did in SQLite: 250 records cost more with each session that there was."""
    write(database, *[record(number, f"s{number}") for number in range(300)])
    said: list[Any] = []

    def plans(connection: Any) -> list[str]:
        event.listen(connection, "before_cursor_execute", lambda *args: said.append((args[2], args[3])))
        write_batch(connection, [record(400, "s7", agent_id="new"), record(401, "s8", agent_id="new")])
        explain = {"postgresql": "EXPLAIN ", "sqlite": "EXPLAIN QUERY PLAN "}[connection.dialect.name]
        updates = [each for each in said if each[0].startswith("UPDATE claude_sessions")]
        return [str(connection.exec_driver_sql(explain + text, given).all()) for text, given in updates]

    [plan] = database.run(plans)
    assert ("SCAN claude_sessions" in plan, "UPDATE" in str(said)) == (False, True)
