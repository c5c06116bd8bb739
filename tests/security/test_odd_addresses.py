"""What no id can be, wherever an address has one: it is nobody's, and no error of ours, on either database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

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


def test_an_odd_id_is_nobodys(house: House) -> None:
    owner, names = house.signed_in(Role.OWNER), house.furnished.ids
    with_ids = [route for route in house.routes if "{" in route.path and route.is_known(names)]

    answers = {
        f"{method} {route.path} with {what}": owner.ask(house.app, method, route.at(dict.fromkeys(names, odd)), form_of(method))
        for what, odd in ODD.items()
        for route in with_ids
        for method in route.methods
    }
    assert len(answers) > 40 * len(ODD)
    assert {asked: answer.status for asked, answer in answers.items() if not 400 <= answer.status_code < 500} == {}


def form_of(method: str) -> dict[str, str] | None:
    return None if method == "GET" else {}
