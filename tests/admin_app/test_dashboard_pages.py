"""The first page: what happened, what it cost, what needs attention; and how any page fails."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from admin_app.mount import mounted
from core.heartbeat import Load
from core.ledger import write_batch
from core.record import RequestRecord
from core.version import VERSION
from tests.admin_app.browser import Browser
from tests.admin_app.page_world import MakeApp, World, form_of
from tests.admin_app.page_world import browser as browser
from tests.admin_app.page_world import database_url as database_url
from tests.admin_app.page_world import make_app as make_app
from tests.admin_app.page_world import office as office
from tests.admin_app.page_world import world as world
from tests.admin_app.whole_app import PASSWORD
from tests.core.office import NOW, Office

# The dashboard


@pytest.fixture
def owner(browser: Browser) -> Browser:
    browser.sign_in("admin", PASSWORD)
    return browser


def test_an_empty_installation_says_what_to_do_next(owner: Browser) -> None:
    page = owner.get().text

    for shown in ("First steps", "Add the first user", VERSION, "SQLite", "No request in this time."):
        assert shown in page


def test_what_happened_and_what_it_cost_is_on_the_page(owner: Browser, office: Office) -> None:
    user = office.add("A <b>developer</b>")
    key = office.issue(user, name="laptop")
    answered = RequestRecord("req_A", NOW.timestamp(), user.id, key.id, provider="bedrock", fault="plan_exhausted", status=200)
    record = replace(answered, model_served="global.anthropic.claude-x", cost_micros=1_250_000, first_byte_ms=1240.0)
    office.database.run(lambda c: write_batch(c, [record]))

    page = owner.get().text

    for shown in ("A &lt;b&gt;developer&lt;/b&gt;", "100 % went to Bedrock", "$1.25", "1.24 s", 'role="img"'):
        assert shown in page


def test_what_this_worker_cannot_do_needs_attention(owner: Browser, world: World) -> None:
    world.load = Load("draining", "open until noon", streams=1234, waiting=7, lost=3)

    page = owner.get().text

    for shown in ("Needs attention", "lost 3 records", "cannot reach the Plan", "1,234", "7 records waiting"):
        assert shown in page


@pytest.mark.parametrize("asked", ["", "today", "24h", "7d", "x", "9" * 30, "7d&range=today"])
def test_whatever_range_is_asked_for_there_is_a_page(owner: Browser, asked: str) -> None:
    assert owner.get(f"/admin?range={asked}").status_code == 200


def test_what_polls_gets_its_block_alone(owner: Browser) -> None:
    owner.headers |= {"hx-request": "true", "hx-target": "live"}

    block = owner.get("/admin?range=7d").text

    assert ("<html" in block, "this month, $0.00 last" in block) == (False, True)


def test_with_the_database_away_the_page_says_so_and_what_this_worker_knows(make_app: MakeApp, tmp_path: Path) -> None:
    browser = Browser(make_app(database_url=f"sqlite:///{tmp_path}"))  # a folder, no file
    browser.sign_in("admin", PASSWORD)

    answer = browser.get()

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert "The database is away" in answer.text
    assert "some-host" in answer.text


def test_an_address_below_admin_that_is_not_there_gets_a_page(browser: Browser) -> None:
    answer = browser.get("/admin/nowhere")

    assert (answer.status_code, "There is no such page." in answer.text) == (404, True)


def test_a_slash_at_the_end_is_the_same_page(browser: Browser) -> None:
    assert form_of(browser.get("/admin/"))


def test_a_failure_inside_shows_its_request_id_and_no_traceback(owner: Browser, world: World) -> None:
    world.load = None  # type: ignore[assignment]

    answer = owner.get()

    assert (answer.status_code, world.ids[-1] in answer.text, "Traceback" in answer.text) == (500, True, False)


# The log


def test_each_request_has_one_line_without_its_fields(browser: Browser, world: World) -> None:
    browser.sign_in("admin", PASSWORD)

    lines = world.lines()

    assert [(line["request_id"], line["context"]["status"]) for line in lines] == [("req_0", 200), ("req_1", 303)]
    assert {line["context"]["endpoint"] for line in lines} == {"admin"}


def test_no_password_and_no_user_name_is_logged(browser: Browser, world: World, caplog: pytest.LogCaptureFixture) -> None:
    browser.sign_in("somebody-by-name", "a-password-typed-wrong")

    logged = world.log_path.read_text() + "".join(f"{record.getMessage()} {vars(record)}" for record in caplog.records)

    assert "a sign-in was refused" in logged
    assert "somebody-by-name" not in logged
    assert "a-password-typed-wrong" not in logged


# The mount


@pytest.mark.parametrize(
    ("method", "path", "served_by"),
    [
        ("GET", "/admin", "admin"),
        ("GET", "/admin/", "admin"),
        ("POST", "/admin/login", "admin"),
        ("GET", "/administrator", "proxy"),
        ("GET", "/", "proxy"),
        ("GET", "//admin", "proxy"),
        ("GET", "/ak/x/admin", "proxy"),
        ("HEAD", "/admin", "proxy"),
        ("GET", "/claim/x", "admin"),
        ("POST", "/claim/x", "admin"),
        ("HEAD", "/claim/x", "proxy"),
        ("GET", "/claim", "proxy"),
        ("GET", "/claims/x", "proxy"),
        ("GET", "/ak/x/claim/y", "proxy"),
    ],
)
def test_only_admin_and_what_is_below_it_is_the_admins(method: str, path: str, served_by: str) -> None:
    app = mounted(lambda *_: [b"admin"], lambda *_: [b"proxy"])

    assert app({"REQUEST_METHOD": method, "PATH_INFO": path}, None) == [served_by.encode()]
