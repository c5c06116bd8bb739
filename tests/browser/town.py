"""The product as it runs for a team, furnished, with admins of every role, and a memory of every secret that came up.

Knows rows and addresses, no browser. Invariant: what is remembered as a secret is looked for in all that the product wrote.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

from sqlalchemy import Connection

from admin_app.session import Sessions
from core import admins
from core.actor import Role
from core.admin_sessions import Caller
from core.api_tokens import NewToken, delete_all, issue_token
from core.credentials import Credentials
from core.crypto import hash_password, open_vault
from core.db import Database, open_database
from core.local_files import LocalSecrets, ensure_local
from core.settings import Settings
from sandbox.client import Sandbox
from sandbox.product import Product, free_port, temporary_product
from tests.admin_app.route_table import Route, routes_of
from tests.admin_app.whole_app import admin_app
from tests.browser.chromium import Visitor
from tests.furnished import Furnished, furnish
from tests.live.admin_browser import LiveBrowser
from tests.live.marked_traffic import finds

OWNER, PASSWORD = "admin", "Quokka8 a sentence nobody guesses"


@dataclass
class Town:
    anthropic: Sandbox
    bedrock: Sandbox
    product: Product
    database: Database
    settings: Settings
    local: LocalSecrets
    routes: list[Route]
    offers: list[str]
    furnished: Furnished = field(default_factory=lambda: Furnished({}, {}))
    secrets: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return self.product.url

    @property
    def pages(self) -> list[Route]:
        """Every address that shows something to an admin who is signed in; the sign-in and links are apart."""
        apart = ("/admin/login", "/claim/")
        return [each for each in self.routes if "GET" in each.methods and not each.is_file and not each.path.startswith(apart)]

    def furnish(self, name: str = "Ada Example") -> Furnished:
        vault, now = open_vault(self.settings, self.local), datetime.now(UTC)
        self.furnished = furnish(self.database, vault, self.local.server_secret, now, name)
        self.secrets |= self.furnished.secrets
        return self.furnished

    def add_admin(self, role: Role, password: str = PASSWORD) -> admins.Admin:
        hashed, now = hash_password(password, 4), datetime.now(UTC)
        return self.database.run(lambda c: admins.add_admin(c, f"{role}-{uuid4().hex[:8]}", role, hashed, now))

    def enter(self, visitor: Visitor, admin_id: str = "") -> None:
        """Without the form, which has tests of its own: a session as the product begins one, of the owner unless told."""
        visitor.page.context.add_cookies([{"name": "session", "value": self.session(admin_id), "url": f"{self.url}/admin"}])

    def session(self, admin_id: str = "") -> str:
        """A cookie's value."""
        own = (self.local.server_secret, self.local.jwt_secret)
        credentials = Credentials(self.database, *own, False, lambda: datetime.now(UTC))
        whose = admin_id or self.database.read(lambda c: admins.find_admin(c, OWNER)).id
        issued = self.database.run(lambda c: credentials.begin_session(c, whose, Caller("127.0.0.1", "tests")))
        sealing = Sessions(self.local.jwt_secret, ("", ""), is_secure=False, wall=lambda: datetime.now(UTC).timestamp())
        self.secrets[f"session {issued.session.id}"] = issued.token
        return sealing.sealed(issued.token)

    def client(self, admin_id: str = "") -> LiveBrowser:
        """Without a browser: for what is about bytes."""
        browser = LiveBrowser(self.url)
        browser.cookies["session"] = self.session(admin_id)
        browser.get("/admin/account")
        return browser

    def remember(self, name: str, secret: str) -> str:
        self.secrets[f"{name} {len(self.secrets)}"] = secret
        return secret

    def leaks(self) -> list[str]:
        """Where a secret stands that came up: in what is served now, in what was logged, in what is kept."""
        files = {**self.served(), **self.written()}
        known = {name: secret for name, secret in self.secrets.items() if len(secret) >= 8}
        return [f"{name} in {found}" for name, secret in known.items() for found in finds(searched(secret), files)]

    def served(self) -> dict[str, bytes]:
        """Every page that there is now, each list and each thing in it."""
        client = self.client()
        paths = {route.at(ids) for ids in self.all_ids() for route in self.pages if route.is_known(ids)}
        pages = {path: client.get(path).text.encode() for path in sorted(paths)}
        return {**pages, **self.api_answers()}

    def api_answers(self) -> dict[str, bytes]:
        """Whatever the API tells an owner, of each thing that there is."""
        client = LiveBrowser(self.url, {"authorization": f"Bearer {self.api_token()}"})
        asked = [Route(path, ("GET",), None) for path in self.offers]
        paths = {each.at(ids) for ids in self.all_ids() for each in asked if each.is_known(ids)}
        return {path: client.get(path).text.encode() for path in sorted(paths)}

    def api_token(self) -> str:
        now = datetime.now(UTC)
        new = NewToken("the search for secrets", Role.OWNER, now + timedelta(days=1))

        def issue(connection: Connection) -> str:
            owner = admins.find_admin(connection, OWNER)
            delete_all(connection, owner.id)
            return issue_token(connection, owner.id, new, self.local.server_secret, now).token

        return self.remember("API token", self.database.run(issue))

    def written(self) -> dict[str, bytes]:
        """Logs, spool and the database, without the files that hold the installation's own secrets."""
        folder = self.product.data_dir
        found = {str(path.relative_to(folder)): content(path) for path in folder.rglob("*") if path.is_file()}
        kept = {name: content for name, content in found.items() if not name.endswith(("_secret", "_key", "_hash"))}
        return {**kept, "database as text": self.dump()}

    def dump(self) -> bytes:
        with sqlite3.connect(self.product.data_dir / "var" / "proxy.sqlite") as connection:
            return "\n".join(connection.iterdump()).encode()

    def all_ids(self) -> list[dict[str, str]]:
        """The furnished ids, then the same with each user, key and Bedrock key that is there."""
        ids = dict(self.furnished.ids)
        with sqlite3.connect(self.product.data_dir / "var" / "proxy.sqlite") as connection:
            asked = (("user_id", "users"), ("key_id", "access_keys"), ("bedrock_key_id", "bedrock_keys"))
            found = [(name, str(row[0])) for name, table in asked for row in connection.execute(f"SELECT id FROM {table}")]
        return [ids, *({**ids, name: value} for name, value in found[:60])]


def content(path: Path) -> bytes:
    """Nothing of a file that is gone meanwhile: the server that it belongs to is at work."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def searched(secret: str) -> str:
    """Of an access key or a token its first characters may be shown; the rest may not, not even in part."""
    return secret[12:40] if secret.startswith(("ak_", "cpt_")) else secret


def known_addresses(settings: Settings, folder: Path) -> tuple[list[Route], list[str]]:
    """Of an app that is made for this alone, on the same database: its pages, and what its API tells."""
    app = admin_app(settings.database_url or f"sqlite:///{settings.data_dir / 'proxy.sqlite'}", folder)
    try:
        return routes_of(app), [f"/admin/api/v1{offer.path}" for offer in app.offers if offer.method == "GET"]
    finally:
        app.close()


@contextmanager
def open_town(anthropic: Sandbox, bedrock: Sandbox, **more: str) -> Iterator[Town]:
    """A running product without users. `more` settings of its own."""
    port = free_port()
    settings = {
        "PROXY_PLAN_URL": anthropic.url,
        "PROXY_BEDROCK_URL": bedrock.url,
        "PROXY_PUBLIC_URL": f"http://127.0.0.1:{port}",
        "PROXY_ADMIN_PASSWORD_HASH": hash_password(PASSWORD, 4),
        **more,
    }
    with temporary_product(settings, port) as product:
        own = Settings(data_dir=product.data_dir / "var", public_url=settings["PROXY_PUBLIC_URL"])
        database = open_database(own, pool_size=1)
        product.start()
        town = Town(anthropic, bedrock, product, database, own, ensure_local(own), *known_addresses(own, product.data_dir))
        town.remember("password", PASSWORD)
        yield town
        database.close()
