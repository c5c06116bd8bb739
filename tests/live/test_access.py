"""Who comes in: both forms of the key, one refusal for all, and changes in force in a running server within two seconds."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from core.crypto import new_access_key
from core.db import Database, open_database
from core.settings import Settings
from sandbox.client import Sandbox
from sandbox.product import Product, temporary_product
from tests.live.wire import LOGIN, REQUEST_ID, Answer, post, talk

IN_FORCE_S = 2.0
ASKED = 40  # requests in a row that must all agree: more than two workers can hide
MESSAGE = {"model": "claude-sonnet-4-5", "max_tokens": 50, "messages": [{"role": "user", "content": "hi"}]}
SAID_SO = ("content-type", "content-length", "request-id", "x-should-retry", "x-proxy-request-id", "connection", "server", "date")


@dataclass(frozen=True)
class Office:
    """A running server, and its command line as an administrator uses it."""

    product: Product
    anthropic: Sandbox

    def ask(self, access_key: str, path: str = "/v1/models", headers: bytes = b"") -> Answer:
        target = f"GET /ak/{access_key}{path} HTTP/1.1\r\n".encode()
        return talk(self.product.port, target + LOGIN + headers + b"connection: close\r\n\r\n").only

    def everywhere(self, access_key: str, status: int) -> float:
        """Seconds from now until every one of many requests gets this status."""
        began = time.monotonic()
        while time.monotonic() - began < 10:
            since = time.monotonic() - began
            if {self.ask(access_key).status for _ in range(ASKED)} == {status}:
                return since
        return float("inf")

    def issue(self, name: str, *options: str) -> tuple[str, str]:
        """(Key's id, key) of a new user."""
        self.product.cli("user", "add", name)
        issued = self.product.cli("key", "issue", "--user", name, *options)
        return issued["id"], issued["access_key"]


@pytest.fixture(scope="module", params=["sqlite", "postgresql with two workers"])
def office(request: pytest.FixtureRequest) -> Iterator[Office]:
    settings = {}
    if request.param != "sqlite":
        server = request.getfixturevalue("postgres_server")
        settings = {"PROXY_DATABASE_URL": server.migrated(), "PROXY_WORKERS": "2"}
    with Sandbox("anthropic") as anthropic, temporary_product({"PROXY_PLAN_URL": anthropic.url, **settings}) as product:
        product.start()
        yield Office(product, anthropic)
    if settings:
        server.drop(settings["PROXY_DATABASE_URL"])


def test_a_new_key_works_at_once_even_if_it_was_tried_before(office: Office) -> None:
    _, access_key = office.issue("new")
    assert office.ask(access_key).status == 200


def test_a_revoked_key_is_refused_everywhere_within_two_seconds(office: Office) -> None:
    key_id, access_key = office.issue("revoked")
    assert office.everywhere(access_key, 200) == 0 or office.everywhere(access_key, 200) < IN_FORCE_S

    office.product.cli("key", "revoke", key_id)
    assert office.everywhere(access_key, 403) < IN_FORCE_S


def test_all_keys_of_a_deactivated_user_are_refused_everywhere_within_two_seconds(office: Office) -> None:
    _, access_key = office.issue("deactivated")
    second = office.product.cli("key", "issue", "--user", "deactivated")["access_key"]
    assert office.everywhere(access_key, 200) + office.everywhere(second, 200) < IN_FORCE_S

    office.product.cli("user", "deactivate", "deactivated")
    began = time.monotonic()
    assert office.everywhere(access_key, 403) < IN_FORCE_S
    office.everywhere(second, 403)
    assert time.monotonic() - began < IN_FORCE_S + 1.5  # the first look at the second key costs a few requests


def test_a_rotated_key_stays_good_for_its_grace_and_the_new_one_is_good_at_once(office: Office) -> None:
    key_id, old = office.issue("rotated")
    assert office.everywhere(old, 200) < IN_FORCE_S

    rotated = office.product.cli("key", "rotate", key_id, "--grace-s", "4")
    issued_at = time.monotonic()
    assert rotated["id"] == key_id
    assert office.everywhere(rotated["access_key"], 200) < IN_FORCE_S
    if time.monotonic() - issued_at < 3:
        assert office.ask(old).status == 200
    assert office.everywhere(old, 403) < 4 + IN_FORCE_S
    assert office.ask(rotated["access_key"]).status == 200


def test_rotation_without_grace_ends_the_old_key_within_two_seconds(office: Office) -> None:
    key_id, old = office.issue("rotated at once")
    assert office.everywhere(old, 200) < IN_FORCE_S

    office.product.cli("key", "rotate", key_id, "--grace-s", "0")
    assert office.everywhere(old, 403) < IN_FORCE_S


def test_a_key_ends_when_it_expires_though_it_is_known_and_nobody_looks(office: Office) -> None:
    seconds = 3.0
    _, access_key = office.issue("expiring", "--expires-days", str(seconds / 86_400))
    began = time.monotonic()
    assert office.ask(access_key).status == 200

    office.everywhere(access_key, 403)
    assert time.monotonic() - began < seconds + IN_FORCE_S


# From here on: one server for all, and the ways in.


@pytest.fixture(scope="module")
def key(running: Any) -> str:
    return str(running.developer().access_key)


@pytest.fixture(scope="module")
def bad_keys(running: Any, key: str) -> dict[str, str]:
    """Every reason for a refusal; the checksum is right but in the first ones."""
    run = running.product.cli
    expired, revoked, inactive = running.developer(expires_at=_soon()), running.developer(), running.developer()
    run("key", "revoke", revoked.access_key_id)
    run("user", "deactivate", inactive.user_id)
    time.sleep(max(0.0, (_soon() - datetime.now(UTC)).total_seconds()))
    return {
        "empty": "",
        "malformed": "ak_x",
        "control characters": "%0d%0aX%E2%80%AE",
        "a wrong checksum": key[:-1] + ("a" if key[-1] != "a" else "b"),
        "another's prefix": "sk_" + key[3:],
        "percent-encoded": "%61" + key[1:],
        "never issued": new_access_key(),
        "expired": expired.access_key,
        "revoked": revoked.access_key,
        "inactive user": inactive.access_key,
    }


_EXPIRY = datetime.now(UTC) + timedelta(seconds=0)


def _soon() -> datetime:
    return _EXPIRY


ENDPOINTS = [
    ("POST", "/v1/messages?beta=true"),
    ("POST", "/v1/messages/count_tokens"),
    ("GET", "/v1/models"),
    ("GET", "/v1/models/claude-sonnet-4-5"),
    ("GET", "/api/claude_cli/bootstrap"),
]


def request(method: str, target: str, extra: str = "") -> bytes:
    body = json.dumps(MESSAGE).encode() if method == "POST" else b""
    head = f"{method} {target} HTTP/1.1\r\n{extra}connection: close\r\ncontent-length: {len(body)}\r\n".encode()
    return head + LOGIN + b"\r\n" + body
