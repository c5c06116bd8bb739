"""Two servers as a service of two tasks: one database, a load balancer in front, and one of them goes away in every way."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from core.access_keys import revoke_key
from sandbox.product import Product
from tests import machine
from tests.live.asking import ask
from tests.live.balancer import Balancer, balancer, load
from tests.live.leaver import eventually
from tests.live.workers import Seen, at_every_worker, seconds_until

log = logging.getLogger(__name__)  # the figures: pytest -o log_cli=true --log-level=INFO

IN_FORCE_S = 2.0
SHARED_WITHIN_S = 3.0  # a circuit waits for the next tick of its own worker and then for that of each other one, a second each
SECRETS = ("server_secret", "jwt_secret", "vault_key")


@pytest.fixture(scope="module")
def database_of_both(postgres_server: Any) -> Iterator[str]:
    url = postgres_server.migrated()
    yield url
    postgres_server.drop(url)


@pytest.fixture(scope="module")
def product_settings(database_of_both: str) -> dict[str, str]:
    return {
        "PROXY_DATABASE_URL": database_of_both,
        "PROXY_WORKERS": "2",
        "PROXY_DRAIN_S": "20",
        "PROXY_GRACEFUL_TIMEOUT_S": "60",
    }


@dataclass
class Service:
    """Both tasks by name, and what is in front of them."""

    tasks: dict[str, Product]
    front: Balancer

    def bring_back(self, name: str) -> None:
        self.tasks[name].stop()
        self.tasks[name].start()
        self.front.admit(name)

    def at(self, name: str, developer: Any) -> Any:
        return Place(self.tasks[name].base_url(developer.access_key))

    def through(self, developer: Any) -> Any:
        return Place(f"{self.front.url}/ak/{developer.access_key}")


@dataclass
class Place:
    base_url: str


@pytest.fixture(scope="module")
def service(running: Any, product_settings: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Each task has a disk of its own; the secrets are the same."""
    upstreams = {"PROXY_PLAN_URL": running.anthropic.url, "PROXY_BEDROCK_URL": running.bedrock.url}
    with Product(tmp_path_factory.mktemp("two"), {**upstreams, **product_settings}) as second:
        (second.data_dir / "var").mkdir(mode=0o700)
        for name in SECRETS:
            shutil.copy(running.product.data_dir / "var" / name, second.data_dir / "var" / name)
        second.start()
        tasks = {"one": running.product, "two": second}
        with (
            tempfile.TemporaryDirectory(prefix="ha") as folder,  # short: a socket's path has at most 107 characters
            balancer(Path(folder), {name: task.port for name, task in tasks.items()}) as front,
        ):
            yield Service(tasks, front)


def kill(task: Product) -> None:
    """Everything of it at once, as when its machine is gone; returns when it is."""
    workers = task.worker_pids()
    os.killpg(task.pid, signal.SIGKILL)
    task.wait(10)
    eventually(lambda: not any(is_alive(pid) for pid in workers))


def is_alive(pid: int) -> bool:
    """Or a thread of it: until the last one has ended its sockets are open, and the kernel takes connections for it."""
    try:
        threads = len(list(Path(f"/proc/{pid}/task").iterdir()))
        return threads > 1 or Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def end(task: Product) -> int:
    task.signal(signal.SIGTERM)
    return task.wait(90)


@pytest.fixture(autouse=True)
def _both_are_there(service: Service) -> None:
    for name, task in service.tasks.items():
        if not task.is_running:
            service.bring_back(name)


def test_a_key_revoked_through_one_task_is_refused_by_the_other_within_two_seconds(stack: Any, service: Service) -> None:
    developer = stack.developer()
    assert ask(service.through(developer)).came_from_plan
    took = seconds_until(
        at_every_worker(service.tasks.values()),
        developer.access_key,
        lambda: stack.database.run(lambda c: revoke_key(c, developer.access_key_id, datetime.now(UTC))),
        lambda seen: seen == Seen(403, ""),
    )

    log.info("in force after %s s", took)
    assert (len(took), max(took) < IN_FORCE_S) == (4, True), took


def test_a_circuit_opened_by_one_task_spares_the_other_the_plan(stack: Any, service: Service) -> None:
    developer, workers = stack.developer(), at_every_worker(service.tasks.values())
    stack.anthropic.fault("plan_exhausted", times=1, reset=600)
    assert ask(service.at("one", developer)).came_from_bedrock("plan_exhausted")
    began = machine.now()
    eventually(lambda: {worker.ask(developer.access_key) for worker in workers} == {Seen(200, "bedrock")})
    took = machine.now().since(began)
    log.info("in force after %s s", took)
    assert took < SHARED_WITHIN_S

    posts = len(stack.plan_posts())
    assert [ask(service.through(developer)).came_from_bedrock("plan_exhausted") for _ in range(4)] == [True] * 4
    assert len(stack.plan_posts()) == posts


def test_a_task_that_is_killed_costs_no_request_that_begins_after_it(stack: Any, service: Service) -> None:
    with load(service.through(stack.developer())) as traffic:
        kill(service.tasks["two"])
        gone_at = time.monotonic()
        eventually(lambda: len(traffic.began_after(gone_at)) >= 150)

    assert [each.trouble for each in traffic.began_after(gone_at) if each.trouble] == []


def test_a_task_that_is_drained_costs_no_request_at_all(stack: Any, service: Service) -> None:
    """It is told to end in the same moment as the balancer is told to send it nothing more: ECS promises no order."""
    with load(service.through(stack.developer())) as traffic:
        service.front.drain("two")
        assert end(service.tasks["two"]) == 0
        gone_at = time.monotonic()
        eventually(lambda: len(traffic.began_after(gone_at)) >= 50)

    assert (traffic.troubles(), len(traffic.asked) > 150) == ([], True)


def test_a_task_that_ends_by_itself_is_found_out_by_its_health_check_and_costs_no_request(stack: Any, service: Service) -> None:
    with load(service.through(stack.developer())) as traffic:
        assert end(service.tasks["two"]) == 0
        service.front.await_state("two", "DOWN")

    assert (traffic.troubles(), len(traffic.asked) > 100) == ([], True)


def test_all_tasks_replaced_one_after_the_other_under_load_cost_no_request(stack: Any, service: Service) -> None:
    with load(service.through(stack.developer())) as traffic:
        for name, task in service.tasks.items():
            service.front.drain(name)
            assert end(task) == 0
            service.bring_back(name)

    assert (traffic.troubles(), len(traffic.asked) > 200) == ([], True)
