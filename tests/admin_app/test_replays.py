"""Idempotency keys of the API, on both databases: done once, answered as often as it is asked."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated

import pytest
from falcon.testing import Result

from admin_app.operation import Doing, Offer, Operation, Shape, Shown, Work, changes
from admin_app.secret_fields import SECRET
from core import users
from core.access import Limits
from core.actor import Role
from core.db import Database, DatabaseAway, open_database
from core.ids import new_id
from core.settings import Settings
from core.types import Strategy
from tests.admin_app.api_world import ApiWorld

HOUR = 3600.0


class Named(Shape, frozen=True, kw_only=True):
    name: str


class Issued(Shown, frozen=True, kw_only=True):
    id: str
    secret: Annotated[str, SECRET]


def _issue(doing: Doing, taken: Named) -> Issued:
    """Every time another one: no rule about names hides that something was done twice."""
    user = users.add_user(doing.connection, f"{taken.name} {new_id('n')}", Strategy.PLAN_FIRST, Limits(10, 10), doing.now)
    doing.note("user.create", user.id, {}, {"name": user.name})
    return Issued(id=user.id, secret="shown-once")


def _in_pieces(work: Work, taken: Named) -> Issued:
    """As one that waits for another system in between."""
    issued: list[Issued] = []
    work.change(lambda doing: issued.append(_issue(doing, taken)))
    if taken.name == "breaks off":
        raise DatabaseAway("after the change")
    return issued[0]


ISSUE = Offer("POST", "/issued", Operation("issue", "Issue", Role.EDITOR, Named, Issued, changes(_issue)), 201, tag="x")
PIECES = Offer("POST", "/pieces", Operation("pieces", "Pieces", Role.EDITOR, Named, Issued, _in_pieces), 201, tag="x")


@pytest.fixture
def world(database: Database) -> ApiWorld:
    return ApiWorld(database, more=(ISSUE, PIECES))


def names(world: ApiWorld) -> list[str]:
    return [user["name"] for user in world.ask("GET", "/users").json["data"]]


def kind(answer: Result) -> tuple[int, str]:
    return answer.status_code, answer.json["type"].removeprefix("/admin/api#")


def test_sent_twice_it_is_done_once_and_answered_twice(world: ApiWorld) -> None:
    first = world.ask("POST", "/users", {"name": "Ada"}, idempotency_key="k1")
    second = world.ask("POST", "/users", {"name": "Ada"}, idempotency_key="k1")

    assert (first.status_code, first.json) == (second.status_code, second.json)
    assert ("idempotency-replayed" in first.headers, second.headers["idempotency-replayed"]) == (False, "true")
    assert names(world) == ["Ada"]


def test_what_answers_without_a_body_is_replayed_too(world: ApiWorld) -> None:
    user = world.add_user("Ada")

    answers = [world.ask("POST", f"/users/{user['id']}/deactivate", idempotency_key="k1") for _ in range(2)]

    assert [answer.json["status"] for answer in answers] == ["inactive", "inactive"]


def test_a_change_by_patch_takes_a_key_as_well(world: ApiWorld) -> None:
    user = world.add_user("Ada")

    world.ask("PATCH", f"/users/{user['id']}", {"note": "x"}, idempotency_key="k1")
    again = world.ask("PATCH", f"/users/{user['id']}", {"note": "x"}, idempotency_key="k1")

    assert again.headers["idempotency-replayed"] == "true"


@pytest.mark.parametrize("path", ["/issued", "/pieces"])
def test_a_secret_is_told_once_and_kept_nowhere(world: ApiWorld, path: str) -> None:
    first = world.ask("POST", path, {"name": "Ada"}, idempotency_key="k1")
    second = world.ask("POST", path, {"name": "Ada"}, idempotency_key="k1")

    assert (first.json["secret"], second.json) == ("shown-once", {**first.json, "secret": None})
    kept = world.database.read(lambda c: str(c.exec_driver_sql("SELECT * FROM idempotency_keys").all()))
    assert "shown-once" not in kept
    assert "Ada" not in kept


def test_the_same_key_for_another_body_is_refused(world: ApiWorld) -> None:
    world.ask("POST", "/users", {"name": "Ada"}, idempotency_key="k1")

    assert kind(world.ask("POST", "/users", {"name": "Bob"}, idempotency_key="k1")) == (422, "key-reused")
    assert names(world) == ["Ada"]


def test_the_same_key_for_another_address_is_refused(world: ApiWorld) -> None:
    world.ask("POST", "/users", {"name": "Ada"}, idempotency_key="k1")

    assert kind(world.ask("POST", "/issued", {"name": "Ada"}, idempotency_key="k1")) == (422, "key-reused")


def test_the_same_key_of_another_admin_is_another_key(world: ApiWorld) -> None:
    world.ask("POST", "/users", {"name": "Ada"}, idempotency_key="k1")
    other = world.ask("POST", "/users", {"name": "Bob"}, token="editor", idempotency_key="k1")

    assert other.status_code == 201


def test_what_was_refused_can_be_tried_again_with_the_same_key(world: ApiWorld) -> None:
    user = world.add_user("Ada")
    refused = world.ask("POST", "/users", {"name": "Ada"}, idempotency_key="k1")

    world.ask("PATCH", f"/users/{user['id']}", {"name": "Bob"})
    again = world.ask("POST", "/users", {"name": "Ada"}, idempotency_key="k1")

    assert (kind(refused), again.status_code) == ((409, "conflict"), 201)


def test_whoever_lost_the_role_is_not_answered_again(world: ApiWorld) -> None:
    world.ask("POST", "/users", {"name": "Ada"}, token="editor", idempotency_key="k1")
    world.bearers.actors["editor"] = world.bearers.actors["viewer"]

    assert kind(world.ask("POST", "/users", {"name": "Ada"}, token="editor", idempotency_key="k1")) == (403, "not-allowed")


def test_after_a_day_a_key_is_new_again(world: ApiWorld) -> None:
    first = world.ask("POST", "/users", {"name": "Ada"}, idempotency_key="k1")
    world.now += 24 * HOUR + 1

    later = world.ask("POST", "/users", {"name": "Bob"}, idempotency_key="k1")

    assert (first.status_code, later.status_code) == (201, 201)


@pytest.mark.parametrize("key", ["with space", "x" * 201, "caf\xe9"])
def test_a_key_has_1_to_200_visible_characters(world: ApiWorld, key: str) -> None:
    assert kind(world.ask("POST", "/users", {"name": "Ada"}, idempotency_key=key)) == (400, "unreadable")


def test_without_a_key_nothing_is_kept(world: ApiWorld) -> None:
    world.ask("POST", "/users", {"name": "Ada"})

    assert world.database.read(lambda c: c.exec_driver_sql("SELECT * FROM idempotency_keys").all()) == []


def test_a_lost_answer_does_not_double_what_was_done_in_pieces(world: ApiWorld) -> None:
    broken = world.ask("POST", "/pieces", {"name": "breaks off"}, idempotency_key="k1")
    world.now += HOUR

    again = world.ask("POST", "/pieces", {"name": "breaks off"}, idempotency_key="k1")

    assert (kind(broken), kind(again)) == ((503, "away"), (409, "outcome-unknown"))
    assert len(names(world)) == 1


class Crossing:
    """An operation that waits, within or before its change, until the test lets it go on."""

    def __init__(self) -> None:
        self.arrived = threading.Event()
        self.may_go = threading.Event()

    def offer(self) -> Offer:
        return Offer("POST", "/slow", Operation("slow", "Slow", Role.EDITOR, Named, Issued, self._run), 201, tag="x")

    def _run(self, work: Work, taken: Named) -> Issued:
        self.arrived.set()
        self.may_go.wait(20)
        issued: Issued = work.change(lambda doing: _issue(doing, taken))
        return issued


def crossing_world(database: Database, now: float) -> tuple[ApiWorld, Crossing]:
    crossing = Crossing()
    return ApiWorld(database, more=(crossing.offer(),), now=now), crossing


def test_of_two_at_once_one_works_and_the_other_is_told_so(database: Database, world: ApiWorld) -> None:
    slow, crossing = crossing_world(database, world.now)
    with ThreadPoolExecutor() as pool:
        first = pool.submit(slow.ask, "POST", "/slow", {"name": "Ada"}, idempotency_key="k1")
        crossing.arrived.wait(20)
        second = slow.ask("POST", "/slow", {"name": "Ada"}, idempotency_key="k1")
        crossing.may_go.set()

    assert (first.result().status_code, kind(second)) == (201, (409, "under-way"))
    assert slow.ask("POST", "/slow", {"name": "Ada"}, idempotency_key="k1").json["id"] == first.result().json["id"]
    assert len(names(world)) == 1


def test_whoever_was_given_up_and_overtaken_cannot_change_anything_any_more(database: Database, world: ApiWorld) -> None:
    slow, crossing = crossing_world(database, world.now)
    later, quick = crossing_world(database, world.now + HOUR)
    quick.may_go.set()
    with ThreadPoolExecutor() as pool:
        first = pool.submit(slow.ask, "POST", "/slow", {"name": "Ada"}, idempotency_key="k1")
        crossing.arrived.wait(20)
        overtaking = pool.submit(later.ask, "POST", "/slow", {"name": "Ada"}, idempotency_key="k1")
        overtaking.result()
        crossing.may_go.set()

    assert overtaking.result().status_code == 201
    assert kind(first.result()) == (409, "under-way")
    assert len(names(world)) == 1


def test_twenty_at_once_do_it_once(database_url: str, world: ApiWorld) -> None:
    """Each with a connection: who waits two seconds for one is told that the database is away, and that is another proof."""
    database = open_database(Settings(database_url=database_url), pool_size=20)
    many = ApiWorld(database, more=world.more)
    with ThreadPoolExecutor(20) as pool:
        asked = [pool.submit(many.ask, "POST", "/issued", {"name": "Ada"}, idempotency_key="k1") for _ in range(20)]
        answers = [each.result() for each in asked]
    database.close()

    told = [answer for answer in answers if answer.status_code == 201]
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len({answer.json["id"] for answer in told}) == 1
    assert [answer.json["secret"] for answer in told].count("shown-once") == 1
    assert len(names(world)) == 1
