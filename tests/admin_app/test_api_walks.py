"""Every list of the API to its end, with pages of any size, while rows come and go: nothing twice, nothing left out.

The lists are those of the table of offers: one that is new is walked through as soon as it says what its rows are (`stocks`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from random import Random

import msgspec
import pytest

from admin_app.api_routes import OFFERS
from admin_app.operation import Offer
from core.db import Database
from tests.admin_app.api_world import ApiWorld
from tests.admin_app.stocks import STOCKS, Stock, furnish

SEEDS = range(2)
ROWS = 20


def _is_list(offer: Offer) -> bool:
    """A page of a list, or a whole one."""
    return {"data", "next_cursor"} <= {each.name for each in msgspec.inspect.type_info(offer.operation.gives).fields}  # type: ignore[attr-defined]


def _sorts(offer: Offer) -> list[str]:
    """As the query says them; one that says nothing where there is but one order."""
    fields = {each.name: each.type for each in msgspec.structs.fields(offer.operation.takes)}
    return [f"sort={each}" for each in fields["sort"]] if "sort" in fields else [""]


LISTS = [offer for offer in OFFERS if offer.method == "GET" and offer.operation.gives is not None and _is_list(offer)]
PAGED = [offer for offer in LISTS if "cursor" in offer.operation.takes.__struct_fields__]
WHOLE = {"listPrices", "listMySessions", "listMyApiTokens", "listAdminSessions", "listAdminApiTokens"}


@dataclass(frozen=True)
class Walk:
    """Through one list in one order."""

    offer: Offer
    sort: str

    @property
    def stock(self) -> Stock:
        return STOCKS[self.offer.operation.name]

    def __str__(self) -> str:
        return f"{self.offer.operation.name} {self.sort}".strip()

    def address(self, *more: str) -> str:
        return f"{self.offer.path}?{'&'.join(filter(None, (self.sort, self.stock.query, *more)))}"

    def pages(self, world: ApiWorld, chance: Random, between: Callable[[], object]) -> Iterator[list[str]]:
        cursor: str | None = ""
        while cursor is not None:
            answer = world.ask("GET", self.address(f"limit={chance.randrange(1, 8)}", f"cursor={cursor}"))
            assert answer.status_code == 200, answer.text
            yield [each[self.stock.name] for each in answer.json["data"]]
            cursor = answer.json["next_cursor"]
            between()


WALKS = [Walk(offer, sort) for offer in PAGED for sort in _sorts(offer)]


@dataclass
class Crowd:
    """Rows that stay, and rows that come and go."""

    database: Database
    stock: Stock
    chance: Random
    made: int = 0

    def put(self, count: int) -> list[str]:
        made = [f"{self.chance.randrange(10**6):06}_{self.made + each}" for each in range(count)]  # anywhere in an order of ids
        self.made += count
        self.database.run(lambda c: [self.stock.put(c, row_id, self.chance) for row_id in made])
        return made

    def take(self, row_ids: list[str]) -> None:
        self.database.run(lambda c: [self.stock.take(c, row_id) for row_id in row_ids])


@pytest.fixture
def world(database: Database) -> ApiWorld:
    furnish(database)
    return ApiWorld(database)


def cursor_of(world: ApiWorld, walk: Walk, seed: int = 1) -> str:
    Crowd(world.database, walk.stock, Random(seed)).put(3)
    cursor: str = world.ask("GET", walk.address("limit=1")).json["next_cursor"]
    return cursor


def test_every_list_is_walked_through_or_is_known_to_be_short() -> None:
    assert {offer.operation.name for offer in PAGED} == STOCKS.keys()
    assert {offer.operation.name for offer in LISTS} == STOCKS.keys() | WHOLE
    assert all("limit" in offer.operation.takes.__struct_fields__ for offer in PAGED)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("walk", WALKS, ids=str)
def test_what_was_there_throughout_is_listed_once_while_rows_come_and_go(world: ApiWorld, walk: Walk, seed: int) -> None:
    chance = Random(seed)
    crowd = Crowd(world.database, walk.stock, chance)
    stay, go = crowd.put(ROWS), crowd.put(ROWS)

    def come_and_go() -> None:
        crowd.put(chance.randrange(3))
        crowd.take([go.pop() for _ in range(min(len(go), chance.randrange(3)))])

    found = Counter(each for page in walk.pages(world, chance, come_and_go) for each in page)

    assert {each: found[each] for each in stay} == dict.fromkeys(stay, 1)
    assert max(found.values()) == 1


@pytest.mark.parametrize("walk", WALKS, ids=str)
def test_a_cursor_of_another_list_order_or_filter_is_refused(world: ApiWorld, walk: Walk) -> None:
    mine = cursor_of(world, walk)
    others = [replace(walk, offer=other.offer, sort=other.sort) for other in WALKS if other != walk]
    foreign = "".join(other.address(f"cursor={mine}") + "\n" for other in others).split()

    refused = {world.ask("GET", each).status_code for each in foreign}

    assert refused == {400}
    assert world.ask("GET", walk.address(f"cursor={mine}", "limit=2")).status_code == 200


@pytest.mark.parametrize("walk", WALKS, ids=str)
def test_a_cursor_that_was_changed_or_made_elsewhere_is_refused_as_a_problem(world: ApiWorld, walk: Walk) -> None:
    mine = cursor_of(world, walk)
    changed = ["x", "****", "%C3%A4", "WzFd", mine[:-1], f"{mine}A", f"{'B' if mine[0] == 'A' else 'A'}{mine[1:]}"]

    answers = [world.ask("GET", walk.address(f"cursor={each}")) for each in changed]

    assert {answer.status_code for answer in answers} == {400}
    assert {answer.headers["content-type"] for answer in answers} == {"application/problem+json"}
    assert {answer.json["type"] for answer in answers} == {"/admin/api#bad-cursor"}
    assert {str(answer.json["errors"]) for answer in answers} == {
        "{'cursor': 'is not a next_cursor of this list with these filters in this order'}"
    }


def test_a_cursor_is_bound_to_the_filters_it_was_made_for(world: ApiWorld) -> None:
    mine = cursor_of(world, next(walk for walk in WALKS if walk.sort == "sort=newest"))

    answers = [world.ask("GET", f"/access-keys?{each}&cursor={mine}") for each in ("search=x", "user_id=usr_1", "status=active")]

    assert {answer.status_code for answer in answers} == {400}
