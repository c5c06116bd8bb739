"""The page of the installation: read-only, live where it matters."""

from __future__ import annotations

from typing import Any

import falcon

from admin_app import system_operations as does
from admin_app.front import Front
from admin_app.model_operations import Everything
from admin_app.operation import perform

HOME = "/admin/system"


def routes(front: Front) -> dict[str, Any]:
    """Path -> resource."""
    return {HOME: SystemPage(front)}


class SystemPage:
    """`/admin/system`."""

    def __init__(self, front: Front) -> None:
        self._front = front

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        work = self._front.enter(req, resp)
        self._front.show(req, resp, "system/one.html", nav="system", system=perform(does.GET, work, Everything()))
