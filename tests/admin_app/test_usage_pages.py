"""The page of usage and its file, as a browser meets them."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from admin_app.app import AdminApp
from core.ledger import write_batch
from core.record import RequestRecord
from tests.admin_app.browser import Browser
from tests.admin_app.page_world import database_url as database_url
from tests.admin_app.page_world import office as office
from tests.admin_app.whole_app import PASSWORD, admin_app
from tests.core.office import NOW, Office

COST = {"provider": "bedrock", "status": 200, "cost_micros": 1_250_000}


@pytest.fixture
def app(database_url: str, tmp_path: Path) -> Iterator[AdminApp]:
    made = admin_app(database_url, tmp_path)
    yield made
    made.close()


@pytest.fixture
def browser(app: AdminApp) -> Browser:
    signed_in = Browser(app)
    signed_in.sign_in("admin", PASSWORD)
    return signed_in


def used_by(office: Office, name: str, **more: object) -> None:
    user = office.add(name)
    key = office.issue(user)
    record = RequestRecord(f"req_{user.id}"[:40], NOW.timestamp(), user.id, key.id, model_asked="claude-x", **COST, **more)  # type: ignore[arg-type]
    office.database.run(lambda connection: write_batch(connection, [record]))


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_without_requests_the_page_says_so(browser: Browser) -> None:
    page = browser.get("/admin/usage").text
    assert ("Nobody asked anything in this time." in page, "<svg" in page) == (True, False)


def test_chart_and_tables_are_of_the_same_figures(browser: Browser, office: Office) -> None:
    used_by(office, "A <b>developer</b>")

    page = browser.get("/admin/usage?range=24h&group=user&measure=cost").text

    assert page.count("A &lt;b&gt;developer&lt;/b&gt;") == 2  # legend, row
    assert (page.count("$1.25"), 'role="img"' in page, "<b>developer" in page) == (5, True, False)
    assert "style=" not in page and "<script" not in page.partition("<main")[2]


def test_what_cannot_be_asked_is_said_and_the_form_stays_filled_in(browser: Browser) -> None:
    answer = browser.get("/admin/usage?range=custom&since=2020-01-01T00:00&bucket=minute&user=%22%3Cb%3E")
    assert (answer.status_code, "at most 6 hours" in answer.text) == (200, True)
    assert 'value="&#34;&lt;b&gt;"' in answer.text and 'value="2020-01-01T00:00"' in answer.text


def test_a_range_of_ones_own_asks_for_its_beginning(browser: Browser, office: Office) -> None:
    used_by(office, "ada")
    page = browser.get("/admin/usage?range=custom").text
    assert ("Say from when" in page, "<svg" in page, 'role="alert"' in page) == (True, False, False)


def test_ends_that_stayed_in_the_form_do_not_count_with_a_range_by_name(browser: Browser, office: Office) -> None:
    used_by(office, "ada")
    page = browser.get("/admin/usage?range=24h&since=2020-01-01T00:00&until=2020-01-02T00:00&group=model").text
    assert ("claude-x" in page, "counts only" in page, 'value="2020-01-01T00:00"' in page) == (True, False, True)


def test_times_are_those_of_the_zone_that_was_chosen(browser: Browser, office: Office) -> None:
    used_by(office, "ada")
    before = NOW + timedelta(hours=2)  # Berlin is two hours ahead of UTC in May
    page = browser.get(f"/admin/usage?range=custom&since={before:%Y-%m-%dT%H:%M}&bucket=hour&zone=Europe/Berlin").text
    assert "Fri 14:00" in page


def test_htmx_gets_the_list_alone(browser: Browser, office: Office) -> None:
    used_by(office, "ada")
    browser.headers |= {"hx-request": "true", "hx-target": "list"}
    block = browser.get("/admin/usage?range=24h&group=model").text
    assert ("<html" in block, "claude-x" in block) == (False, True)


def test_the_file_has_the_figures_of_the_page_for_spreadsheets(browser: Browser, office: Office) -> None:
    used_by(office, "=HYPERLINK(1)", input_tokens=12)
    used_by(office, "ada", input_tokens=30)

    answer = browser.get("/admin/usage.csv?range=24h&group=user&measure=tokens")
    rows = rows_of(answer.text)

    assert answer.headers["content-disposition"] == 'attachment; filename="usage-2026-05-01.csv"'
    assert [(row["name"], row["input_tokens"], row["cost_usd"]) for row in rows] == [
        ("ada", "30", "1.25"),
        ("'=HYPERLINK(1)", "12", "1.25"),
    ]
    assert {row["begin"] for row in rows} == {"2026-05-01T12:00:00Z"}


def test_the_file_has_more_groups_than_the_chart(browser: Browser, office: Office) -> None:
    model = RequestRecord("req_0", NOW.timestamp(), "usr_1", "key_1", provider="plan", status=200)
    records = [replace(model, request_id=f"req_{number}", model_asked=f"m{number}") for number in range(30)]
    office.database.run(lambda connection: write_batch(connection, records))

    rows = rows_of(browser.get("/admin/usage.csv?range=24h&group=model").text)
    legend = re.search(r'<ul class="key">.*?</ul>', browser.get("/admin/usage?range=24h&group=model").text, re.DOTALL)

    assert len(rows) == 30
    assert legend is not None and (legend[0].count("<li"), "others" in legend[0]) == (7, True)


def test_whoever_is_not_signed_in_gets_no_file(app: AdminApp) -> None:
    assert Browser(app).get("/admin/usage.csv").status_code == 303
