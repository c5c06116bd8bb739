"""The admin page of the running product: who gets in, what it shows, and that it never holds developers up."""

from __future__ import annotations

import json
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import pytest
from sqlalchemy import text

from core.crypto import hash_password
from core.heartbeat import list_workers
from tests import machine
from tests.live.admin_browser import LiveBrowser, Page, eventually

OWNER, PASSWORD = "owner-of-the-house", "correct horse battery staple"


@pytest.fixture(scope="module")
def product_settings() -> dict[str, str]:
    return {
        "PROXY_ADMIN_USERNAME": OWNER,
        "PROXY_ADMIN_PASSWORD_HASH": hash_password(PASSWORD),
        "PROXY_TRUSTED_PROXIES": "127.0.0.0/8",
        "PROXY_ADMIN_ALLOWED_CIDRS": "127.0.0.0/8, 198.51.100.0/24",
    }


@pytest.fixture
def browser(stack: Any) -> LiveBrowser:
    return LiveBrowser(stack.url)


@pytest.fixture
def owner(stack: Any) -> Iterator[LiveBrowser]:
    browser = LiveBrowser(stack.url)
    assert browser.sign_in(OWNER, PASSWORD).status == 303
    yield browser
    browser.post("/admin/logout")


def ask(base_url: str, stream: bool) -> str:
    """One request to the end; its request id."""
    question = {"role": "user", "content": "hi"}
    body = {"model": "claude-sonnet-5-5", "max_tokens": 50, "stream": stream, "messages": [question]}
    headers = {"content-type": "application/json", "x-api-key": "sk-ant-sandbox", "anthropic-version": "2023-06-01"}
    request = urllib.request.Request(f"{base_url}/v1/messages", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        answer.read()
        return str(answer.headers["x-proxy-request-id"])


def row_of(page: Page, word: str) -> str:
    """The table row that holds the word, or nothing."""
    return next((row for row in page.text.split("<tr ") if word in row), "")


def dialogue(url: str, *pieces: bytes, timeout_s: float = 30.0) -> bytes:
    """Everything that the server says to these bytes until it closes, or is silent for long."""
    address = urlsplit(url)
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=timeout_s) as connection:
        for piece in pieces:
            connection.sendall(piece)
        received = b""
        while chunk := connection.recv(65_536):
            received += chunk
    return received


def test_the_front_door_leads_to_a_page_that_people_can_read(browser: LiveBrowser) -> None:
    front = browser.get("/")
    page = browser.get(front.headers["location"])

    assert (front.status, front.headers["location"], page.status) == (303, "/admin", 200)
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "<h1>Sign in</h1>" in page.text


def test_head_is_answered_at_once_as_everywhere(stack: Any) -> None:
    answer = dialogue(stack.url, b"HEAD /admin HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
def test_a_request_that_fell_back_is_on_the_page_with_what_it_cost(stack: Any, owner: LiveBrowser, stream: bool) -> None:
    developer = stack.developer()
    stack.anthropic.fault("overloaded")
    request_id = ask(developer.base_url, stream)

    assert eventually(lambda: row_of(owner.get("/admin/requests"), request_id) != "")
    row = row_of(owner.get("/admin/requests"), request_id)

    for shown in (developer.access_key[:9], "bedrock", "plan overloaded", "claude-sonnet-5-5", ">200<", "$0.0"):
        assert shown in row
    assert developer.access_key[:12] not in owner.get("/admin/requests").text


def test_an_open_circuit_is_on_the_page_with_its_reason(stack: Any, owner: LiveBrowser) -> None:
    developer = stack.developer()
    stack.anthropic.fault("plan_exhausted")
    ask(developer.base_url, stream=True)

    def row() -> str:
        return row_of(owner.get("/admin/circuits"), developer.access_key[:9])

    assert eventually(lambda: developer.access_key[:9] in row())
    assert "plan exhausted" in row()
    assert "in " in row()


def test_whoever_is_not_signed_in_sees_no_user_and_no_request(stack: Any, browser: LiveBrowser) -> None:
    developer = stack.developer()
    request_id = ask(developer.base_url, stream=False)

    seen = [browser.get(path).text for path in ("/admin", "/admin?range=7d", "/admin/login")]

    assert not any(developer.access_key[:9] in page or request_id in page for page in seen)


def test_the_allowlist_is_about_the_client_behind_the_trusted_proxy(stack: Any) -> None:
    def status(forwarded_for: str) -> int:
        return LiveBrowser(stack.url, {"x-forwarded-for": forwarded_for}).get().status

    assert status("198.51.100.7") == 200
    assert status("203.0.113.9") == 403
    assert status("198.51.100.7, 203.0.113.9") == 403


@pytest.mark.parametrize("spelling", ["X_Forwarded_For", "x_forwarded-for", "X-FORWARDED_FOR"])
def test_a_misspelt_forwarding_header_opens_nothing(stack: Any, spelling: str) -> None:
    fields = f"X-Forwarded-For: 203.0.113.9\r\n{spelling}: 198.51.100.7\r\nConnection: close\r\n\r\n"

    answer = dialogue(stack.url, b"GET /admin HTTP/1.1\r\nHost: x\r\n" + fields.encode())

    assert answer.startswith(b"HTTP/1.1 403 ")
    assert b"203.0.113.9" in answer


def test_a_second_forwarding_header_of_the_clients_own_is_not_the_last_hop(stack: Any) -> None:
    fields = b"X-Forwarded-For: 198.51.100.7\r\nX-Forwarded-For: 203.0.113.9\r\n"

    answer = dialogue(stack.url, b"GET /admin HTTP/1.1\r\nHost: x\r\n" + fields + b"Connection: close\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 403 ")


def test_guessing_gets_slow_for_one_address_and_not_for_another(stack: Any) -> None:
    guesser = LiveBrowser(stack.url, {"x-forwarded-for": "198.51.100.66"})
    other = LiveBrowser(stack.url, {"x-forwarded-for": "198.51.100.67"})

    statuses = [guesser.sign_in("somebody", "wrong").status for _ in range(5)]
    sixth = guesser.post("/admin/login", username=OWNER, password=PASSWORD)  # within the second that it has to wait

    assert statuses == [401] * 5
    assert sixth.status == 429
    assert int(sixth.headers["retry-after"]) >= 1
    assert other.sign_in(OWNER, PASSWORD).status == 303


def test_passwords_being_checked_hold_nobody_up(stack: Any) -> None:
    browsers = [LiveBrowser(stack.url, {"x-forwarded-for": f"198.51.100.{number}"}) for number in range(100, 107)]
    for browser in browsers:
        browser.get("/admin/login")
    threads = [threading.Thread(target=partial(each.post, "/admin/login", username="x", password="y")) for each in browsers]
    slowest, began = 0.0, time.monotonic()
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        asked = time.monotonic()
        LiveBrowser(stack.url).get("/health")
        slowest = max(slowest, time.monotonic() - asked)

    took = time.monotonic() - began
    assert took > 0.7, "the passwords were not really checked"
    assert slowest < took / 2


@pytest.mark.parametrize(
    "head",
    [
        b"POST /admin/login HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n",
        b"POST /admin/nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n",
        b"GET /admin HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n",
    ],
)
def test_a_body_that_nobody_reads_is_never_taken_for_a_request(stack: Any, head: bytes) -> None:
    hidden = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"

    answer = dialogue(stack.url, head % len(hidden), hidden)

    assert answer.count(b"HTTP/1.1 ") == 1
    assert b'{"status":"ok"}' not in answer


def test_a_form_that_never_arrives_is_given_up(stack: Any) -> None:
    form = b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\n\r\n"

    answer = dialogue(stack.url, b"POST /admin/login HTTP/1.1\r\nHost: x\r\n" + form, b"username=a")

    assert answer.startswith(b"HTTP/1.1 408 ")


def test_the_session_cookie_never_travels_to_the_plan(stack: Any) -> None:
    developer = stack.developer()
    headers = {"cookie": "theme=dark; __Host-session=signed.value", "x-api-key": "sk-ant-sandbox"}

    LiveBrowser(developer.base_url, headers).get(urlsplit(developer.base_url).path + "/v1/anything")

    arrived = stack.anthropic.requests()
    assert len(arrived) == 1
    assert "__Host-session" not in json.dumps(arrived)


def test_a_team_of_a_thousand_with_a_hundred_thousand_requests_is_shown_within_a_second(stack: Any, owner: LiveBrowser) -> None:
    stack.database.run(lambda connection: [connection.execute(text(statement)) for statement in _CROWD])
    took = []
    for number in range(1, 21):
        began = machine.now()
        page = owner.get("/admin?range=7d" if number % 2 else "/admin/usage?group=user")
        took.append(machine.now().since(began))
        assert page.status == 200

    stack.database.run(lambda connection: [connection.execute(text(statement)) for statement in _GONE])
    assert len(page.text) < 500_000
    assert sorted(took)[18] < 1.0 * machine.slowness()


def test_nothing_secret_of_a_sign_in_is_in_the_log(stack: Any, browser: LiveBrowser) -> None:
    browser.sign_in(OWNER, "a-password-typed-wrong")
    browser.sign_in(OWNER, PASSWORD)
    browser.get()

    logged = stack.product.log_path.read_text()

    assert "an admin signed in" in logged
    for secret in ("a-password-typed-wrong", PASSWORD, OWNER, browser.cookies["session"], browser.token):
        assert secret not in logged


def test_a_restart_keeps_the_owner_signed_in_and_leaves_no_worker_behind(stack: Any, owner: LiveBrowser) -> None:
    stack.product.stop()
    left_behind = stack.database.read(list_workers)
    stack.product.start()

    page = owner.get("/admin/system")

    assert left_behind == []
    assert "<h1>System</h1>" in page.text
    assert page.text.count("answers you") == 1
    assert eventually(lambda: len(stack.database.read(list_workers)) == 1)


_CROWD = (
    """INSERT INTO users (id, name, email, note, strategy, status, created_at, updated_at)
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
    SELECT 'usr_crowd_' || i, 'crowd ' || i, '', '', 'plan_first', 'active', '2026-01-01 00:00:00', '2026-01-01 00:00:00'
    FROM n""",
    """INSERT INTO access_keys (id, user_id, name, prefix, secret_hash, hash_version, last_seen_address, created_at, updated_at)
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)
    SELECT 'key_crowd_' || i, 'usr_crowd_' || (i % 1000 + 1), 'k', 'ak_crowd', 'h' || i, 1, '', '2026-01-01 00:00:00',
        '2026-01-01 00:00:00' FROM n""",
    """INSERT INTO requests SELECT 'req_crowd_' || i, datetime('now', '-' || i || ' seconds'), 'usr_crowd_' || (i % 1000 + 1),
        'key_crowd_' || (i % 10000 + 1), CASE i % 3 WHEN 0 THEN 'messages' ELSE 'count_tokens' END, '', '', '', 'plan', '', '',
        'claude-x', 'claude-x', '', 1, 200, '', 1, 1, 0, 0, 0, 0, 0, 1.0, 1.0, 1.0, 'exact'
    FROM (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000) SELECT i FROM n)""",
    """INSERT INTO usage_hourly SELECT strftime('%Y-%m-%d %H:00:00.000000', 'now'), 'key_crowd_' || i, 'plan', 'claude-x',
        'usr_crowd_' || (i % 1000 + 1), 10, 0, 0, 1, 1, 0, 0, 0, 0, 0
    FROM (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000) SELECT i FROM n)""",
)
_GONE = (
    "DELETE FROM usage_hourly WHERE access_key_id LIKE 'key_crowd_%'",
    "DELETE FROM requests WHERE access_key_id LIKE 'key_crowd_%'",
    "DELETE FROM access_keys WHERE id LIKE 'key_crowd_%'",
    "DELETE FROM users WHERE id LIKE 'usr_crowd_%'",
)
