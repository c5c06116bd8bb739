"""The admin pages as a browser meets them, without a server."""

from __future__ import annotations

import re
from ipaddress import ip_network

import pytest

from admin_app.session import SESSION_S
from core.version import VERSION
from tests.admin_app.browser import Browser
from tests.admin_app.page_world import MakeApp, World, form_of
from tests.admin_app.page_world import browser as browser
from tests.admin_app.page_world import database_url as database_url
from tests.admin_app.page_world import make_app as make_app
from tests.admin_app.page_world import office as office
from tests.admin_app.page_world import world as world
from tests.admin_app.whole_app import PASSWORD
from tests.core.office import Office

# Signing in


def test_whoever_is_not_signed_in_sees_the_form_and_nothing_else(browser: Browser, office: Office) -> None:
    office.add("somebody")

    answer = browser.get("/admin")

    assert (answer.status_code, form_of(answer), "somebody" in answer.text, VERSION in answer.text) == (200, True, False, False)


def test_with_name_and_password_the_owner_gets_in(browser: Browser) -> None:
    answer = browser.sign_in("admin", PASSWORD)

    assert (answer.status_code, answer.headers["location"]) == (303, "/admin")
    assert "<h1>Dashboard</h1>" in browser.get("/admin").text


@pytest.mark.parametrize(
    ("username", "password"), [("admin", "wrong"), ("Admin", PASSWORD), ("", PASSWORD), ("admin", ""), ("admin", "x" * 5000)]
)
def test_every_failure_reads_the_same(browser: Browser, username: str, password: str) -> None:
    answer = browser.sign_in(username, password)

    assert (answer.status_code, "User name, password or code is wrong." in answer.text) == (401, True)
    assert "session" not in browser.cookies


def test_a_form_that_was_not_ours_does_not_sign_in(browser: Browser) -> None:
    answer = browser.post("/admin/login", username="admin", password=PASSWORD)

    assert (answer.status_code, form_of(answer), "session" in browser.cookies) == (403, True, False)


def test_the_form_shown_after_a_refusal_works(browser: Browser) -> None:
    browser.post("/admin/login", username="admin", password=PASSWORD)

    assert browser.post("/admin/login", username="admin", password=PASSWORD).status_code == 303


def test_two_tabs_with_the_form_both_work(browser: Browser) -> None:
    browser.get("/admin/login")
    first = browser.token
    browser.get("/admin/login")
    browser.token = first

    assert browser.post("/admin/login", username="admin", password=PASSWORD).status_code == 303


def test_a_form_sent_by_another_site_is_refused(browser: Browser) -> None:
    browser.get("/admin/login")
    browser.headers["sec-fetch-site"] = "cross-site"

    assert browser.post("/admin/login", username="admin", password=PASSWORD).status_code == 403


def test_after_five_failures_signing_in_has_to_wait_even_with_the_right_password(browser: Browser, world: World) -> None:
    for _ in range(5):
        browser.sign_in("admin", "wrong")
    early = browser.sign_in("admin", PASSWORD)
    world.now += 2
    late = browser.sign_in("admin", PASSWORD)

    assert (early.status_code, early.headers["retry-after"], late.status_code) == (429, "1", 303)


def test_without_a_password_nobody_gets_in_and_the_page_says_why(make_app: MakeApp) -> None:
    browser = Browser(make_app(admin_password_hash=""))

    assert "There is no password yet" in browser.get("/admin").text
    assert browser.sign_in("admin", "").status_code == 401


def test_a_signed_in_owner_is_sent_past_the_form(browser: Browser) -> None:
    browser.sign_in("admin", PASSWORD)

    answer = browser.get("/admin/login")

    assert (answer.status_code, answer.headers["location"]) == (303, "/admin")


def test_half_an_hour_without_a_page_ends_the_session_and_a_day_in_any_case(browser: Browser, world: World) -> None:
    browser.sign_in("admin", PASSWORD)
    seen = []
    for _ in range(SESSION_S // 1200):
        world.now += 1200
        seen.append(form_of(browser.get()))
    browser.sign_in("admin", PASSWORD)
    world.now += 1800

    assert (set(seen[:-1]), seen[-1], form_of(browser.get())) == ({False}, True, True)


def test_a_user_name_with_markup_is_shown_as_it_is(browser: Browser) -> None:
    answer = browser.sign_in('"><script>alert(1)</script>', "wrong")

    assert "<script" not in answer.text
    assert "&lt;script&gt;" in answer.text


# Signing out


def test_signing_out_ends_it(browser: Browser) -> None:
    browser.sign_in("admin", PASSWORD)
    browser.get("/admin")

    answer = browser.post("/admin/logout")

    assert (answer.status_code, "session" in browser.cookies, form_of(browser.get())) == (303, False, True)


def test_signing_out_needs_the_form_of_this_session(browser: Browser, make_app: MakeApp) -> None:
    other = Browser(make_app())
    other.sign_in("admin", PASSWORD)
    other.get()
    browser.sign_in("admin", PASSWORD)
    browser.token = other.token

    assert browser.post("/admin/logout").status_code == 403
    assert not form_of(browser.get())


def test_signing_out_is_no_link(browser: Browser) -> None:
    browser.sign_in("admin", PASSWORD)

    assert (browser.get("/admin/logout").status_code, form_of(browser.get())) == (405, False)


# Cookies and headers


def test_locally_the_cookie_is_kept_from_scripts_other_sites_and_the_proxy(browser: Browser) -> None:
    cookie = browser.sign_in("admin", PASSWORD).cookies["session"]

    assert (cookie.max_age, cookie.path, cookie.domain, cookie.secure) == (86_400, "/admin", None, False)
    assert (cookie.http_only, cookie.same_site) == (True, "Strict")


def test_in_production_the_cookie_is_bound_to_host_and_tls(make_app: MakeApp) -> None:
    browser = Browser(make_app(environment="production", public_url="https://proxy.example.com"))
    cookie = browser.sign_in("admin", PASSWORD).cookies["__Host-session"]

    assert (cookie.max_age, cookie.path, cookie.domain, cookie.secure) == (86_400, "/", None, True)
    assert (cookie.http_only, cookie.same_site) == (True, "Strict")
    assert "max-age=31536000" in browser.get().headers["strict-transport-security"]


@pytest.mark.parametrize("path", ["/admin", "/admin/login", "/admin/nowhere", "/admin/logout", "/admin?page=x"])
def test_every_answer_keeps_browsers_honest(browser: Browser, path: str) -> None:
    browser.sign_in("admin", PASSWORD)

    headers = browser.get(path).headers

    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    policy = headers["content-security-policy"].split("; ")
    assert {"default-src 'self'", "frame-ancestors 'none'", "object-src 'none'"} <= set(policy)
    assert not any("unsafe" in each or each.startswith(("script-src", "style-src")) for each in policy)
    assert headers["x-proxy-request-id"].startswith("req_")


def test_pages_load_nothing_from_elsewhere_and_hold_no_script_or_style_of_their_own(browser: Browser, office: Office) -> None:
    office.attach(office.add("somebody"))
    browser.sign_in("admin", PASSWORD)

    page = browser.get().text.replace("http://127.0.0.1:8080", "where this very proxy is")

    assert [word for word in ("<style", " style=", " onclick", "https://", "//") if word in page] == []
    assert re.findall(r"<script[^>]*>", page) == re.findall(r'<script src="/admin/[a-z]+\.js\?v=[0-9a-f]{12}" defer>', page)


def test_the_style_sheet_is_kept_only_under_the_address_of_its_content(browser: Browser) -> None:
    link = browser.get().text.partition('rel="stylesheet" href="')[2].partition('"')[0]

    tagged, stale = browser.get(link), browser.get("/admin/style.css?v=other")

    assert ("immutable" in tagged.headers["cache-control"], stale.headers["cache-control"]) == (True, "no-store")
    assert tagged.text == stale.text
    assert "prefers-color-scheme: dark" in tagged.text


# The allowlist


def test_an_address_outside_the_allowlist_gets_nothing(make_app: MakeApp) -> None:
    browser = Browser(make_app(admin_allowed_cidrs=(ip_network("10.0.0.0/8"),)), address="203.0.113.9")

    answers = [browser.get(path) for path in ("/admin", "/admin/login", "/admin/style.css", "/admin/nowhere")]

    assert [answer.status_code for answer in answers] == [403] * 4
    assert "203.0.113.9" in answers[0].text
    assert not any(form_of(answer) for answer in answers)


def test_behind_a_trusted_proxy_the_allowlist_is_about_the_client(make_app: MakeApp) -> None:
    trusting = make_app(admin_allowed_cidrs=(ip_network("198.51.100.0/24"),), trusted_proxies=(ip_network("10.0.0.0/8"),))

    def status(forwarded: str, peer: str = "10.0.0.1") -> int:
        return Browser(trusting, peer, {"x-forwarded-for": forwarded}).get().status_code

    assert status("198.51.100.7") == 200
    assert status("198.51.100.7, 203.0.113.9") == 403
    assert status("198.51.100.7", peer="203.0.113.9") == 403
    assert status("nonsense") == 403


# Forms


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        ("username=a", {"content-type": "application/json"}, 415),
        ("username=a", {}, 415),
        ("x" * 9000, {"content-type": "application/x-www-form-urlencoded"}, 413),
        ("", {"content-type": "application/x-www-form-urlencoded"}, 411),
        ("&".join(f"f{n}=1" for n in range(50)), {"content-type": "application/x-www-form-urlencoded"}, 400),
        (b"\xff\xfe=\x80", {"content-type": "application/x-www-form-urlencoded"}, 400),
    ],
)
def test_what_is_no_form_is_refused(browser: Browser, body: str | bytes, headers: dict[str, str], status: int) -> None:
    answer = browser.send("POST", "/admin/login", body, headers)  # type: ignore[arg-type]

    assert answer.status_code == status
    assert answer.headers.get("connection") == (None if status in (400, 411) else "close")
