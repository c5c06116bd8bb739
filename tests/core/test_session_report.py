"""Sessions and the agents in them, on both databases."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, event

from core import session_report
from core.ledger import write_batch
from core.record import RequestRecord
from core.reports import Part, Sums
from core.session_report import SESSIONS_A_PAGE, SessionTree, Span, Whose, latest_sessions, session_tree, tree_of
from tests.core.office import NOW, Office

KEY, USER = Whose(access_key_id="key_1"), Whose(user_id="usr_1")


@pytest.fixture
def office(database: Any) -> Office:
    return Office(database)


def record(number: int, session: str = "one", **more: Any) -> RequestRecord:
    """A second after the one before."""
    at = (NOW + timedelta(seconds=number)).timestamp()
    plain = RequestRecord(f"req_{number:026d}", at, "usr_1", "key_1", session_id=session, provider="plan", status=200)
    return replace(plain, **more)


def write(office: Office, *records: RequestRecord) -> None:
    office.database.run(lambda connection: write_batch(connection, records))


def sessions(office: Office, whose: Whose = KEY, page: int = 1) -> Part:
    return office.database.read(lambda connection: latest_sessions(connection, whose, page))


def tree(office: Office, session: str = "one", whose: Whose = KEY) -> SessionTree | None:
    return office.database.read(lambda connection: session_tree(connection, whose, session))


def shape(found: SessionTree | None) -> list[tuple[str, int]]:
    assert found is not None
    return [(line.agent_id, line.depth) for line in found.agents]


def test_whoever_asked_nothing_has_no_sessions(office: Office) -> None:
    assert (sessions(office), tree(office)) == (Part((), 0), None)


def test_sessions_are_listed_the_latest_used_first_with_their_sums(office: Office) -> None:
    paid = {"provider": "bedrock", "fault": "plan_exhausted", "cost_micros": 70, "list_value_micros": 60, "output_tokens": 5}
    write(office, record(1), record(2, "two"), record(3, agent_id="a", cache_read_tokens=40, input_tokens=2, **paid))

    found = sessions(office)

    assert [(line.session_id, line.agents) for line in found.lines] == [("one", 2), ("two", 1)]
    span = found.lines[0].span
    assert span.total == Sums("", 2, 0, 1, 42, 5, 70, 60)
    assert [(sums.provider, sums.requests) for sums in span.by_provider] == [("plan", 1), ("bedrock", 1)]
    assert (span.first_at, span.last_at) == (NOW + timedelta(seconds=1), NOW + timedelta(seconds=3))


def test_sessions_come_a_page_at_a_time(office: Office) -> None:
    write(office, *[record(number, f"session-{number}") for number in range(SESSIONS_A_PAGE + 3)])

    first, second, third = (sessions(office, page=page) for page in (1, 2, 3))

    assert (len(first.lines), first.total) == (SESSIONS_A_PAGE, SESSIONS_A_PAGE + 3)
    assert [line.session_id for line in second.lines] == ["session-2", "session-1", "session-0"]
    assert third.lines == ()


def test_a_key_sees_its_own_part_of_a_session_and_its_user_all(office: Office) -> None:
    write(office, record(1), record(2, access_key_id="key_2", agent_id="a"), record(3, user_id="usr_2", access_key_id="key_3"))

    assert [line.span.total.requests for line in sessions(office).lines] == [1]
    assert [line.span.total.requests for line in sessions(office, USER).lines] == [2]
    assert (shape(tree(office)), shape(tree(office, whose=USER))) == ([("", 0)], [("", 0), ("a", 1)])


def test_a_session_of_somebody_else_is_not_there(office: Office) -> None:
    write(office, record(1))

    assert tree(office, whose=Whose(access_key_id="key_2")) is None
    assert tree(office, whose=Whose(user_id="usr_2")) is None


def test_counting_tokens_and_requests_without_a_session_are_in_no_session(office: Office) -> None:
    write(office, record(1), record(2, endpoint="count_tokens"), record(3, ""), record(4, "two", endpoint="count_tokens"))

    assert [(line.session_id, line.span.total.requests) for line in sessions(office).lines] == [("one", 1)]
    assert tree(office, "") is None


def test_the_tree_puts_agents_behind_the_one_that_began_them(office: Office) -> None:
    nested = {"agent_id": "nested", "parent_agent_id": "early", "provider": "bedrock", "cost_micros": 9}
    write(office, record(1), record(2, agent_id="early"), record(3, agent_id="late"), record(4, **nested), record(5, **nested))

    found = tree(office)

    assert shape(found) == [("", 0), ("early", 1), ("nested", 2), ("late", 1)]
    assert found is not None and found.is_whole
    assert [(line.own.total.requests, line.below.total.requests) for line in found.agents if line.own] == [
        (1, 5),
        (1, 3),
        (2, 2),
        (1, 1),
    ]
    assert [line.below.total.cost_micros for line in found.agents] == [18, 18, 18, 0]
    assert found.span.last_at == NOW + timedelta(seconds=5)


def test_errors_and_fallbacks_are_counted_as_the_ledger_counts_them(office: Office) -> None:
    broken, gone = {"fault": "stream_broken"}, {"status": 500, "fault": "client_gone"}
    ours, tried = {"provider": "", "status": 402}, {"provider": "bedrock", "fault": "plan_timeout"}
    chosen = {"provider": "bedrock", "fault": "bedrock_throttled"}
    write(office, *[record(number, **more) for number, more in enumerate((broken, gone, ours, tried, chosen, {"status": 529}))])

    found = tree(office)

    assert found is not None
    assert (found.span.total.errors, found.span.total.fallbacks) == (3, 1)


def test_agents_that_contradict_each_other_are_each_there_once() -> None:
    own = {name: span(number) for number, name in enumerate(("a", "b", "c", "self"))}
    parents = {"a": "b", "b": "a", "c": "gone", "self": "self"}

    lines = tree_of(own, parents)

    assert sorted(line.agent_id for line in lines) == ["", "a", "b", "c", "self"]
    assert (lines[0].own, lines[0].below.total.requests) == (None, 4)


def test_a_chain_of_a_thousand_agents_is_a_tree_too() -> None:
    own = {f"agent-{number}": span(number) for number in range(1000)}
    parents = {f"agent-{number}": f"agent-{number - 1}" for number in range(1, 1000)}

    lines = tree_of(own, parents)

    assert (len(lines), lines[-1].depth, lines[0].below.total.requests) == (1001, 1000, 1000)


def test_a_session_with_more_records_than_are_summed_up_says_so(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_report, "MOST_RECORDS", 3)
    write(office, *[record(number) for number in range(5)])

    found = tree(office)

    assert found is not None
    assert (found.is_whole, found.span.total.requests) == (False, 3)


def test_the_list_takes_three_queries_and_the_tree_one(office: Office) -> None:
    write(office, *[record(number, f"session-{number % 5}", agent_id=f"agent-{number % 3}") for number in range(30)])

    assert statements(office, lambda c: latest_sessions(c, USER)) == 3
    assert statements(office, lambda c: session_tree(c, USER, "session-1")) == 1


def statements(office: Office, work: Any) -> int:
    said: list[str] = []

    def counted(connection: Connection) -> Any:
        event.listen(connection, "before_cursor_execute", lambda *args: said.append(args[2]))
        return work(connection)

    office.database.read(counted)
    return len(said)


def span(second: int) -> Span:
    at, sums = NOW + timedelta(seconds=second), Sums("plan", 1)
    return Span(at, at, replace(sums, provider=""), (sums,))
