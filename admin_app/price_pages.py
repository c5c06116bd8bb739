"""The pages of prices: the list, setting one, removing one."""

from __future__ import annotations

from typing import Any

import falcon

from admin_app import price_operations as does
from admin_app.deeds import Deed, DeedPage, Said
from admin_app.front import Front, Texts, problems_of, query_of, see_other
from admin_app.operation import Work, perform
from core.access import NotFound, Refused

HOME = "/admin/prices"


def routes(front: Front) -> dict[str, Any]:
    """Path -> resource."""
    remove = Deed(does.REMOVE, "prices", _before_removing, HOME, "price-removed")
    return {HOME: PricesPage(front), f"{HOME}/new": PriceForm(front), f"{HOME}/{{price_id}}/remove": DeedPage(front, remove)}


class PricesPage:
    """`/admin/prices`."""

    def __init__(self, front: Front) -> None:
        self._front = front

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        work = self._front.enter(req, resp)
        listed = perform(does.LIST, work, does.AllPrices())
        self._front.show(req, resp, "prices/list.html", nav="prices", listed=listed)


class PriceForm:
    """`/admin/prices/new`, for a `model` that the address may name."""

    performs = does.SET

    def __init__(self, front: Front) -> None:
        self._front = front

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        self._front.enter(req, resp, self.performs.role)
        self._show(req, resp, query_of(req, "model"), {})

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        work = self._front.enter(req, resp, self.performs.role)
        fields = Texts(self._front.form(req))
        try:
            self._front.ask(work, does.SET, fields)
        except Refused as refused:
            self._show(req, resp, fields, problems_of(refused, resp))
        else:
            raise see_other(HOME, "price-set")

    def _show(self, req: falcon.Request, resp: falcon.Response, values: Texts, problems: dict[str, str]) -> None:
        self._front.show(req, resp, "prices/form.html", nav="prices", values=values, problems=problems)


def _before_removing(work: Work, params: dict[str, str]) -> Said:
    listed = perform(does.LIST, work, does.AllPrices()).data
    price = next((each for each in listed if each.id == params["price_id"]), None)
    if price is None:
        raise NotFound(f"there is no price {params['price_id']}")
    lines = (
        f"${price.input} for input and ${price.output} for output per million tokens, from {price.since:%Y-%m-%d %H:%M} UTC on.",
        "What held before holds again, within two seconds. What is recorded already keeps its cost.",
    )
    return Said(f"Remove this price of {price.model}?", lines, "Remove", HOME)
