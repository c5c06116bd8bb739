"""Somebody at a real browser, and what must never happen in it.

Knows Playwright and the product's address, no page. Invariant: whatever a page does that it must not (a script error, a breach
of its own content policy, a dialog, a request to another host, an answer of 500) is a line in `problems`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Dialog, Page, Request, Response

WIDE = {"width": 1280, "height": 800}
NARROW = {"width": 390, "height": 844}
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
)
# A breach is an error of the console anyway; this says also those that a browser only reports.
_REPORTS = """
document.addEventListener("securitypolicyviolation", (event) =>
  console.error("content policy:", event.effectiveDirective, event.blockedURI, event.sample));
"""
_LOADED = re.compile(r"(?:Failed to load resource: the server responded with a status of|Response Status Error Code) (\d{3})")


@dataclass
class Visitor:
    """One browser context with one page. `expected`: refusals that the test asks for, by status."""

    page: Page
    base: str
    expected: set[int] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)
    statuses: list[tuple[str, int]] = field(default_factory=list)

    def go(self, path: str) -> Page:
        self.page.goto(self.base + path, wait_until="load")
        return self.page

    def sign_in(self, username: str, password: str, code: str = "") -> Page:
        self.go("/admin/login")
        self.page.fill("#username", username)
        self.page.fill("#password", password)
        if code:
            self.page.fill("#totp", code)
        self.press("Sign in")
        return self.page

    def press(self, words: str) -> None:
        """A button or a link that is drawn as one, by its words; the page that follows is loaded then."""
        named = self.page.get_by_role("button", name=words, exact=True).or_(self.page.get_by_role("link", name=words, exact=True))
        with self.page.expect_navigation(wait_until="load"):
            named.first.click()

    def fill(self, **fields: str) -> None:
        for name, value in fields.items():
            self.page.fill(f"main [name={name}]", value)

    def heading(self) -> str:
        return self.page.locator("h1").first.inner_text().strip()

    def text(self) -> str:
        return self.page.locator("main").first.inner_text()

    @property
    def path(self) -> str:
        parts = urlsplit(self.page.url)
        return f"{parts.path}?{parts.query}" if parts.query else parts.path

    def listen(self) -> None:
        page = self.page
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.problems.append(f"script error: {error}"))
        page.on("dialog", self._dialog)
        page.on("request", self._request)
        page.on("response", self._response)

    def _console(self, message: ConsoleMessage) -> None:
        loaded = _LOADED.match(message.text)
        if loaded is not None and int(loaded[1]) in self.expected:
            return
        if message.type in ("error", "warning"):
            self.problems.append(f"console {message.type} on {self.page.url}: {message.text}")

    def _dialog(self, dialog: Dialog) -> None:
        self.problems.append(f"dialog on {self.page.url}: {dialog.message}")
        dialog.dismiss()

    def _request(self, request: Request) -> None:
        if urlsplit(request.url).netloc != urlsplit(self.base).netloc and not request.url.startswith("data:"):
            self.problems.append(f"asked another host: {request.url}")

    def _response(self, response: Response) -> None:
        self.statuses.append((response.url, response.status))
        if response.status >= 500 and response.status not in self.expected:
            self.problems.append(f"{response.status} from {response.url}")


@contextmanager
def visiting(browser: Browser, base: str, **options: Any) -> Iterator[Visitor]:
    """A visitor of `base`; `options` are the context's (`viewport`, `color_scheme`, `java_script_enabled`)."""
    context: BrowserContext = browser.new_context(**{"viewport": WIDE, **options})
    context.set_default_timeout(60_000)
    context.add_init_script(_REPORTS)
    visitor = Visitor(context.new_page(), base)
    visitor.listen()
    try:
        yield visitor
    finally:
        context.close()
