"""The API around a real database, with three admins and what they come with."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from falcon.testing import Result, TestClient

from admin_app.admission import TooMany, Wrong
from admin_app.api import Api, ApiApp
from admin_app.api_routes import all_offers
from admin_app.bearers import IssuedBearer
from admin_app.gate import Gate
from admin_app.operation import Offer, Tools
from core.access import Refused
from core.actor import Actor, Role
from core.crypto import LocalVault
from core.db import Database, open_database
from core.heartbeat import Load, Worker, WorkerSeen
from core.settings import Settings
from tests.admin_app.desk import Probe
from tests.core.office import NOW, SERVER_SECRET

BASE = "/admin/api/v1"
JSON = {"content-type": "application/json"}


@dataclass
class KnownBearers:
    """Tokens that are what they say: `owner`, `editor`, `viewer`, each a JWT."""

    actors: dict[str, Actor] = field(default_factory=lambda: _actors())
    attempts: int = 0

    def renew(self) -> None:
        """As if nobody had signed in or out."""
        self.actors, self.attempts = _actors(), 0

    def sign_in(self, username: str, password: str, totp: str, address: str) -> IssuedBearer:
        self.attempts += 1
        if self.attempts > 3:
            raise TooMany(7)
        if (username, password) != ("ada", "right"):
            raise Wrong
        return IssuedBearer("editor", NOW)

    def authenticate(self, bearer: str, address: str) -> Actor | None:
        return self.actors.get(bearer)

    def revoke(self, actor: Actor) -> None:
        if actor.via != "jwt":
            raise Refused("only a token that was signed in for ends here")
        self.actors = {bearer: each for bearer, each in self.actors.items() if each.credential_id != actor.credential_id}


def _actors() -> dict[str, Actor]:
    return {role.value: _actor(role) for role in Role}


def _actor(role: Role) -> Actor:
    return Actor(f"adm_{role}", f"the {role}", role, "jwt", f"ses_{role}", "203.0.113.9", NOW)


@dataclass
class ApiWorld:
    """`ask` is a request of whoever holds the token."""

    database: Database
    bearers: KnownBearers = field(default_factory=KnownBearers)
    settings: Settings = field(default_factory=Settings)
    more: Sequence[Offer] = ()
    now: float = NOW.timestamp()
    app: ApiApp = field(init=False)

    def __post_init__(self) -> None:
        tools = Tools(self.settings, SERVER_SECRET, LocalVault(bytes(32)), Probe(), frozenset, _seen)
        api = Api(self.database, tools, self.bearers, lambda: datetime.fromtimestamp(self.now, UTC))
        self.app = ApiApp(api, self.offers, Gate(self.settings, lambda: "req_1"))

    @property
    def offers(self) -> tuple[Offer, ...]:
        return (*all_offers(self.bearers), *self.more)

    def ask(self, method: str, path: str, body: Any = None, token: str = "owner", **headers: str) -> Result:
        """`body` is an object, or the text itself."""
        text = body if isinstance(body, str | bytes | None) else json.dumps(body)
        sent = {**(JSON if text is not None else {}), **_named(headers)}
        if token:
            sent["authorization"] = f"Bearer {token}"
        return self.send(method, f"{BASE}{path}", text, sent)

    def send(self, method: str, path: str, text: str | bytes | None, headers: dict[str, str]) -> Result:
        client: Any = TestClient(self.app)  # type: ignore[arg-type]
        path, _, query = path.partition("?")
        return client.simulate_request(method, path, query_string=query, body=text, headers=headers, remote_addr="203.0.113.9")

    def add_user(self, name: str) -> dict[str, Any]:
        added: dict[str, Any] = self.ask("POST", "/users", {"name": name}).json
        return added


def _named(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


def _seen() -> WorkerSeen:
    return WorkerSeen(Worker("wrk_1", "some-host", 42, NOW), Load("ready"), NOW)


MakeWorld = Callable[..., ApiWorld]


@pytest.fixture
def database_url(sqlite_template: Path, tmp_path: Path) -> str:
    """SQLite alone: HTTP does not know the difference."""
    copy = tmp_path / "api.sqlite"
    copy.write_bytes(sqlite_template.read_bytes())
    return f"sqlite:///{copy}"


@pytest.fixture
def world(database_url: str) -> Iterator[ApiWorld]:
    database = open_database(Settings(database_url=database_url), pool_size=1)
    yield ApiWorld(database)
    database.close()
