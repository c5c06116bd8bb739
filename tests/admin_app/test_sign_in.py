"""Who gets in, who stays in, and who is kept out (facts of ASVS 6 and 7)."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import text

from admin_app.doorkeeper import where_next
from core import admins
from tests.admin_app.browser import Browser
from tests.admin_app.door import PASSWORD, Door
from tests.admin_app.sign_in_door import door as door
from tests.admin_app.sign_in_door import is_in


def with_cookie(browser: Browser, value: str) -> Browser:
    return Browser(browser.app, browser.address, cookies={"session": value})


# Sessions


def test_a_sign_in_makes_a_new_session_and_ends_the_one_that_the_browser_had(door: Door) -> None:
    before = door.signed_in().cookies["session"]
    browser = door.browser()
    browser.get("/admin/login")  # a form that was open in another tab
    browser.cookies["session"] = before

    browser.post("/admin/login", username="admin", password=PASSWORD)

    assert browser.cookies["session"] != before
    assert (is_in(browser), is_in(with_cookie(browser, before))) == (True, False)


@pytest.mark.parametrize("planted", ["x", "eyJ4IjoxfQ.x.y", "IngxMjM0NTY3ODkwIg.AAAA"])
def test_a_session_that_an_attacker_planted_is_never_taken_over(door: Door, planted: str) -> None:
    browser = with_cookie(door.browser(), planted)

    door.enter(browser)

    assert browser.cookies["session"] != planted
    assert (is_in(browser), is_in(with_cookie(browser, planted))) == (True, False)


def test_a_cookie_replayed_after_signing_out_is_nobody_in_every_worker(door: Door) -> None:
    browser = door.signed_in()
    stolen = browser.cookies["session"]
    other_worker = Browser(door.worker(), cookies={"session": stolen})
    before = is_in(other_worker)

    browser.post("/admin/logout")

    assert (before, is_in(other_worker), is_in(with_cookie(browser, stolen))) == (True, False, False)


def test_a_disabled_admin_is_out_at_once(door: Door) -> None:
    ann = door.add("ann")
    browser = door.signed_in("ann")

    door.run(lambda c: admins.disable_admin(c, ann.id, door.moment()))

    assert not is_in(browser)
    assert door.enter(browser, "ann").status_code == 401


def test_who_is_not_signed_in_is_sent_to_the_form_and_then_to_the_page(door: Door) -> None:
    browser = door.browser()
    sent = browser.get("/admin/account").headers["location"]
    browser.get(sent)

    answer = browser.post("/admin/login", username="admin", password=PASSWORD, next="/admin/account")

    assert (sent, answer.headers["location"]) == ("/admin/login?next=%2Fadmin%2Faccount", "/admin/account")


@pytest.mark.parametrize(
    "given",
    ["//evil.example", "https://evil.example", "/admin//evil.example", "/admin/../ak", "/administrator", "/\\evil", "", None,
     "/admin/x\r\nset-cookie: a=b", "javascript:alert(1)", "/admin/%0d%0a"],
)  # fmt: skip
def test_nobody_is_sent_elsewhere_after_signing_in(given: str | None) -> None:
    assert where_next(given) == "/admin"


@pytest.mark.parametrize("given", ["/admin", "/admin/users/usr_1", "/admin/requests?user=usr_1&status=500"])
def test_pages_of_the_admin_are_gone_back_to(given: str) -> None:
    assert where_next(given) == given


# Who it is does not show


def test_no_answer_tells_whether_a_name_exists(door: Door) -> None:
    ann = door.add("ann")
    door.add("boss")
    door.run(lambda c: admins.disable_admin(c, ann.id, door.moment()))
    guesses = [("admin", "wrong password"), ("nobody", PASSWORD), ("ann", PASSWORD), ("ann", "wrong password")]

    def answered(name: str, password: str) -> tuple[int, str, list[str]]:
        browser = door.browser(f"198.51.100.{len(name + password)}")
        answer = door.enter(browser, name, password)
        shown = answer.text.replace(f'value="{name}"', "").replace(browser.token, "")
        return answer.status_code, shown, sorted(name for name in answer.headers if name != "x-proxy-request-id")

    first, *others = [answered(*guess) for guess in guesses]
    assert first[0] == 401
    assert all(other == first for other in others)


def test_a_name_that_nobody_has_costs_a_check_of_the_same_price(door: Door) -> None:
    browser = door.browser()
    queue = door.apps[0]._queue
    door.enter(browser, "nobody", PASSWORD)
    after_unknown = queue.checked
    door.enter(browser, "admin", "wrong")

    assert (after_unknown, queue.checked) == (1, 2)


# The second factor


def test_with_a_second_factor_the_password_alone_opens_nothing(door: Door) -> None:
    secret, _ = door.enrol(door.signed_in())
    door.now += 60

    without, wrong = door.enter(door.browser()), door.enter(door.browser(), totp="000000")
    right = door.enter(door.browser(), totp=door.code(secret))

    assert (without.status_code, wrong.status_code, right.status_code) == (401, 401, 303)
    assert "User name, password or code is wrong." in without.text


def test_a_code_that_was_seen_over_the_shoulder_is_worth_nothing(door: Door) -> None:
    secret, _ = door.enrol(door.signed_in())
    door.now += 60
    code = door.code(secret)

    assert [door.enter(door.browser(), totp=code).status_code for _ in range(2)] == [303, 401]


def test_a_recovery_code_lets_in_once(door: Door) -> None:
    _, codes = door.enrol(door.signed_in())

    statuses = [door.enter(door.browser(), totp=code).status_code for code in (codes[0], codes[0], codes[1])]

    assert (len(codes), statuses) == (10, [303, 401, 303])


def test_setting_up_needs_a_code_of_the_app_and_ends_other_sessions(door: Door) -> None:
    mine, other = door.signed_in(), door.signed_in()
    page = mine.get("/admin/account/totp").text
    sealed = page.partition('name="secret" value="')[2].partition('"')[0]
    wrong = mine.post("/admin/account/totp", secret=sealed, totp="000000")

    before = is_in(other)
    door.enrol(mine)

    assert (wrong.status_code, before, is_in(other), is_in(mine)) == (422, True, False, True)


def test_a_secret_sealed_for_somebody_else_cannot_be_turned_on(door: Door) -> None:
    door.add("ann")
    others, mine = door.signed_in("ann"), door.signed_in()
    sealed = others.get("/admin/account/totp").text.partition('name="secret" value="')[2].partition('"')[0]

    assert mine.post("/admin/account/totp", secret=sealed, totp="000000").status_code == 400


@pytest.mark.parametrize("is_demanded", [True, False])
def test_whoever_need_not_set_it_up_can_go_back_without_signing_out(door: Door, is_demanded: bool) -> None:
    browser = door.browser(admin_require_totp=is_demanded)
    door.enter(browser)

    page = browser.get("/admin/account/totp").text

    assert ('<a href="/admin/account">Not now</a>' in page, "Sign out instead" in page) == (not is_demanded, is_demanded)


def test_the_qr_code_needs_no_inline_style_and_no_script(door: Door) -> None:
    page = door.signed_in().get("/admin/account/totp").text

    assert '<path d="M' in page
    assert [word for word in ("style=", "<script", "data:", "http:", "https:") if word in page] == []


def test_a_demanded_second_factor_comes_before_everything_else(door: Door) -> None:
    browser = door.browser(admin_require_totp=True)
    door.enter(browser)
    sent = [browser.send("GET", path).headers.get("location") for path in ("/admin/account", "/admin")]

    secret, _ = door.enrol(browser)
    browser.get("/admin/account")
    off = browser.post("/admin/account/totp/off")

    assert sent == ["/admin/account/totp"] * 2
    assert (secret != "", is_in(browser), off.status_code) == (True, True, 403)


# The password again


def test_ten_minutes_after_signing_in_what_weakens_the_account_wants_the_password_again(door: Door) -> None:
    secret, _ = door.enrol(door.signed_in())
    door.now += 60
    browser = door.signed_in(totp=door.code(secret))
    door.now += 600
    before = browser.post("/admin/account/totp/off").headers["location"]
    browser.get(before)
    old = browser.cookies["session"]
    wrong = browser.post("/admin/confirm", password="wrong", totp=door.code(secret), next="/admin/account")
    confirmed = browser.post("/admin/confirm", password=PASSWORD, totp=door.code(secret), next="/admin/account")
    browser.get("/admin/account")

    assert before == "/admin/confirm?next=%2Fadmin%2Faccount"
    assert (wrong.status_code, confirmed.headers["location"]) == (401, "/admin/account")
    assert (is_in(with_cookie(browser, old)), is_in(browser)) == (False, True)
    assert browser.post("/admin/account/totp/off").headers["location"] == "/admin/account"


def test_guessing_where_the_password_is_asked_for_again_is_slowed_down_too(door: Door) -> None:
    browser = door.signed_in()
    browser.get("/admin/confirm")

    assert [browser.post("/admin/confirm", password="wrong").status_code for _ in range(6)] == [401] * 5 + [429]


FORMS = ("/admin/account/password", "/admin/account/sessions", "/admin/account/tokens", "/admin/account/tokens/revoke",
         "/admin/account/totp", "/admin/account/totp/off", "/admin/confirm", "/admin/logout")  # fmt: skip


@pytest.mark.parametrize("path", FORMS)
def test_a_form_of_another_session_or_another_site_does_nothing(door: Door, path: str) -> None:
    browser, other = door.signed_in(), door.signed_in()
    own = browser.token
    browser.token = other.token
    foreign_token = browser.post(path).status_code
    browser.token, browser.headers["sec-fetch-site"] = own, "cross-site"

    assert (foreign_token, browser.post(path).status_code) == (403, 403)
    del browser.headers["sec-fetch-site"]
    assert is_in(browser)


# Notes for the audit, and what is in no log


def test_signing_in_and_out_is_in_the_audit_log_and_refusals_are_in_the_log_alone(door: Door) -> None:
    browser = door.browser()
    door.enter(browser, "nobody", "wrong")
    door.enter(browser)
    browser.get("/admin/account")
    door.now += 1
    browser.post("/admin/logout")

    assert [(entry.action, entry.username) for entry in door.noted()] == [("sign_in", "admin"), ("sign_out", "admin")]


def test_nothing_secret_is_logged_noted_or_stored_in_clear(door: Door, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    browser = door.signed_in()
    secret, codes = door.enrol(browser)
    door.enter(door.browser(), "somebody-by-name", "a-password-typed-wrong", totp=codes[0])
    token = browser.get("/admin/account") and browser.post("/admin/account/tokens", name="ci", role="viewer", days="7").text
    api_token = "cpt_" + token.partition("cpt_")[2][:44]
    logged = (door.folder / "log").read_text() + str([vars(record) for record in caplog.records]) + json.dumps(str(door.noted()))
    tables = ("admins", "admin_sessions", "api_tokens")
    stored = door.run(lambda c: str([c.execute(text(f"SELECT * FROM {table}")).all() for table in tables]))

    canaries = [
        PASSWORD,
        "a-password-typed-wrong",
        secret,
        codes[0],
        codes[5],
        api_token,
        browser.cookies["session"],
        browser.token,
    ]
    assert "somebody-by-name" not in logged
    assert [each for each in canaries if each in logged or each in stored] == []
