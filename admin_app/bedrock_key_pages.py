"""The pages of Bedrock keys: attaching, testing and removing one (SPEC section 11). They are listed where they belong: at
their user and their access key.

Knows pages; what happens is in `bedrock_key_operations`. Invariant: what was typed as a key is never sent back, also not with
a form that was refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import falcon

from admin_app import access_key_operations, user_operations
from admin_app import bedrock_key_operations as does
from admin_app.deeds import Deed, DeedPage, Said
from admin_app.fields import from_texts
from admin_app.front import Front, Texts, problems_of, query_of, see_other
from admin_app.operation import Work, perform
from core.access import Refused
from core.types import KeyHealth, Residency

_RESIDENCIES = (
    (Residency.GLOBAL.value, "anywhere: global profiles first"),
    (Residency.GEO.value, "only within the region's geography"),
)


def routes(front: Front) -> dict[str, Any]:
    """Path -> resource."""
    one = "/admin/bedrock-keys/{bedrock_key_id}"
    return {
        "/admin/users/{user_id}/bedrock-keys/new": AttachPage(front),
        f"{one}/test": TestOfKey(front),
        f"{one}/remove": DeedPage(front, Deed(does.REMOVE, "users", _before_removing, "", "bedrock-key-removed")),
    }


class AttachPage:
    """`/admin/users/{user_id}/bedrock-keys/new`; `key` in the query: an access key that it is to be for."""

    performs = does.ATTACH

    def __init__(self, front: Front) -> None:
        self._front = front

    def on_get(self, req: falcon.Request, resp: falcon.Response, user_id: str) -> None:
        work = self._front.enter(req, resp, self.performs.role)
        self._show(req, resp, work, user_id, {"access_key_id": query_of(req, "key")["key"]}, {})

    def on_post(self, req: falcon.Request, resp: falcon.Response, user_id: str) -> None:
        work = self._front.enter(req, resp, self.performs.role)
        fields = self._front.form(req)
        try:
            attached = self._front.ask(work, does.ATTACH, {**fields, "user_id": user_id})
        except Refused as refused:
            self._show(req, resp, work, user_id, fields, problems_of(refused, resp))
        else:
            raise _tested(attached, attached.access_key_id)

    def _show(self, req: Any, resp: Any, work: Work, user_id: str, typed: Mapping[str, str], problems: Any) -> None:
        user = self._front.ask(work, user_operations.GET, {"user_id": user_id})
        keys = self._front.ask(work, access_key_operations.LIST, {"user_id": user_id, "limit": "200"}).data
        regions = sorted({work.tools.settings.bedrock_region, *work.tools.known_regions})
        known = {"region": work.tools.settings.bedrock_region, "residency": Residency.GLOBAL.value}
        values = Texts({**known, **{name: text for name, text in typed.items() if name != "secret"}})
        chosen = {"user": user, "keys": keys, "regions": regions, "residencies": _RESIDENCIES}
        self._front.show(req, resp, "bedrock_keys/form.html", nav="users", values=values, problems=problems, **chosen)


class TestOfKey:
    """`POST /admin/bedrock-keys/{bedrock_key_id}/test`, then back to where the button was: `key` in the form is the access key
    whose page that is, empty for the user's."""

    performs = does.TEST

    __test__ = False

    def __init__(self, front: Front) -> None:
        self._front = front

    def on_post(self, req: falcon.Request, resp: falcon.Response, bedrock_key_id: str) -> None:
        work = self._front.enter(req, resp, self.performs.role)
        back_to = self._front.form(req).get("key", "")
        tested = self._front.ask(work, does.TEST, {"bedrock_key_id": bedrock_key_id})
        if back_to:  # read, not believed
            back_to = self._front.ask(work, access_key_operations.GET, {"key_id": back_to}).id
        raise _tested(tested, back_to)


def _tested(key: does.BedrockKeyShown, access_key_id: str | None) -> falcon.HTTPSeeOther:
    is_ok = isinstance(key.test, does.TestShown) and key.test.ok
    failed = "bedrock-key-refused" if key.health is KeyHealth.UNHEALTHY else "bedrock-key-test-failed"
    return see_other(_place(key.user_id, access_key_id), "bedrock-key-works" if is_ok else failed)


def _place(user_id: str, access_key_id: str | None) -> str:
    return f"/admin/keys/{access_key_id}" if access_key_id else f"/admin/users/{user_id}"


def _before_removing(work: Work, params: dict[str, str]) -> Said:
    key: does.BedrockKeyShown = perform(does.GET, work, from_texts(does.TheBedrockKey, params))
    named = f"{key.name} ({key.region})" if key.name else f"{key.id} ({key.region})"
    whose = f"the access key {key.access_key_prefix}…" if key.access_key_id else f"all keys of {key.user_name}"
    lines = (
        f"It served {whose}. Within two seconds no request goes to Bedrock with it; answers under way are finished.",
        "Its text is destroyed here, for good. At AWS it is still there: end it there, too.",
    )
    return Said(f"Remove the Bedrock key {named}?", lines, "Destroy", _place(key.user_id, key.access_key_id))
