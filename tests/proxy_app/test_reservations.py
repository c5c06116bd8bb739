"""What is reserved for a paid request is let go once, whatever its end, and not before what it cost is on record."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import cast

import pytest

from core.spend_rows import Owner
from core.types import ProviderName, Strategy
from proxy_app.call import Call
from proxy_app.circuits import Circuits
from proxy_app.faults import Fault
from proxy_app.gateway import Gateway
from proxy_app.spending import Reservation, Spending
from proxy_app.upstream_socket import Severed
from tests.proxy_app.test_gateway import CATALOGUE, World, call, failing, reply
from tests.proxy_app.test_relay import DELTA, ERROR, START, STOP, USED, Scene, broken, stream


@dataclass
class Purse:
    """Stands where `Spending` does. `held` are reservations, `let_go_at` what `watch` said when one ended."""

    held: list[Reservation] = field(default_factory=list)
    let_go_at: list[int] = field(default_factory=list)
    watch: Callable[[], int] = lambda: 0

    def reserve(self, _: Call) -> Reservation:
        reservation = Reservation(Owner("usr-1", "key-1"), 5, cast(Spending, self))
        self.held.append(reservation)
        return reservation

    def let_go(self, reservation: Reservation) -> None:
        self.held.remove(reservation)
        self.let_go_at.append(self.watch())


@pytest.fixture
def purse() -> Purse:
    return Purse()


@pytest.fixture
def world(purse: Purse) -> World:
    world = World()
    world.bedrock.metered = True
    circuits = Circuits(clock=lambda: 1.0, wall=lambda: 1.0, digest_key=b"digest")
    world.gateway = Gateway((world.plan, world.bedrock), circuits, CATALOGUE, lambda: 1.0, purse.reserve)
    return world


def test_an_answer_that_is_paid_for_holds_its_reservation(world: World, purse: Purse) -> None:
    opened = world.gateway.open(call(Strategy.BEDROCK_ONLY))
    assert purse.held == [opened.reservation]


def test_the_plan_reserves_nothing(world: World, purse: Purse) -> None:
    assert (world.gateway.open(call()).reservation, purse.held, purse.let_go_at) == (None, [], [])


@pytest.mark.parametrize("end", [failing(Fault.BEDROCK_ERROR), Severed(), MemoryError()], ids=["refusal", "cut", "error of ours"])
def test_where_no_answer_comes_nothing_stays_reserved(world: World, purse: Purse, end: BaseException) -> None:
    world.bedrock.says = [end]
    with suppress(MemoryError):
        world.gateway.open(call(Strategy.BEDROCK_ONLY))
    assert (purse.held, purse.let_go_at) == ([], [0])


def test_each_attempt_of_a_request_has_a_reservation_of_its_own(world: World, purse: Purse) -> None:
    world.plan.says = [failing(Fault.PLAN_EXHAUSTED)]
    world.bedrock.says = [failing(Fault.BEDROCK_ERROR), reply(ProviderName.BEDROCK)]
    world.gateway.open(call())
    world.gateway.open(call())
    assert (len(purse.held), purse.let_go_at) == (1, [0])


SCENES = {
    "whole": lambda: stream(START, DELTA, USED, STOP),
    "broken off": lambda: stream(START, DELTA, breaks=broken()),
    "ended early": lambda: stream(START, DELTA),
    "an error": lambda: stream(START, ERROR),
    "empty": lambda: stream(),
}


@pytest.mark.parametrize("scene_of", SCENES.values(), ids=SCENES.keys())
def test_a_reservation_ends_with_its_answer_and_behind_its_record(purse: Purse, scene_of: Callable[[], Scene]) -> None:
    scene = scene_of()
    relay = scene.relay()
    purse.watch = lambda: len(scene.books.records)
    relay._opened.reservation = purse.reserve(relay._call)
    list(relay)
    relay.close()
    assert (purse.held, purse.let_go_at) == ([], [1])


def test_a_reservation_ends_with_a_client_who_leaves(purse: Purse) -> None:
    scene = stream(START, DELTA, USED, STOP)
    relay = scene.relay()
    relay._opened.reservation = purse.reserve(relay._call)
    next(iter(relay))
    relay.close()
    relay.close()
    assert (purse.held, purse.let_go_at) == ([], [0])
