"""The admin app without a server, with admins and a clock: what the tests of signing in stand before."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyotp
from falcon.testing import Result

from admin_app.app import AdminApp
from core import admins
from core.actor import Role
from core.audit import Entry, Filter, entries
from core.db import Database, open_database
from core.settings import Settings
from tests.admin_app.browser import Browser
from tests.admin_app.whole_app import HASH as HASH
from tests.admin_app.whole_app import PASSWORD as PASSWORD
from tests.admin_app.whole_app import SECRET as SECRET
from tests.admin_app.whole_app import admin_app
from tests.core.office import NOW


@dataclass
class Door:
    """One database, and as many workers as are asked for."""

    folder: Path
    database_url: str
    now: float = NOW.timestamp()
    apps: list[AdminApp] = field(default_factory=list)

    def worker(self, **changes: Any) -> AdminApp:
        given = {"database_url": self.database_url, **changes}
        self.apps.append(admin_app(folder=self.folder, wall=lambda: self.now, **given))
        return self.apps[-1]

    def browser(self, address: str = "203.0.113.9", **changes: Any) -> Browser:
        app = self.worker(**changes) if changes or not self.apps else self.apps[0]
        return Browser(app, address)

    def signed_in(self, name: str = "admin", password: str = PASSWORD, **fields: str) -> Browser:
        browser = self.browser()
        assert self.enter(browser, name, password, **fields).status_code == 303
        browser.get("/admin/account")
        return browser

    def enter(self, browser: Browser, name: str = "admin", password: str = PASSWORD, **fields: str) -> Result:
        browser.get("/admin/login")
        return browser.post("/admin/login", username=name, password=password, **fields)

    def add(self, name: str, role: Role = Role.OWNER) -> admins.Admin:
        return self.run(lambda c: admins.add_admin(c, name, role, HASH, self.moment()))  # type: ignore[no-any-return]

    def run(self, work: Any) -> Any:
        database = self.database()
        try:
            return database.run(work)
        finally:
            database.close()

    def database(self) -> Database:
        return open_database(Settings(database_url=self.database_url), pool_size=1)

    def noted(self) -> list[Entry]:
        """The audit log, oldest first."""
        found: list[Entry] = list(self.run(lambda connection: entries(connection, Filter(), 100).lines))
        return found[::-1]

    def moment(self) -> datetime:
        return datetime.fromtimestamp(self.now, UTC)

    def code(self, secret: str) -> str:
        return pyotp.TOTP(secret).at(self.moment())

    def enrol(self, browser: Browser) -> tuple[str, list[str]]:
        """Sets the second factor up as a person does; its secret, and the recovery codes."""
        page = browser.get("/admin/account/totp").text
        secret = re.search(r"this key into it: <code>([A-Z2-7 ]+)</code>", page)[1].replace(" ", "")  # type: ignore[index]
        sealed = re.search(r'name="secret" value="([0-9a-f]+)"', page)[1]  # type: ignore[index]
        answer = browser.post("/admin/account/totp", secret=sealed, totp=self.code(secret))
        assert answer.status_code == 200
        return secret, re.findall(r"[a-z2-7]{6}(?:-[a-z2-7]{6}){3}", answer.text)

    def close(self) -> None:
        for app in self.apps:
            app.close()
