"""Which circuits a holder of keys is shown: its own and the worker's, whatever else is open."""

from __future__ import annotations

from core.types import ProviderName
from proxy_app.circuits import WORKER_WIDE, CircuitName
from proxy_app.faults import Fault
from tests.proxy_app.circuit_world import NOVA, OPUS, World

OTHER = CircuitName("key-2", ProviderName.PLAN, "opus")
MINE = {"key-1", "bedrock-key-1"}


def test_with_nothing_open_there_is_nothing_to_show() -> None:
    assert World().circuits.views_of(MINE) == []


def test_a_holder_is_shown_the_circuits_of_its_own_keys_alone() -> None:
    world = World()
    world.exhaust()
    world.fail(3, Fault.BEDROCK_ERROR, NOVA)
    world.fail(3, name=OTHER)
    assert {view.name for view in world.circuits.views_of(MINE)} == {OPUS, NOVA}
    assert {view.name for view in world.circuits.views_of({"key-3"})} == set()
    assert {view.name for view in world.circuits.snapshot()} == {OPUS, NOVA, OTHER}


def test_an_outage_of_the_whole_worker_is_shown_to_everybody() -> None:
    world = World()
    for number in range(5):
        world.fail(fault=Fault.PLAN_UNREACHABLE, name=CircuitName(f"out-{number}", ProviderName.PLAN, "opus"))
    assert [view.name for view in world.circuits.views_of(MINE)] == [WORKER_WIDE]
