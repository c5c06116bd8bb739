"""A developer's own view on a running server: theirs alone, in both formats, with and without the database."""

from __future__ import annotations

import re
from typing import Any

import pytest
from sqlalchemy import func, select

from core.crypto import new_access_key
from core.models import requests
from tests.live.asking import Answer, ask, exchange
from tests.live.leaver import eventually, rows_of
from tests.live.postgres import Postgres
from tests.live.test_plan_windows_live import LOGIN

BROWSER = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
VIEWS = ("/status", "/status?session=mine", "/statusline")
OURS = re.compile(r'(?:href|src|action)="([^"]*)"')


@pytest.fixture(scope="module")
def product_settings(postgres: Postgres) -> dict[str, str]:
    return {"PROXY_DATABASE_URL": postgres.url, "PROXY_FLUSH_INTERVAL_S": "0.2"}


def look(developer: Any, path: str = "/status", **headers: str) -> Answer:
    return exchange(developer.base_url + path, "GET", None, headers)


def page(developer: Any, path: str = "/status") -> str:
    return look(developer, path, **BROWSER).body.decode()


def in_session(developer: Any, session: str, agent: str = "", parent: str = "") -> Answer:
    ids = {"x-claude-code-session-id": session, "x-claude-code-agent-id": agent, "x-claude-code-parent-agent-id": parent}
    return ask(developer, headers={**LOGIN, **{name: value for name, value in ids.items() if value}})


def booked(stack: Any, developer: Any, count: int) -> None:
    eventually(lambda: len(rows_of(stack, developer.access_key_id)) == count)


def test_the_page_for_programs_tells_windows_upstream_spend_and_requests(stack: Any) -> None:
    developer = stack.developer(budget_micros=50_000_000)
    plan, _ = in_session(developer, "s1"), stack.anthropic.fault("plan_exhausted", reset=3600)
    fallen = in_session(developer, "s1", "a1")
    booked(stack, developer, 2)

    told = look(developer).json

    assert plan.came_from_plan and fallen.came_from_bedrock("plan_exhausted")
    assert [(each["family"], each["provider"], each["fault"]) for each in told["serving"]] == [("*", "bedrock", "plan_exhausted")]
    assert [(each["name"], each["utilization"]) for each in told["plan"]["windows"]][:1] == [("5h", 1.0)]
    assert [each["request_id"] for each in told["requests"]] == [fallen.request_id, plan.request_id]
    assert told["bedrock"]["key"] == {"spent_micros": told["requests"][0]["cost_micros"], "budget_micros": 50_000_000}
    assert (told["sessions"][0]["session_id"], told["sessions"][0]["agents"]) == ("s1", 2)


def test_a_browser_gets_a_page_that_loads_nothing_from_elsewhere_and_holds_no_key(stack: Any) -> None:
    developer = stack.developer()
    in_session(developer, "s1")
    booked(stack, developer, 1)

    shown = look(developer, **BROWSER)

    assert (shown.status, shown.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert (shown.headers["cache-control"], shown.headers["referrer-policy"]) == ("no-store", "no-referrer")
    assert "default-src 'none'" in shown.headers["content-security-policy"]
    text = shown.body.decode()
    links = {re.split(r"[?#]", link)[0] for link in OURS.findall(text)}
    assert links == {"/claim/style.css", "/claim/icon.svg", "", "status"}
    assert (developer.access_key[9:] in text, "<script" in text) == (False, False)
    assert {exchange(stack.url + link, "GET", None, {}).status for link in links if link.startswith("/claim")} == {200}


def test_nobody_sees_anything_of_another(stack: Any) -> None:
    mine, theirs = stack.developer(budget_micros=1_000_000), stack.developer(budget_micros=2_000_000)
    stack.anthropic.fault("plan_exhausted", reset=3600)
    asked = {who.access_key: in_session(who, name) for who, name in ((mine, "mine"), (theirs, "theirs"))}
    booked(stack, mine, 1)
    booked(stack, theirs, 1)
    foreign = [theirs.user_id, theirs.access_key_id, theirs.access_key[:9], "theirs", asked[theirs.access_key].request_id]

    everything = page(mine) + look(mine).body.decode() + look(mine, "/statusline").body.decode()

    assert asked[mine.access_key].request_id in everything
    assert [each for each in foreign if each in everything] == []
    assert look(mine).json["bedrock"]["user"]["spent_micros"] == look(theirs).json["bedrock"]["user"]["spent_micros"]
    assert [look(mine, "/status?session=theirs", **kind).status for kind in ({}, BROWSER)] == [404, 404]
    assert look(theirs, "/status?session=theirs").status == 200


def test_the_agents_of_a_session_are_shown_as_a_tree(stack: Any) -> None:
    developer = stack.developer()
    for agent, parent in (("", ""), ("first", ""), ("nested", "first")):
        in_session(developer, "s1", agent, parent)
    booked(stack, developer, 3)

    agents = look(developer, "/status?session=s1").json["agents"]
    shown = page(developer, "/status?session=s1")

    assert [(each["agent_id"], each["depth"], each["with_below"]["requests"]) for each in agents] == [
        ("", 0, 3),
        ("first", 1, 2),
        ("nested", 2, 1),
    ]
    assert [shown.index(name) for name in ('depth-0">main', "first</code>", "nested</code>")] == sorted(
        shown.index(name) for name in ('depth-0">main', "first</code>", "nested</code>")
    )


@pytest.mark.parametrize("path", VIEWS)
def test_a_refused_key_gets_the_same_403_as_everywhere(stack: Any, path: str) -> None:
    unknown = stack.product.base_url(new_access_key())
    elsewhere = exchange(f"{unknown}/v1/messages", "POST", b"{}", {})
    refusals = [exchange(unknown + path, "GET", None, kind) for kind in ({}, BROWSER)]
    refusals.append(exchange(stack.url + path, "GET", None, {}))
    assert [(each.status, each.error_type, each.headers["x-should-retry"]) for each in refusals] == [
        (403, "permission_error", "false")
    ] * 3
    assert {each.json["error"]["message"] for each in refusals} == {elsewhere.json["error"]["message"]}


@pytest.mark.parametrize("path", ["/status", "/statusline"])
def test_the_key_may_stand_in_a_header(stack: Any, path: str) -> None:
    developer = stack.developer()
    answered = exchange(stack.url + path, "GET", None, {"x-proxy-key": developer.access_key})
    assert answered.status == 200
    assert answered.body.startswith((b"Plan\n", b'{"as_of"'))


def test_looking_asks_no_upstream_and_is_not_in_the_ledger(stack: Any) -> None:
    developer = stack.developer()
    statuses = [look(developer, path, **kind).status for path in ("/status", "/statusline") for kind in ({}, BROWSER)]
    assert ask(developer).came_from_plan
    booked(stack, developer, 1)
    assert statuses == [200] * 4
    assert len(stack.anthropic.requests()) == 1
    theirs = select(func.count()).select_from(requests).where(requests.c.access_key_id == developer.access_key_id)
    assert stack.database.read(lambda c: c.execute(theirs).scalar_one()) == 1


def test_the_log_says_that_somebody_looked_and_not_with_which_key(stack: Any) -> None:
    developer = stack.developer()
    looked = look(developer)
    line = eventually(lambda: [each for each in stack.product.access_lines() if each["request_id"] == looked.request_id])[0]
    assert (line["context"]["endpoint"], line["context"]["status"], line["context"]["access_key_id"]) == ("status", 200, "")
    assert line["context"]["trace"] == [f"key {developer.access_key[:9]}"]


def test_with_the_database_stopped_the_page_says_so_and_what_memory_knows(stack: Any, postgres: Postgres) -> None:
    developer = stack.developer(budget_micros=50_000_000)
    stack.anthropic.fault("plan_exhausted", reset=3600)
    assert in_session(developer, "s1").provider == "bedrock"
    postgres.stop()
    try:
        told, shown, line = look(developer), page(developer), look(developer, "/statusline")
        session = look(developer, "/status?session=s1", **BROWSER)
    finally:
        postgres.start()
    assert (told.status, told.json["database"], told.json["requests"]) == (200, "away", None)
    assert told.json["serving"][0]["provider"] == "bedrock"
    assert told.json["bedrock"]["key"]["spent_micros"] > 0
    assert "The database is away" in shown
    # an hour ahead, which in a day's last hour is another day, and said so
    assert re.fullmatch(r"Bedrock until (?:\d\d-\d\d )?\d\d:\d\d UTC \(plan exhausted\) \$\d\.\d\d of \$50\n", line.body.decode())
    assert (session.status, "The database is away" in session.body.decode()) == (503, True)
