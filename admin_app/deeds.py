"""Changes that want a second look: a page that names what will happen, and the button that does it.

Knows HTTP, no noun: each deed is declared with its operation and its words. Works without JavaScript. Invariant: looking
changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import falcon

from admin_app.front import Front, see_other
from admin_app.operation import Operation, Work
from core.access import Refused


@dataclass(frozen=True, slots=True)
class Said:
    """What the page says before: the heading, what will happen in sentences, the button's words, where "back" leads."""

    title: str
    lines: tuple[str, ...]
    button: str
    back: str
    is_destructive: bool = True


@dataclass(frozen=True, slots=True)
class Deed:
    """`say(work, params)` reads what the words need; raises NotFound. `after` is where to go then (a path with the same
    parameters in braces; empty: where `back` leads), `notice` what is said there."""

    operation: Operation
    nav: str
    say: Callable[[Work, dict[str, str]], Said]
    after: str
    notice: str


class DeedPage:
    """GET asks, POST does."""

    def __init__(self, front: Front, deed: Deed) -> None:
        self._front = front
        self._deed = deed
        self.performs = deed.operation

    def on_get(self, req: falcon.Request, resp: falcon.Response, **params: str) -> None:
        self._ask(req, resp, params, "")

    def on_post(self, req: falcon.Request, resp: falcon.Response, **params: str) -> None:
        deed = self._deed
        work = self._front.enter_for(deed.operation, req, resp)
        fields = self._front.form(req)
        after = deed.after.format(**params) or deed.say(work, params).back  # while it is there still
        try:
            self._front.ask(work, deed.operation, {**fields, **params})
        except Refused as refused:
            resp.status = falcon.HTTP_409
            self._ask(req, resp, params, str(refused))
        else:
            raise see_other(after, deed.notice)

    def _ask(self, req: falcon.Request, resp: falcon.Response, params: dict[str, str], problem: str) -> None:
        work = self._front.enter_for(self._deed.operation, req, resp)
        said = self._deed.say(work, params)
        self._front.show(req, resp, "deed.html", nav=self._deed.nav, said=said, problem=problem)
