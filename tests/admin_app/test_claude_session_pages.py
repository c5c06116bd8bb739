"""Sessions of Claude Code: the operations, and the pages that show them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from admin_app import claude_session_operations as does
from admin_app.claude_session_pages import Course, course_of
from admin_app.operation import BadFields
from core.access import NotFound
from core.access_keys import IssuedKey
from core.actor import Role
from core.db import Database, open_database
from core.ledger import write_batch
from core.record import RequestRecord
from core.settings import Settings
from core.users import User, delete_user
from tests.admin_app.browser import Browser
from tests.admin_app.desk import Desk
from tests.admin_app.whole_app import PASSWORD, admin_app
from tests.core.office import NOW, Office

HOME = "/admin/sessions"
HOSTILE = '<img src=x onerror="alert(1)">'


@pytest.fixture
def database_url(sqlite_template: Path, tmp_path: Path) -> str:
    """SQLite alone: core.session_report is tested on both."""
    copy = tmp_path / "sessions.sqlite"
    copy.write_bytes(sqlite_template.read_bytes())
    return f"sqlite:///{copy}"


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    opened = open_database(Settings(database_url=database_url), pool_size=1)
    yield opened
    opened.close()


@pytest.fixture
def desk(database: Database, tmp_path: Path) -> Desk:
    return Desk(database, Role.VIEWER)


@pytest.fixture
def ada(database: Database) -> User:
    return Office(database).add("ada")


@pytest.fixture
def key(database: Database, ada: User) -> IssuedKey:
    return Office(database).issue(ada)


@pytest.fixture
def browser(database_url: str, tmp_path: Path) -> Iterator[Browser]:
    app = admin_app(database_url, tmp_path)
    signed_in = Browser(app)
    signed_in.sign_in("admin", PASSWORD)
    yield signed_in
    app.close()


def write(database: Database, user: User, key: IssuedKey, *many: dict[str, Any]) -> None:
    """A second after each other, of the session "one" unless told otherwise."""
    plain = RequestRecord(
        "", 0, user.id, key.id, session_id="one", provider="plan", status=200, input_tokens=100, output_tokens=10
    )
    at = NOW - timedelta(minutes=1)
    records = [
        replace(plain, **{"request_id": f"req_{n:026d}", "started_at": (at + timedelta(seconds=n)).timestamp(), **each})
        for n, each in enumerate(many)
    ]
    database.run(lambda connection: write_batch(connection, records))


PAID = {"provider": "bedrock", "fault": "plan_exhausted", "cost_micros": 1_500_000, "list_value_micros": 2_000_000}
CHILD = {"agent_id": "a1", **PAID}
GRANDCHILD = {"agent_id": "a2", "parent_agent_id": "a1", **PAID}


def test_sessions_are_listed_with_what_they_cost_and_who_answered(desk: Desk, ada: User, key: IssuedKey) -> None:
    write(desk.database, ada, key, {}, CHILD, GRANDCHILD)
    [line] = desk.does(does.LIST, user_id=ada.id).data
    figures = line.figures
    assert (line.session_id, line.agents, figures.requests, figures.plan, figures.bedrock) == ("one", 3, 3, 1, 2)
    assert (figures.cost_usd, figures.list_value_usd, figures.seconds, figures.fallbacks) == (Decimal(3), Decimal(4), 2, 2)


def test_an_agent_holds_what_it_began_and_says_its_own(desk: Desk, ada: User, key: IssuedKey) -> None:
    write(desk.database, ada, key, {}, CHILD, GRANDCHILD)
    tree = desk.does(does.GET, access_key_id=key.id, session_id="one")
    costs = [(each.agent_id, each.depth, each.own.cost_usd, each.with_below.cost_usd) for each in tree.agents]
    half, whole = Decimal("1.5"), Decimal(3)
    assert costs == [("", 0, Decimal(0), whole), ("a1", 1, half, whole), ("a2", 2, half, half)]
    assert (tree.whose.user_name, tree.whose.access_key_id) == ("ada", key.id)


def test_sessions_come_a_page_at_a_time(desk: Desk, ada: User, key: IssuedKey) -> None:
    write(desk.database, ada, key, *({"session_id": f"s{number}"} for number in range(23)))
    first = desk.does(does.LIST, user_id=ada.id)
    second = desk.does(does.LIST, user_id=ada.id, cursor=first.next_cursor)
    assert (len(first.data), len(second.data), second.next_cursor, first.total) == (20, 3, None, 23)


def test_the_latest_of_all_users_say_who_by_which_key_and_why_bedrock_answered(desk: Desk, ada: User, key: IssuedKey) -> None:
    ben = Office(desk.database).add("ben")
    write(desk.database, ada, key, {}, CHILD)
    write(desk.database, ben, Office(desk.database).issue(ben), {"request_id": "req_ben", "session_id": "of ben"})
    found = desk.does(does.LIST)
    told = [(each.user_name, each.session_id, each.fault) for each in found.data]
    assert (told, found.total, found.whose) == ([("ada", "one", "plan_exhausted"), ("ben", "of ben", "")], 2, None)
    assert (found.data[0].access_key_id, found.data[0].fell_back_at) == (key.id, NOW - timedelta(seconds=59))


@pytest.mark.parametrize(
    ("fields", "ids"),
    [
        ({"user_id": "ada"}, ["two", "one"]),
        ({"answered": "fallback"}, ["two"]),
        ({"answered": "plan"}, ["one"]),
        ({"answered": "errors"}, []),
        ({"since": "2026-01-01T00:00:00Z", "until": "2026-01-02T00:00:00Z"}, []),
        ({"user_id": "ada", "answered": "bedrock"}, ["two"]),
    ],
)
def test_filters_leave_out_what_does_not_fit(
    desk: Desk, ada: User, key: IssuedKey, fields: dict[str, str], ids: list[str]
) -> None:
    write(desk.database, ada, key, {}, {"session_id": "two", **PAID})
    found = desk.does(does.LIST, **fields)
    assert ([each.session_id for each in found.data], found.total) == (ids, len(ids))


@pytest.mark.parametrize("fields", [{"user_id": "nobody"}, {"access_key_id": "key_none"}, {"answered": "someone"}])
def test_a_filter_that_means_nothing_is_refused(desk: Desk, fields: dict[str, str]) -> None:
    with pytest.raises(BadFields):
        desk.does(does.LIST, **fields)


def test_one_says_whose_the_tree_is_a_user_or_a_key(desk: Desk) -> None:
    with pytest.raises(BadFields):
        desk.does(does.GET, session_id="one", user_id="usr_1", access_key_id="key_1")


def test_the_session_of_another_user_is_not_found_under_this_one(desk: Desk, ada: User, key: IssuedKey) -> None:
    write(desk.database, ada, key, {})
    ben = Office(desk.database).add("ben")
    with pytest.raises(NotFound):
        desk.does(does.GET, user_id=ben.id, session_id="one")


def test_the_user_page_and_the_key_page_lead_to_sessions(browser: Browser, ada: User, key: IssuedKey) -> None:
    assert f'href="{HOME}?user={ada.id}"' in browser.get(f"/admin/users/{ada.id}").text
    assert f'href="{HOME}?key={key.id}"' in browser.get(f"/admin/keys/{key.id}").text


def test_a_request_leads_to_its_session_and_that_to_its_requests(
    browser: Browser, database: Database, ada: User, key: IssuedKey
) -> None:
    write(database, ada, key, {})
    to_session = f"{HOME}/one?user={ada.id}"
    assert f'href="{to_session}"' in browser.get(f"/admin/requests/req_{0:026d}").text
    assert 'href="/admin/requests?session_id=one"' in browser.get(to_session).text


def test_the_tree_is_indented_and_says_its_levels_out_loud(
    browser: Browser, database: Database, ada: User, key: IssuedKey
) -> None:
    write(database, ada, key, {}, CHILD, GRANDCHILD)
    page = browser.get(f"{HOME}/one?key={key.id}").text
    rows = re.findall(r'class="depth-(\d)"><span class="unseen">Level (\d): </span>\s*(?:<code>)?(\w+)', page)
    assert rows == [("0", "1", "main"), ("1", "2", "a1"), ("2", "3", "a2")]
    assert ("$3.00" in page, "$1.50" in page) == (True, True)


@pytest.mark.parametrize(
    ("query", "words"),
    [("", "None yet"), ("?user={user}", "None yet"), ("?answered=plan", "Nothing fits"), ("?user=nobody", "nobody is called so")],
)
def test_an_empty_list_says_what_to_do(browser: Browser, ada: User, query: str, words: str) -> None:
    answer = browser.get(HOME + query.format(user=ada.id))
    assert (answer.status_code, words in answer.text) == (200, True)


def test_what_a_client_made_up_is_escaped_and_reached(browser: Browser, database: Database, ada: User, key: IssuedKey) -> None:
    write(database, ada, key, {"session_id": HOSTILE, "agent_id": HOSTILE})
    listed = browser.get(f"{HOME}?user={ada.id}").text
    link = re.search(rf'href="({HOME}/[^"]+)"', listed)[1].replace("&amp;", "&")  # type: ignore[index]
    page = browser.get(link)
    assert (page.status_code, HOSTILE in listed + page.text, "&lt;img" in page.text) == (200, False, True)


@pytest.mark.parametrize("path", ["/none?user={user}", "/one?user=usr_none", "/one?key=key_none"])
def test_what_is_not_there_is_not_found(browser: Browser, ada: User, path: str) -> None:
    assert browser.get(HOME + path.format(user=ada.id)).status_code == 404


def test_the_list_leads_to_the_tree_the_user_the_key_and_to_itself_as_a_file(
    browser: Browser, database: Database, ada: User, key: IssuedKey
) -> None:
    write(database, ada, key, {}, CHILD)
    page = browser.get(f"{HOME}?answered=fallback").text
    wanted = (f"{HOME}/one?key={key.id}", f"/admin/users/{ada.id}", f"/admin/keys/{key.id}", f"{HOME}.csv?answered=fallback")
    assert [f'href="{each}"' in page for each in wanted] == [True] * 4
    assert ("plan exhausted" in page, "1 session." in page) == (True, True)


def test_htmx_gets_the_list_alone(browser: Browser, database: Database, ada: User, key: IssuedKey) -> None:
    write(database, ada, key, {})
    browser.headers |= {"hx-request": "true", "hx-target": "list"}
    part = browser.get(HOME).text
    assert ("<table" in part, "<html" in part, "<form" in part) == (True, False, False)


def test_a_next_page_keeps_the_filters(browser: Browser, database: Database, ada: User, key: IssuedKey) -> None:
    write(database, ada, key, *({"session_id": f"s{number:02}", **PAID} for number in range(23)))
    first = browser.get(f"{HOME}?answered=bedrock&user=ada").text
    following = re.search(r'rel="next" href="([^"]+)"', first)[1].replace("&amp;", "&")  # type: ignore[index]
    second = browser.get(following).text
    assert ("answered=bedrock" in following, second.count("<tr ") - 1, 'rel="next"' in second) == (True, 3, False)


def test_the_file_holds_what_the_list_shows_all_of_it(browser: Browser, database: Database, ada: User, key: IssuedKey) -> None:
    write(database, ada, key, *({"session_id": f"s{number}", **PAID} for number in range(30)), {"session_id": "of the plan"})
    lines = browser.get(f"{HOME}.csv?answered=fallback").text.splitlines()
    assert (len(lines), lines[0].startswith('"session_id","user_id","user"'), "of the plan" in str(lines)) == (31, True, False)
    assert '"1.5","2","plan_exhausted"' in lines[1]


def test_a_file_of_nobody_is_refused_rather_than_one_of_all(browser: Browser) -> None:
    refused = browser.get(f"{HOME}.csv?user=nobody")
    assert (refused.status_code, "Not found" in refused.text, "nobody is called so" in refused.text) == (422, False, True)


def test_sessions_of_who_was_deleted_are_still_told_and_reached(
    browser: Browser, database: Database, ada: User, key: IssuedKey
) -> None:
    write(database, ada, key, {})
    database.run(lambda connection: delete_user(connection, ada.id, NOW))
    assert f"{HOME}/one?key={key.id}" in browser.get(HOME).text
    assert browser.get(f"{HOME}/one?key={key.id}").status_code == 200


def figures(first: int, last: int, plan: int = 0, bedrock: int = 0, nobody: int = 0) -> does.FiguresShown:
    at = (NOW + timedelta(seconds=first), NOW + timedelta(seconds=last))
    asked = {"requests": plan + bedrock + nobody, "plan": plan, "bedrock": bedrock, "nobody": nobody}
    counts = {"errors": 0, "fallbacks": 0, "input_tokens": 0, "output_tokens": 0}
    money = {"cost_usd": Decimal(0), "list_value_usd": Decimal(0)}
    return does.FiguresShown(**asked, **counts, **money, first_at=at[0], last_at=at[1], seconds=last - first)


@pytest.mark.parametrize(
    ("part", "bar"),
    [
        (figures(0, 100, plan=3, bedrock=1), Course(0, 75, 25, 0)),
        (figures(50, 75, bedrock=1, nobody=1), Course(50, 0, 12.5, 12.5)),
        (figures(100, 100, plan=1), Course(98.5, 1.5, 0, 0)),
    ],
)
def test_the_bar_of_an_agent_lies_where_it_worked_and_is_seen_to_the_end(part: does.FiguresShown, bar: Course) -> None:
    assert course_of(part, figures(0, 100, plan=9)) == bar


def test_the_bar_of_a_session_of_one_moment_is_whole() -> None:
    assert course_of(figures(5, 5, plan=1), figures(5, 5, plan=1)) == Course(0, 100, 0, 0)
