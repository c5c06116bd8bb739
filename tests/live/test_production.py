"""The product as in production: every secret in Secrets Manager, Bedrock keys under KMS, a database that wants a password.

A real moto server stands for AWS, a real PostgreSQL for Aurora. The database's password is rotated beside a running server.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from core.db import open_database
from core.settings import Settings
from sandbox.client import Sandbox
from sandbox.product import NotStarted, Product, temporary_product
from tests import machine
from tests.live.asking import ask
from tests.live.cloud import Cloud
from tests.live.conftest import Developer, Stack
from tests.live.leaver import eventually
from tests.live.postgres import Postgres
from tests.live.workers import at_every_worker

log = logging.getLogger(__name__)  # the figures: pytest -o log_cli=true --log-level=INFO

LOGIN = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": "us-east-1"}
PASSWORD_HASH = "$2b$12$" + "x" * 53
READ_AGAIN_S = 5.0  # a secret is read at most so often


@dataclass
class Site:
    """One installation in production, and its surroundings."""

    cloud: Cloud
    postgres: Postgres
    database_secret: str
    settings: dict[str, str]
    stack: Stack

    @property
    def product(self) -> Product:
        return self.stack.product

    def developer(self) -> Developer:
        """On the Plan alone, added without the command line, which takes its time to ask AWS first."""
        return self.stack.developer(bedrock="")

    def asked_at_every_worker(self, developer: Developer) -> set[int]:
        return {worker.ask(developer.access_key).status for worker in at_every_worker([self.product])}

    def change_password(self, password: str) -> None:
        """In the database alone; who is connected is not any more."""
        self.postgres.command(f"ALTER ROLE proxy PASSWORD '{password}'")
        self.postgres.command("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'proxy'")

    def change_secret(self, password: str) -> None:
        self.cloud.change(self.database_secret, json.dumps({"username": "proxy", "password": password}))


@dataclass
class Holder:
    """Somebody with this access key."""

    base_url: str


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    made = Cloud()
    yield made
    made.server.stop()


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    server = Postgres()
    server.command("CREATE ROLE proxy LOGIN PASSWORD 'password-1'")
    server.command("CREATE DATABASE proxy OWNER proxy")
    server.demand_password("proxy")
    yield server
    server.close()


@pytest.fixture(scope="module")
def site(cloud: Cloud, postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    database = cloud.keep("database", '{"username": "proxy", "password": "password-1"}')
    both = cloud.keep("proxy", json.dumps({"server": "s" * 40, "jwt": "j" * 40}))
    with Sandbox("anthropic") as anthropic, Sandbox("bedrock") as bedrock:
        settings = {
            **LOGIN,
            "AWS_ENDPOINT_URL": cloud.url,
            "PROXY_ENVIRONMENT": "production",
            "PROXY_PUBLIC_URL": "https://proxy.example.com",
            "PROXY_PLAN_URL": anthropic.url,
            "PROXY_BEDROCK_URL": bedrock.url,
            "PROXY_SERVER_SECRET": f"{both}:server::",
            "PROXY_JWT_SECRET": f"{both}:jwt::",
            "PROXY_ADMIN_PASSWORD_HASH": cloud.keep("admin", PASSWORD_HASH),
            "PROXY_KMS_KEY_ID": cloud.kms_key,
            "PROXY_DATABASE_HOST": postgres.host,
            "PROXY_DATABASE_NAME": "proxy",
            "PROXY_DATABASE_SECRET": database,
            "PROXY_WORKERS": "2",
            "PROXY_GRANT_TTL_S": "1",
        }
        with temporary_product(settings) as product:
            product.start()
            ours = Settings(
                data_dir=tmp_path_factory.mktemp("ours"), server_secret="s" * 40, database_url=postgres.url_of("proxy")
            )
            opened = open_database(ours, pool_size=1)
            yield Site(cloud, postgres, database, settings, Stack(anthropic, bedrock, product, opened, ours))
            opened.close()


def statuses(developer: Developer, seconds: float) -> set[int]:
    until, seen = time.monotonic() + seconds, set[int]()
    while time.monotonic() < until:
        seen.add(ask(developer).status)
    return seen


def seconds_until(found: Callable[[], bool]) -> float:
    """Without those in which the machine was held up."""
    began = machine.now()
    eventually(found)
    return machine.now().since(began)


def test_a_server_whose_secrets_are_all_in_aws_serves_from_both_upstreams(site: Site) -> None:
    on_bedrock = site.product.add_developer("bob", strategy="bedrock_only")

    assert ask(site.developer()).came_from_plan
    assert ask(Holder(site.product.base_url(on_bedrock))).came_from_bedrock("")


def test_it_makes_no_secret_of_its_own_and_tells_none(site: Site) -> None:
    told = site.product.log_path.read_text()

    assert sorted(path.name for path in (site.product.data_dir / "var").iterdir()) == ["metrics", "spool"]
    assert [secret for secret in ("s" * 40, "j" * 40, PASSWORD_HASH, "password-1", "bedrock-sandbox") if secret in told] == []


def test_a_rotated_database_password_is_in_force_without_a_restart(site: Site) -> None:
    known, new, workers = site.developer(), site.developer(), site.product.worker_pids()
    assert ask(known).came_from_plan
    site.change_secret("password-2")
    site.change_password("password-2")

    took = seconds_until(lambda: site.asked_at_every_worker(new) == {200})  # unknown to them: they must ask the database
    log.info("in force after %s s", took)
    assert took < READ_AGAIN_S
    assert statuses(known, 1.0) == {200}
    assert site.product.worker_pids() == workers


def test_between_the_two_steps_of_a_rotation_known_keys_are_served_and_unknown_ones_told_to_come_again(site: Site) -> None:
    """AWS changes the password first and the secret some seconds later."""
    known, unknown = site.developer(), site.developer()
    assert site.asked_at_every_worker(known) == {200}
    site.change_password("password-3")

    assert statuses(known, 3.0) == {200}
    assert ask(unknown).status == 503
    site.change_secret("password-3")
    assert seconds_until(lambda: ask(unknown).status == 200) < READ_AGAIN_S + 3


WRONG = {
    "PROXY_SERVER_SECRET": "arn:aws:secretsmanager:us-east-1:123456789012:secret:nowhere-AbCdEf",
    "PROXY_JWT_SECRET": ":no-such-key::",
    "PROXY_DATABASE_SECRET": "",
}


def test_a_start_lists_every_secret_that_it_cannot_use(site: Site) -> None:
    both = site.settings["PROXY_SERVER_SECRET"].removesuffix(":server::")
    wrong = {**WRONG, "PROXY_JWT_SECRET": both + ":no-such-key::", "PROXY_DATABASE_SECRET": both}
    said = refused(site, wrong)

    assert [name for name in WRONG if f"{name}: " in said] == list(WRONG)
    assert "ResourceNotFoundException" in said and "must be JSON" in said
    assert "s" * 40 not in said


def test_a_start_without_secrets_manager_ends_within_seconds_and_says_so(site: Site) -> None:
    began = machine.now()
    said = refused(site, {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"})

    named = ("SERVER_SECRET", "JWT_SECRET", "ADMIN_PASSWORD_HASH", "DATABASE_SECRET")
    assert [name for name in named if f"PROXY_{name}: arn:" in said] == list(named)
    assert machine.now().since(began) < 20


def refused(site: Site, changes: dict[str, str]) -> str:
    with pytest.raises(NotStarted) as caught, temporary_product({**site.settings, **changes}):
        pass
    return str(caught.value)


def test_a_worker_that_dies_while_aws_is_away_is_replaced_by_one_that_serves(site: Site) -> None:
    """The password is the one of the server's start."""
    site.product.stop()
    site.product.start()
    developer = site.developer()
    before = site.product.worker_pids()
    with away(site):
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        eventually(lambda: len(set(site.product.worker_pids()) - set(before)) == 2)
        eventually(lambda: ask_or_none(developer) == 200)

        assert site.asked_at_every_worker(developer) == {200}


def test_a_worker_that_dies_after_a_rotation_while_aws_is_away_is_replaced_by_one_with_the_new_password(site: Site) -> None:
    """What one worker has read of the secret, each that comes later begins with."""
    site.change_secret("password-4")
    site.change_password("password-4")
    new = site.developer()
    eventually(lambda: site.asked_at_every_worker(new) == {200})
    with away(site):
        before = site.product.worker_pids()
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        eventually(lambda: len(set(site.product.worker_pids()) - set(before)) == 2)
        unknown = site.developer()
        eventually(lambda: ask_or_none(unknown) == 200)

        assert site.asked_at_every_worker(unknown) == {200}


def test_a_password_that_no_worker_has_read_before_aws_went_away_is_in_force_soon_after_aws_is_back(site: Site) -> None:
    """Nobody can know it. Workers go on with the grants they have; one that is new has none, and says: come again."""
    known = site.developer()
    assert site.asked_at_every_worker(known) == {200}
    site.change_secret("password-5")
    with away(site):
        site.change_password("password-5")
        assert statuses(known, 2.0) == {200}
        [victim, other] = site.product.worker_pids()
        os.kill(victim, signal.SIGKILL)
        eventually(lambda: len(set(site.product.worker_pids()) - {victim, other}) == 1)
        eventually(lambda: asked_once_all_are_there(site, known) == {200, 503}, 60)

    assert seconds_until(lambda: asked_once_all_are_there(site, known) == {200}) < READ_AGAIN_S + 5


def asked_once_all_are_there(site: Site, developer: Developer) -> set[int]:
    """Empty while a worker that was just begun does not take connections yet."""
    try:
        return site.asked_at_every_worker(developer)
    except (AssertionError, OSError):
        return set()


@contextmanager
def away(site: Site) -> Iterator[None]:
    site.cloud.leave()
    yield
    site.cloud.come_back()


def ask_or_none(developer: Developer) -> int:
    try:
        return ask(developer).status
    except OSError:
        return 0
