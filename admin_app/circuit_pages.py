"""The page of circuits: which upstream is kept from whom, live, and closing one."""

from __future__ import annotations

from typing import Any

import falcon

from admin_app import circuit_operations as does
from admin_app.deeds import Deed, DeedPage, Said
from admin_app.fields import from_texts
from admin_app.front import Front, query_of
from admin_app.operation import Work, perform

HOME = "/admin/circuits"


def routes(front: Front) -> dict[str, Any]:
    """Path -> resource."""
    close = Deed(does.CLOSE, "circuits", _before_closing, HOME, "circuit-closed")
    return {HOME: CircuitsPage(front), f"{HOME}/{{circuit_id}}/close": DeedPage(front, close)}


class CircuitsPage:
    """`/admin/circuits`."""

    def __init__(self, front: Front) -> None:
        self._front = front

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        work = self._front.enter(req, resp)
        listed, query, _ = self._front.find(work, does.LIST, query_of(req, "cursor"))
        values = {"listed": listed, "circuits": listed.data, "query": query, "plan": work.tools.this_worker().load.plan}
        self._front.show(req, resp, "circuits/list.html", nav="circuits", **values)


def _before_closing(work: Work, params: dict[str, str]) -> Said:
    circuit: does.CircuitShown = perform(does.GET, work, from_texts(does.TheCircuit, params))
    whose = f"of {circuit.user_name} ({circuit.prefix or circuit.holder})" if circuit.user_name else circuit.holder
    lines = (
        f"The {circuit.provider} upstream {whose} is asked again with the next request, in every worker within two seconds.",
        "If it still fails, the circuit opens again.",
    )
    return Said("Close this circuit?", lines, "Close the circuit", HOME, is_destructive=False)
