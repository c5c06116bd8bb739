"""The whole admin app in this process, furnished, and visitors of every kind before it: for proofs about every address."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from falcon.testing import Result, TestClient
from sqlalchemy import inspect, text

from admin_app.app import AdminApp
from core import admins
from core.actor import Role
from core.admin_sessions import Caller
from core.crypto import LocalVault
from core.db import Database, open_database
from core.settings import Settings
from tests.admin_app.route_table import Route, routes_of
from tests.admin_app.whole_app import admin_app
from tests.core.office import NOW, SERVER_SECRET
from tests.furnished import Furnished, furnish

FORM = "application/x-www-form-urlencoded"
HOME_ADDRESS, FOREIGN_ADDRESS = "10.1.2.3", "203.0.113.9"
UNKNOWN = "unknown_id"


@dataclass(frozen=True)
class Visitor:
    """Who asks: a cookie and the token of its forms, and from where."""

    cookie: str = ""
    token: str = ""
    address: str = HOME_ADDRESS

    def ask(self, app: AdminApp, method: str, path: str, form: Mapping[str, str] | None = None, **headers: str) -> Result:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.cookie:
            sent["cookie"] = f"session={self.cookie}"
        body = None if form is None else urlencode(form)
        if body is not None:
            sent.setdefault("content-type", FORM)
        return self.send(app, method, path, body, sent)

    def send(self, app: AdminApp, method: str, path: str, body: str | None, headers: Mapping[str, str]) -> Result:
        client: Any = TestClient(app)  # type: ignore[arg-type]
        return client.simulate_request(method, path, body=body, headers=dict(headers), remote_addr=self.address)


@dataclass
class House:
    app: AdminApp
    database: Database
    furnished: Furnished
    admins: dict[Role, str] = field(default_factory=dict)

    @property
    def routes(self) -> list[Route]:
        return routes_of(self.app)

    @property
    def unknown(self) -> dict[str, str]:
        """Ids that nothing has, for what would change something."""
        return dict.fromkeys(self.furnished.ids, UNKNOWN)

    def signed_in(self, role: Role) -> Visitor:
        """With a session of its own: what ends it ends no other."""
        credentials, sessions = self.app.doorkeeper.credentials, self.app.doorkeeper.sessions
        issued = self.database.run(lambda c: credentials.begin_session(c, self.admins[role], Caller(HOME_ADDRESS)))
        return Visitor(sessions.sealed(issued.token), sessions.form_token(issued.session.id))

    def expired(self, role: Role) -> Visitor:
        """Signed in once, a minute too long ago."""
        visitor, late = self.signed_in(role), timedelta(hours=24, minutes=1)
        moved = "UPDATE admin_sessions SET created_at = :at, last_used_at = :at, expires_at = :end WHERE admin_id = :admin"
        values = {"at": str(NOW - late), "end": str(NOW - timedelta(minutes=1)), "admin": self.admins[role]}
        self.database.run(lambda c: c.execute(text(moved), values))
        return visitor

    def rows(self) -> str:
        """Everything in the database, but when credentials were used and which attempts were refused: no changes."""
        return self.database.read(lambda connection: json.dumps(_rows(connection), default=str))


def _rows(connection: Any) -> dict[str, list[Any]]:
    tables = sorted(inspect(connection).get_table_names())
    found = {table: connection.execute(text(f"SELECT * FROM {table}")).mappings().all() for table in tables}
    return {
        table: sorted(_row(row) for row in rows if _is_kept(row)) for table, rows in found.items() if table != "admin_sessions"
    }


def _row(row: Mapping[str, Any]) -> str:
    return str({name: value for name, value in row.items() if name not in ("last_used_at", "last_address")})


def _is_kept(row: Mapping[str, Any]) -> bool:
    return not str(row.get("action", "")).endswith(".refused")


def open_house(template: Path, folder: Path, **changes: Any) -> House:
    """A house on SQLite with an admin of each role. The administration is open to `HOME_ADDRESS` alone."""
    path = folder / "house.sqlite"
    path.write_bytes(template.read_bytes())
    return house_at(f"sqlite:///{path}", folder, **changes)


def house_at(url: str, folder: Path, **changes: Any) -> House:
    """The same in a migrated database of yours. Close its `app` and `database` after it."""
    database = open_database(Settings(database_url=url), pool_size=1)
    furnished = furnish(database, LocalVault(bytes(32)), SERVER_SECRET, NOW)
    app = admin_app(url, folder, admin_allowed_cidrs=(ip_network("10.0.0.0/8"),), **changes)
    app.owner.ensure()
    house = House(app, database, furnished)
    for role in Role:
        add = lambda c, role=role: admins.add_admin(c, f"the-{role}", role, app.owner.password_hash, NOW)  # noqa: E731
        house.admins[role] = database.run(add).id
    return house


def without_cookie(visitor: Visitor) -> Visitor:
    return replace(visitor, cookie="", token="")
