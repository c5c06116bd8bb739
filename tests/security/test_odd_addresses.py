"""What no id can be, wherever an address has one: it is nobody's, and no error of ours, on either database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core.actor import Role
from tests.security.house import House, house_at

ODD = {
    "a null byte": "%00",
    "half of a surrogate pair": "%ED%A0%80",
    "no UTF-8": "%FF%FE",
    "a number beyond all columns": "9" * 40,
    "a long text": "x" * 3000,
    "a quote": "%27%20OR%201=1--",
    "a name of SQL's": "%25_%25",
    "a path": "..%2F..%2Fetc%2Fpasswd",
}


@pytest.fixture
def house(database_url: str, tmp_path: Path) -> Iterator[House]:
    opened = house_at(database_url, tmp_path)
    yield opened
    opened.app.close()
    opened.database.close()


@pytest.mark.parametrize("odd", ODD.values(), ids=list(ODD))
def test_an_odd_id_is_nobodys(house: House, odd: str) -> None:
    owner = house.signed_in(Role.OWNER)
    ids: Any = dict.fromkeys(house.furnished.ids, odd)
    with_ids = [route for route in house.routes if "{" in route.path and route.is_known(ids)]

    statuses = {
        f"{method} {route.path}": owner.ask(house.app, method, route.at(ids), {} if method != "GET" else None).status_code
        for route in with_ids
        for method in route.methods
    }
    assert len(statuses) > 40
    assert {asked: status for asked, status in statuses.items() if not 400 <= status < 500} == {}
