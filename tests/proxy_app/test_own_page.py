"""The developer's view as it is answered: memory alone for the line, honest headers and no key in the page."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from core.db import Database, DatabaseAway
from core.ledger import write_batch
from core.pages import Pages
from core.plan_windows import PlanWindow, PlanWindows
from core.record import RequestRecord
from core.types import BedrockKey, Grant, KeyHealth, ProviderName, Residency, Strategy
from proxy_app.circuits import ALL_FAMILIES, CircuitName, CircuitView, State
from proxy_app.errors import Refused
from proxy_app.faults import Fault
from proxy_app.inbound import Arrival
from proxy_app.own_page import LOOKS_A_MINUTE, OwnFacts, OwnView, header_snippet, snippet
from proxy_app.own_state import OwnState, Purse, Serving

KEY = "ak_" + "x" * 44
NOW = datetime(2026, 11, 27, 12, tzinfo=UTC).timestamp()
KEYS = (BedrockKey("bkey_1", "us-east-1", Residency.GLOBAL, KeyHealth.HEALTHY, ""),)
GRANT = Grant("usr_1", "key_1", Strategy.PLAN_FIRST, KEYS, user_budget_micros=50_000_000)
WINDOWS = PlanWindows(NOW - 60, "rejected", "seven_day_opus", True, (PlanWindow("7d_opus", "rejected", 1.0, NOW + 3600),))
TROUBLE = CircuitView(
    CircuitName("bkey_1", ProviderName.BEDROCK, "us-east-1/claude-x"), State.OPEN, Fault.BEDROCK_THROTTLED, NOW + 60, NOW, 1
)


class Away:
    """A database that is not there; whoever asks it is noted."""

    asked = 0

    def read(self, work: Any) -> Any:
        self.asked += 1
        raise DatabaseAway("gone")


class States:
    """What memory knows."""

    serving: tuple[Serving, ...] = (
        Serving("opus", ProviderName.BEDROCK, Fault.PLAN_EXHAUSTED, NOW + 3600),
        Serving(ALL_FAMILIES, ProviderName.PLAN),
    )

    def of(self, grant: Grant) -> OwnState:
        return OwnState(WINDOWS, self.serving, (TROUBLE,), Purse(3_100_000, grant.user_budget_micros), Purse(None, None))


def view_of(reports: Any, is_local: bool = True, states: Any = None) -> OwnView:
    facts = OwnFacts("https://proxy.example.com", ZoneInfo("Europe/Berlin"), is_local, lambda: 1.0, lambda: NOW)
    return OwnView(states or States(), reports, Pages("1.0"), facts)


def arrival(target: str = "/status", accept: str = "*/*", key: str = KEY) -> Arrival:
    return Arrival({}, "req_1", "GET", key, target, (("accept", accept),), 0.0, NOW)


def as_browser(target: str = "/status") -> Arrival:
    return arrival(target, "text/html,*/*")


def write(database: Database, *records: RequestRecord) -> None:
    database.run(lambda connection: write_batch(connection, records))


def test_the_status_line_never_asks_the_database() -> None:
    away = Away()
    shown = view_of(away).status_line(arrival("/statusline"), GRANT)
    assert (shown.media_type, away.asked) == ("text/plain; charset=utf-8", 0)
    assert shown.content.decode() == "Plan 7d opus 100% · opus: Bedrock until 13:00 UTC (plan exhausted) $3.10 of $50\n"


def test_without_the_database_memory_is_told_and_that_it_is_away() -> None:
    shown = json.loads(view_of(Away()).status(arrival(), GRANT).content)
    assert (shown["database"], shown["requests"], shown["sessions"]) == ("away", None, None)
    assert shown["bedrock"]["user"] == {"spent_micros": 3_100_000, "budget_micros": 50_000_000}
    assert shown["bedrock"]["begins_anew"] == "2026-11-30T23:00:00Z"
    assert shown["serving"][0] == {
        "family": "opus",
        "provider": "bedrock",
        "until": "2026-11-27T13:00:00Z",
        "fault": "plan_exhausted",
    }


def test_the_page_without_the_database_says_all_of_it_in_words() -> None:
    text = " ".join(view_of(Away()).status(as_browser(), GRANT).content.decode().split())
    for words in (
        "The database is away",
        "<strong>opus</strong> at least until",
        "<strong>All other models</strong>",
        "because: plan exhausted",
        "us-east-1/claude-x",
        "7d opus",
        "100 %",
        "Extra usage beyond",
        "$3.10",
        "of $50.00, 6 %",
        "2026-12-01 (Europe/Berlin)",
    ):
        assert words in text


def test_with_the_database_the_ledger_says_what_was_spent(database: Database) -> None:
    paid = {"provider": "bedrock", "status": 200, "model_asked": "claude-x", "session_id": "one"}
    write(database, RequestRecord("req_1", NOW - 9, "usr_1", "key_1", cost_micros=70, **paid))
    write(database, RequestRecord("req_2", NOW - 8, "usr_1", "key_2", cost_micros=30, **paid))
    shown = json.loads(view_of(database).status(arrival(), GRANT).content)
    assert (shown["bedrock"]["user"]["spent_micros"], shown["bedrock"]["key"]["spent_micros"]) == (100, 70)
    assert [each["request_id"] for each in shown["requests"]] == ["req_1"]
    assert (shown["sessions_total"], shown["sessions"][0]["by_provider"]["bedrock"]["cost_micros"]) == (1, 70)


def test_a_key_may_look_once_a_second_and_take_the_line_as_often_as_it_likes() -> None:
    view = view_of(Away())
    statuses = [view.status(arrival(), GRANT).status for _ in range(LOOKS_A_MINUTE)]
    with pytest.raises(Refused) as refused:
        view.status(as_browser("/status?session=one"), GRANT)
    assert (set(statuses), refused.value.status, refused.value.retry_after_s) == ({200}, 429, 60)
    assert view.status_line(arrival(), GRANT).status == 200
    assert view.status(arrival(), replace(GRANT, access_key_id="key_2")).status == 200


def test_the_page_turns_the_list_of_sessions(database: Database) -> None:
    write(database, *[RequestRecord(f"req_{n}", NOW - n, "usr_1", "key_1", session_id=f"s-{n}") for n in range(25)])
    first, second = (view_of(database).status(as_browser(f"/status?page={n}"), GRANT).content.decode() for n in (1, 2))
    assert ("page 1 of 2" in first, "?page=2#sessions" in first, "s-24" in first) == (True, True, False)
    assert ("page 2 of 2" in second, "?page=1#sessions" in second, "s-24" in second) == (True, True, True)


@pytest.mark.parametrize("page", ["0", "-1", "x", "1000000000000", "%00"])
def test_a_page_number_that_is_none_is_the_first_page(database: Database, page: str) -> None:
    assert view_of(database).status(arrival(f"/status?page={page}"), GRANT).status == 200


@pytest.mark.parametrize("session", ["%00", "x" * 81, "%3Cscript%3E", "unknown"])
def test_a_session_that_cannot_be_is_not_found(database: Database, session: str) -> None:
    for kind in (arrival, as_browser):
        shown = view_of(database).status(kind(f"/status?session={session}"), GRANT)
        assert (shown.status, b"<script" in shown.content) == (404, False)


def test_ids_that_a_client_made_up_are_escaped_in_text_and_links(database: Database) -> None:
    nasty = '"><script>&a=b'
    write(database, RequestRecord("req_1", NOW, "usr_1", "key_1", session_id=nasty, agent_id="<i>"))
    view = view_of(database)
    listed = view.status(as_browser(), GRANT).content.decode()
    link = re.search(r'href="(\?session=[^"]+)"', listed)
    assert link is not None
    tree = view.status(as_browser(f"/status{link[1]}"), GRANT)
    assert tree.status == 200
    assert all(each not in listed + tree.content.decode() for each in ("<script", "<i>"))


def test_the_key_is_not_in_the_page_but_for_its_beginning() -> None:
    view = view_of(Away())
    for shown in (view.status(arrival(), GRANT), view.status(as_browser(), GRANT), view.status_line(arrival(), GRANT)):
        assert KEY[9:] not in shown.content.decode()
    assert KEY[:9] in view.status(as_browser(), GRANT).content.decode()


def test_the_policy_allows_the_shared_sheet_and_nothing_inside_the_page() -> None:
    shown = view_of(Away()).status(as_browser(), GRANT)
    policy = dict(shown.headers)["content-security-policy"]
    assert "style-src 'self';" in policy
    assert "script-src" not in policy and "default-src 'none'" in policy
    assert b" style=" not in shown.content and b"<style" not in shown.content


def test_tls_alone_is_asked_for_where_it_is_served() -> None:
    names = [{name for name, _ in view_of(Away(), is_local).status(as_browser(), GRANT).headers} for is_local in (True, False)]
    assert ["strict-transport-security" in each for each in names] == [False, True]


def test_both_snippets_are_settings_with_a_place_for_the_key() -> None:
    in_address, in_header = json.loads(snippet("https://a")), json.loads(header_snippet("https://a"))
    assert in_address["env"] == {"ANTHROPIC_BASE_URL": "https://a/ak/<your key>"}
    assert in_address["statusLine"] == {"type": "command", "command": 'curl -sf -m 2 "$ANTHROPIC_BASE_URL/statusline"'}
    assert in_header["env"]["ANTHROPIC_CUSTOM_HEADERS"] == "x-proxy-key: <your key>"
    assert '-H "$ANTHROPIC_CUSTOM_HEADERS"' in in_header["statusLine"]["command"]


@pytest.mark.parametrize(
    "serving",
    [
        Serving(ALL_FAMILIES, ProviderName.BEDROCK, Fault.PLAN_TIMEOUT),
        Serving(ALL_FAMILIES, None, Fault.BUDGET_SPENT),
        Serving(ALL_FAMILIES, None, Fault.BEDROCK_AUTH),
        Serving(ALL_FAMILIES, ProviderName.PLAN, Fault.BUDGET_SPENT, NOW + 60),
    ],
)
def test_the_page_has_words_for_every_way_to_serve(serving: Serving) -> None:
    states = States()
    states.serving = (serving,)
    text = " ".join(view_of(Away(), states=states).status(as_browser(), GRANT).content.decode().split())
    reasons = {
        "plan_timeout": "because: plan timeout",
        "budget_spent": "the Bedrock budget is spent",
        "bedrock_auth": "no working",
    }
    assert reasons[serving.fault or ""] in text
