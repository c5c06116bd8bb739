"""Texts that would run, in each text field of each declared operation and of each form, and then every page that can show them,
read as a browser reads it: they are text there, and nothing else. The same for formulas in what spreadsheets open.

Fields come from the declarations and the pages: a new one is tried without a word here. test_script_injection.py does the same
for some of it in a real browser.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
from sqlalchemy import text

from core.actor import Role
from core.admin_sessions import Caller
from core.ledger import write_batch
from core.record import RequestRecord
from tests.admin_app.route_table import Route
from tests.admin_app.whole_app import PASSWORD
from tests.core.office import NOW
from tests.security.house import House, Visitor, open_house
from tests.security.markup import Markup
from tests.security.payloads import PAYLOADS
from tests.security.texts import Programme, Reader, declared_fields, text_names

FORMULAS = ("=1+1", "+1+1", "-1+1", "@SUM(A1)", '=HYPERLINK("//evil.example")', "\t=1+1")
FILES = ("/admin/users.csv", "/admin/keys.csv", "/admin/sessions.csv", "/admin/usage.csv?group=model&range=24h")
# One for each place that a text can stand in: content, title, raw text, both kinds of quotes, an address, a comment, a template.
PLACES = (
    "<script>xss()</script>",
    "</title></textarea></option></select><img src=/xss onerror=xss()>",
    '" onmouseover="xss()" autofocus onfocus="xss()" x="',
    "' onmouseover='xss()' autofocus onfocus='xss()' x='",
    "javascript:xss()",
    "--><script>xss()</script><!--",
    "{{ 7 * 7 }}{% for x in () %}{{ self.__init__.__globals__ }}",
)
_TABLES = {
    "user_id": "users",
    "key_id": "access_keys",
    "bedrock_key_id": "bedrock_keys",
    "admin_id": "admins",
    "price_id": "prices",
    "model_id": "models",
    "claim_id": "claims",
}
_OF_CLIENTS = ("session_id", "agent_id", "parent_agent_id", "fault", "trace", "model_asked", "model_served", "error_type")


class Filled:
    """A house in which every text is one of these, and what came of filling each operation."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.statuses: dict[str, list[int]] = {}
        self.programme = signed_in(house)
        self.sound = {
            offer.operation.name: self.programme.ask(offer, self.programme.sound(offer)).status_code
            for offer in house.app.offers
            if offer.method != "GET" and text_names(offer.operation) and not offer.is_open and "{" not in offer.path
        }
        for offer in house.app.offers:
            if offer.method in ("POST", "PATCH") and text_names(offer.operation) and not offer.is_open:
                self.statuses[offer.operation.name] = self.programme.fill(offer, (*PLACES[1:], *PAYLOADS, *FORMULAS))
        house.database.run(lambda c: write_batch(c, list(requests(house.furnished.ids))))
        for payload in PLACES:
            house.database.run(
                lambda c, payload=payload: house.app.doorkeeper.credentials.begin_session(
                    c, house.admins[Role.EDITOR], Caller("10.0.0.1", payload)
                )
            )

    def ids(self) -> Iterator[Mapping[str, str]]:
        """The furnished ids, with each thing in turn that was made."""
        known = self.house.furnished.ids
        yield known
        for name, table in _TABLES.items():
            ask = f"SELECT id FROM {table}"
            for row in self.house.database.read(lambda c, ask=ask: c.execute(text(ask)).all()):
                yield {**known, name: str(row[0])}
        for payload in PLACES:
            yield {**known, "session_id": quote(payload, safe="")}


def requests(ids: Mapping[str, str]) -> Iterator[RequestRecord]:
    """What clients made up: sessions, agents, models."""
    for number, payload in enumerate((*PAYLOADS, *FORMULAS, *PLACES)):
        plain = RequestRecord(f"req_xss{number}", NOW.timestamp() - number, ids["user_id"], ids["key_id"], status=200)
        yield replace(plain, provider="plan", cost_micros=5, **dict.fromkeys(_OF_CLIENTS, payload))


def signed_in(house: House) -> Programme:
    offers = {offer.operation.name: offer for offer in house.app.offers}
    given = Programme(house, "").ask(offers["createToken"], {"username": "the-owner", "password": PASSWORD})
    return Programme(house, given.json["access_token"])


@pytest.fixture
def programme(sqlite_template: Path, tmp_path: Path) -> Iterator[Programme]:
    """In a house of its own, for `filled` ends tokens, too."""
    house = open_house(sqlite_template, tmp_path)
    yield signed_in(house)
    house.app.close()
    house.database.close()


@pytest.fixture(scope="module")
def filled(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    house = open_house(sqlite_template, tmp_path_factory.mktemp("texts"), max_users=9000, max_keys_per_user=9000)
    yield Filled(house)
    house.app.close()
    house.database.close()


@pytest.fixture
def reader(filled: Filled) -> Reader:
    return Reader(filled.house, filled.house.signed_in(Role.OWNER))


def shown(filled: Filled) -> list[Route]:
    return [route for route in filled.house.routes if "GET" in route.methods and not route.is_file]


def pages(filled: Filled) -> list[str]:
    """Each with each thing that was made."""
    return sorted({route.at(ids) for ids in filled.ids() for route in shown(filled)})


def test_each_operation_that_takes_a_text_was_served_with_one(filled: Filled) -> None:
    """Or there would be nothing to see: an operation that is new here needs a sound value in tests/security/texts.py."""
    assert len(declared_fields(filled.house)) >= 40
    assert {name: code for name, code in filled.sound.items() if code >= 400} == {}
    strict = {"createAdmin", "addModel", "setPrice"}  # their texts have a form that none of these has
    tried = {name: codes for name, codes in filled.statuses.items() if codes}
    assert len(tried) >= 10
    assert {name for name, codes in tried.items() if not any(code < 300 for code in codes)} <= strict
    assert {name: codes for name, codes in filled.statuses.items() if any(code >= 500 for code in codes)} == {}


def test_on_every_page_every_text_is_text(filled: Filled, reader: Reader) -> None:
    read: set[str] = set()
    for path in pages(filled):
        page = reader.see(path)
        read |= {each for each in PAYLOADS if page and page.holds(each)}

    print(f"{reader.pages} pages")
    assert reader.breaches == {}
    assert set(PAYLOADS) - read == set()


def test_no_form_gives_a_text_back_as_anything_else(filled: Filled, reader: Reader) -> None:
    """All fields at once, and for filters each alone, too; what follows a change is looked at as well."""
    found = list(reader.forms([route.at(filled.house.furnished.ids) for route in shown(filled)]))

    for path, form in found:
        for payload in PLACES:
            reader.send(path, form, dict.fromkeys(form.texts, payload))
            for name in form.texts if form.method == "GET" else ():
                reader.send(path, form, {name: payload})

    print(f"{len(found)} forms, {reader.pages} pages")
    assert len(found) >= 20
    assert reader.breaches == {}


def test_no_address_brings_a_text_into_a_page_as_anything_else(filled: Filled, reader: Reader) -> None:
    """Each part of an address, and each name that any declared operation or page takes from a query."""
    names = {field.name for field in declared_fields(filled.house)} | {"notice", "next", "find", "page", "sort"}
    for route in shown(filled):
        for payload in PLACES:
            sent = quote(payload, safe="")
            parts = route.at(dict.fromkeys(filled.house.furnished.ids, sent))
            reader.see(f"{parts}?{'&'.join(f'{name}={sent}' for name in sorted(names))}")

    assert reader.pages > 200
    assert reader.breaches == {}


@pytest.mark.parametrize("visitor", ["nobody", "from a wrong address"])
def test_who_is_not_let_in_gets_no_text_back_either(filled: Filled, visitor: str) -> None:
    who = Visitor() if visitor == "nobody" else Visitor(address="203.0.113.9")
    reader = Reader(filled.house, who)
    for payload in PLACES:
        sent = quote(payload, safe="")
        reader.look("/", who.ask(filled.house.app, "GET", f"/admin/{sent}?next={sent}"))
        reader.see(f"/admin/login?next={sent}")
        reader.see(f"/claim/{sent}")
        reader.see("/admin/login", {"username": payload, "password": payload, "next": payload, "totp": payload})

    assert reader.breaches == {}


def test_a_link_shows_whose_it_is_as_text_and_so_does_the_key_that_it_gives(programme: Programme) -> None:
    offers = {offer.operation.name: offer for offer in programme.house.app.offers}
    reader = Reader(programme.house, Visitor())
    for payload in PLACES:
        user = programme.ask(offers["createUser"], {"name": f"{payload} of a link"})
        made = programme.ask(offers["createLink"], {"user_id": user.json["id"], "name": payload})
        link = urlsplit(made.json["url"]).path
        reader.see(link)
        reader.see(link, {"button": "pressed"})

    assert (reader.pages, reader.breaches) == (2 * len(PLACES), {})


def test_what_the_api_says_is_never_taken_for_a_page(programme: Programme) -> None:
    offers = [offer for offer in programme.house.app.offers if offer.method == "GET"]
    answers = [
        programme.ask(offer, dict.fromkeys(text_names(offer.operation), text)) for offer in offers for text in ("", PLACES[0])
    ]

    assert {answer.headers["content-type"].partition(";")[0] for answer in answers} == {
        "application/json",
        "application/problem+json",
    }
    assert {answer.headers["x-content-type-options"] for answer in answers} == {"nosniff"}


@pytest.mark.parametrize(
    "path", ["/admin/users.csv", "/admin/keys.csv", "/admin/sessions.csv", "/admin/usage.csv?group=model&range=24h"]
)
def test_a_spreadsheet_finds_no_formula_in_any_cell(filled: Filled, path: str) -> None:
    owner = filled.house.signed_in(Role.OWNER)

    answer = owner.ask(filled.house.app, "GET", path)
    rows = list(csv.reader(io.StringIO(answer.text)))

    assert (answer.status_code, answer.headers["content-type"].partition(";")[0], len(rows) > 10) == (200, "text/csv", True)
    assert [cell for row in rows for cell in row if cell.startswith(("=", "+", "-", "@", "\t", "\r"))] == []
    assert any(cell.endswith("1+1") for row in rows for cell in row)


@pytest.mark.parametrize("payload", [each for each in PAYLOADS if re.search(r"<[a-zA-Z/]| on\w+=", each)])
def test_the_measure_sees_a_text_that_runs(payload: str) -> None:
    """In one of the places where somebody could forget to escape it: or finding nothing would prove nothing."""
    careless = (
        f"<p>{payload}</p>",
        f'<p title="{payload}">',
        f"<p title='{payload}'>",
        f"<title>{payload}</title>",
    )

    assert any(Markup(page).breaches for page in careless)
