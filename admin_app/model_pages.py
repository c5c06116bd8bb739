"""The pages of models and of what was learned that Bedrock refuses."""

from __future__ import annotations

from typing import Any

import falcon
import msgspec

from admin_app import model_operations as does
from admin_app.deeds import Deed, DeedPage, Said
from admin_app.fields import from_texts
from admin_app.front import Front, Texts, problems_of, query_of, see_other
from admin_app.operation import Work, perform
from core.access import NotFound, Refused

HOME = "/admin/models"


def routes(front: Front) -> dict[str, Any]:
    """Path -> resource."""
    repairs = f"{HOME}/repairs"
    return {
        HOME: ModelsPage(front),
        f"{HOME}/new": ModelForm(front),
        f"{HOME}/{{model_id}}/remove": DeedPage(front, Deed(does.REMOVE, "models", _before_removing, HOME, "model-removed")),
        f"{repairs}/export.json": RepairsFile(front),
        f"{repairs}/clear": DeedPage(front, Deed(does.CLEAR_ALL, "models", _before_clearing_all, HOME, "repairs-cleared")),
        f"{repairs}/{{repair_id}}/clear": DeedPage(front, Deed(does.CLEAR, "models", _before_clearing, HOME, "repairs-cleared")),
    }


class ModelsPage:
    """`/admin/models`."""

    def __init__(self, front: Front) -> None:
        self._front = front

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        work = self._front.enter(req, resp)
        models = perform(does.LIST, work, does.Everything())
        learned, query, _ = self._front.find(work, does.REPAIRS, query_of(req, "cursor"))
        values = {"models": models, "learned": learned, "repairs": learned.data, "query": query}
        self._front.show(req, resp, "models/list.html", nav="models", **values)


class ModelForm:
    """`/admin/models/new`."""

    performs = does.ADD

    def __init__(self, front: Front) -> None:
        self._front = front

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        work = self._front.enter(req, resp, self.performs.role)
        self._show(req, resp, work, query_of(req, "model"), {})

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        work = self._front.enter(req, resp, self.performs.role)
        fields = Texts(self._front.form(req))
        try:
            self._front.ask(work, does.ADD, fields)
        except Refused as refused:
            self._show(req, resp, work, fields, problems_of(refused, resp))
        else:
            raise see_other(HOME, "model-added")

    def _show(self, req: Any, resp: Any, work: Work, values: Texts, problems: dict[str, str]) -> None:
        shipped = sorted(work.tools.known_models())
        self._front.show(req, resp, "models/form.html", nav="models", values=values, problems=problems, shipped=shipped)


class RepairsFile:
    """What was learned, as a file."""

    def __init__(self, front: Front) -> None:
        self._front = front

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        work = self._front.enter(req, resp)
        exported = perform(does.EXPORT, work, does.Everything())
        resp.content_type = falcon.MEDIA_JSON
        resp.set_header("content-disposition", 'attachment; filename="repairs.json"')
        resp.data = msgspec.json.format(msgspec.json.encode(exported))


def _before_removing(work: Work, params: dict[str, str]) -> Said:
    added = perform(does.LIST, work, does.Everything()).data
    row = next((each for each in added if each.id == params["model_id"]), None)
    if row is None:
        raise NotFound(f"there is no added model {params['model_id']}")
    lines = (f"It leads to {row.bedrock}. What is shipped, or the rule for names, holds again within two seconds.",)
    return Said(f"Remove {row.model}?", lines, "Remove", HOME)


def _before_clearing(work: Work, params: dict[str, str]) -> Said:
    row: does.RepairShown = perform(does.REPAIR, work, from_texts(does.TheRepair, params))
    lines = (
        f"The {row.kind} {row.name} is sent to {row.model} in {row.region} again.",
        "If Bedrock still refuses it, one request is sent twice, and it is learned again.",
    )
    return Said("Forget what was learned?", lines, "Forget", HOME, is_destructive=False)


def _before_clearing_all(_: Work, __: dict[str, str]) -> Said:
    lines = ("All these names are sent to Bedrock again. What it still refuses is learned again, at one retry each.",)
    return Said("Forget all that was learned?", lines, "Forget all", HOME)
