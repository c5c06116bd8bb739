"""What every page of the administration does: who asks, the page around the content, forms, and what a refusal looks like.

Knows HTTP and templates, no noun. Invariants: a page is shown to nobody who is not signed in; a form is read only with its
token; every page works as a whole, and as the one block of its template that HTMX asks for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

import falcon

from admin_app.doorkeeper import Doorkeeper
from admin_app.edits import ChangedMeanwhile
from admin_app.fields import from_texts
from admin_app.forms import read_form
from admin_app.notices import NOTICES
from admin_app.operation import BadFields, Operation, Tools, Work, perform
from core.access import Refused
from core.actor import Actor, Role
from core.db import Database, DatabaseAway
from core.pages import Pages

# path, words, the page's name in `nav`; a page that not every role may open says which may
NAVIGATION = (
    ("/admin", "Dashboard", "dashboard", Role.VIEWER),
    ("/admin/users", "Users", "users", Role.VIEWER),
    ("/admin/keys", "Access keys", "keys", Role.VIEWER),
    ("/admin/usage", "Usage", "usage", Role.VIEWER),
    ("/admin/sessions", "Sessions", "sessions", Role.VIEWER),
    ("/admin/requests", "Requests", "requests", Role.VIEWER),
    ("/admin/circuits", "Circuits", "circuits", Role.VIEWER),
    ("/admin/prices", "Prices", "prices", Role.VIEWER),
    ("/admin/models", "Models", "models", Role.VIEWER),
    ("/admin/audit", "Audit log", "audit", Role.VIEWER),
    ("/admin/admins", "Admins", "admins", Role.OWNER),
    ("/admin/system", "System", "system", Role.VIEWER),
)


class Texts(dict[str, Any]):
    """Fields for a template: one that is not there is empty."""

    def __missing__(self, name: str) -> str:
        return ""


@dataclass(frozen=True, slots=True)
class Front:
    """What pages work with."""

    doorkeeper: Doorkeeper
    pages: Pages
    database: Database
    tools: Tools
    now: Callable[[], datetime]

    def enter(self, req: falcon.Request, resp: falcon.Response, role: Role = Role.VIEWER) -> Work:
        """Who asks, ready to perform operations. Raises falcon.HTTPSeeOther to the sign-in, falcon.HTTPForbidden."""
        actor = self.doorkeeper.require(req, resp, role)
        req.context.actor = actor
        return Work(self.database, actor, self.now(), self.tools)

    def enter_for(self, operation: Operation, req: falcon.Request, resp: falcon.Response) -> Work:
        """As `enter`, before a form of this operation is shown or read: a sensitive one wants the password given lately, and
        leads to where it is given, and back."""
        work = self.enter(req, resp, operation.role)
        if operation.is_sensitive:
            self.doorkeeper.require_confirmed(req, resp, operation.role, req.relative_uri)
        return work

    def enter_home(self, req: falcon.Request, resp: falcon.Response) -> Work | None:
        """As `enter`, for the page that is there also while the database is away, to the owner who then signed in.

        None for who is not signed in: they were shown the form.
        """
        problem = ""
        try:
            if self.doorkeeper.signed_in(req) is not None:
                return self.enter(req, resp)
        except DatabaseAway:
            standing_in = self.doorkeeper.standing_in(req)
            if standing_in is not None:
                actor = Actor("", standing_in.username, Role.VIEWER, "standing_in", "", req.context.site)
                req.context.actor = actor
                return Work(self.database, actor, self.now(), self.tools)
            resp.status, problem = falcon.HTTP_503, "The database is away. Only the owner whom the settings define can sign in."
        self.doorkeeper.show_form(req, resp, problem)
        return None

    def form(self, req: falcon.Request) -> dict[str, str]:
        """A posted form without its token. Raises falcon.HTTPError."""
        fields = dict(read_form(req))
        self.doorkeeper.check_form(req, fields)
        fields.pop("csrf_token", None)
        return fields

    def ask(self, work: Work, operation: Operation, fields: Mapping[str, str]) -> Any:
        """Perform it with the texts of a form, a query or a path. Raises Refused (BadFields among others), DatabaseAway."""
        return perform(operation, work, from_texts(operation.takes, fields))

    def find(self, work: Work, operation: Operation, query: Texts) -> tuple[Any, Texts, dict[str, str]]:
        """A list, what of the query it answers, and what is wrong with the query: then it is the whole list, which is better
        than an error for a link from elsewhere, or from yesterday."""
        try:
            return self.ask(work, operation, query), query, {}
        except BadFields as bad:
            return self.ask(work, operation, {}), Texts(), bad.problems

    def show(self, req: falcon.Request, resp: falcon.Response, template: str, **values: Any) -> None:
        """The page; for HTMX, where the template has a block named as the target, that block alone."""
        actor: Actor = req.context.actor
        known = {
            "actor": actor,
            "token": self.doorkeeper.token(req),
            "now": self.now(),
            "navigation": [each for each in NAVIGATION if actor.role.includes(each[3])],
            "may_edit": actor.role.includes(Role.EDITOR),
            "may_own": actor.role.includes(Role.OWNER),
            "notice": NOTICES.get(req.get_param("notice") or ""),
            "here": req.relative_uri,
        }
        target = (req.get_header("hx-target") or "").replace("-", "_") if req.get_header("hx-request") else ""
        known["is_part"] = bool(target)
        resp.content_type = falcon.MEDIA_HTML
        resp.set_header("vary", "hx-request")
        resp.text = self.pages.render(template, block=target, **known, **values)


def problems_of(refused: Refused, resp: falcon.Response) -> dict[str, str]:
    """For a form: what is wrong with which field, or with the whole. Sets the answer's status."""
    resp.status = falcon.HTTP_422 if isinstance(refused, BadFields) else falcon.HTTP_409
    return refused.problems if isinstance(refused, BadFields | ChangedMeanwhile) else {"": str(refused)}


def see_other(path: str, notice: str = "") -> falcon.HTTPSeeOther:
    """After a change: the page that shows what came of it, with a line that says so."""
    return falcon.HTTPSeeOther(f"{path}?{urlencode({'notice': notice})}" if notice else path)


def query_of(req: falcon.Request, *names: str) -> Texts:
    """The given fields of the query, where they are not empty; of one sent twice, the last."""
    found = {name: values[-1] for name in names if (values := req.get_param_as_list(name))}
    return Texts({name: value for name, value in found.items() if value.strip()})
