"""The product as it runs for a team: real gunicorn workers, strict stand-ins for both upstreams, the real Claude Code CLI.

One server a test file, one user a test; the stand-ins are reset before each test.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from core import access, access_keys, bedrock_keys, users
from core.crypto import open_vault
from core.db import Database, migrate, open_database
from core.local_files import ensure_local
from core.settings import Settings
from core.types import Residency, Strategy
from sandbox.client import Sandbox
from sandbox.product import AS_IN_THE_IMAGE, Product
from tests.installations import with_tables
from tests.live.claude_cli import Ran, run_cli
from tests.live.postgres import Postgres


@dataclass(frozen=True)
class Developer:
    user_id: str
    access_key_id: str
    access_key: str
    base_url: str


@dataclass
class Stack:
    """Both stand-ins, the product in front of them, and its database."""

    anthropic: Sandbox
    bedrock: Sandbox
    product: Product
    database: Database
    settings: Settings
    developers: list[Developer] = field(default_factory=list)

    @property
    def url(self) -> str:
        return self.product.url

    def developer(
        self,
        strategy: str = "plan_first",
        bedrock: str = "bedrock-sandbox",
        expires_at: datetime | None = None,
        budget_micros: int | None = None,
    ) -> Developer:
        """A new user with an access key and, unless `bedrock` is empty, a Bedrock key of that secret."""
        local, now, limits = ensure_local(self.settings), datetime.now(UTC), access.Limits(max_users=1000, max_keys_per_user=10)

        def add(connection: Any) -> tuple[users.User, access_keys.IssuedKey]:
            user = users.add_user(connection, f"user-{uuid4().hex[:12]}", Strategy(strategy), limits, now)
            options = access_keys.KeyOptions(expires_at=expires_at, monthly_budget_micros=budget_micros)
            return user, access_keys.issue_key(connection, user, local.server_secret, limits, now, options)

        user, issued = self.database.run(add)
        if bedrock:
            new = bedrock_keys.NewBedrockKey("us-east-1", Residency.GLOBAL, bedrock)
            sealed = bedrock_keys.seal_bedrock_key(open_vault(self.settings, local), new)
            self.database.run(lambda c: bedrock_keys.attach_bedrock_key(c, user, new, sealed, now))
        developer = Developer(user.id, issued.id, issued.access_key, self.product.base_url(issued.access_key))
        self.developers.append(developer)
        return developer

    def access_line(self, request_id: str) -> dict[str, Any]:
        """The log line of one request."""
        return next(line for line in self.product.access_lines() if line["request_id"] == request_id)

    def plan_posts(self) -> list[dict[str, Any]]:
        return [each for each in self.anthropic.requests() if each["method"] == "POST"]

    def bedrock_posts(self) -> list[dict[str, Any]]:
        return [each for each in self.bedrock.requests() if each["method"] == "POST"]


Install = Callable[[Mapping[str, str]], AbstractContextManager[Product]]


@pytest.fixture(scope="session")
def install(sqlite_template: Path) -> Install:
    """`install(settings)`: a migrated installation, not started. The tables come from this process: the command that makes
    them takes two seconds, and is proven once (test_start.py)."""

    @contextmanager
    def prepared(given: Mapping[str, str]) -> Iterator[Product]:
        with tempfile.TemporaryDirectory(prefix="claude-code-proxy-") as folder, Product(Path(folder), given) as product:
            settings = Settings(data_dir=Path(folder) / "var", database_url=given.get("PROXY_DATABASE_URL", ""))
            if settings.database_url:
                database = open_database(settings, pool_size=1)
                migrate(database)
                database.close()
            else:
                with_tables(settings, sqlite_template)
            yield product

    return prepared


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server of the file's own, to be stopped, frozen and killed."""
    server = Postgres()
    yield server
    server.close()


@pytest.fixture(scope="module")
def product_settings() -> dict[str, str]:
    """What a file's server is started with; a file overrides this fixture."""
    return {}


@pytest.fixture(scope="module")
def anthropic_options() -> tuple[str, ...]:
    return ("--keep-bodies",)


@pytest.fixture(scope="module")
def bedrock_options() -> tuple[str, ...]:
    return ("--keep-bodies",)


@pytest.fixture(scope="module")
def running(
    install: Install, product_settings: dict[str, str], anthropic_options: tuple[str, ...], bedrock_options: tuple[str, ...]
) -> Iterator[Stack]:
    with Sandbox("anthropic", anthropic_options) as anthropic, Sandbox("bedrock", bedrock_options) as bedrock:
        upstreams = {"PROXY_PLAN_URL": anthropic.url, "PROXY_BEDROCK_URL": bedrock.url}
        with install({**upstreams, **product_settings}) as product:
            settings = Settings(data_dir=product.data_dir / "var", database_url=product_settings.get("PROXY_DATABASE_URL", ""))
            database = open_database(settings, pool_size=1)
            product.serving = AS_IN_THE_IMAGE
            product.start()
            yield Stack(anthropic, bedrock, product, database, settings)
            database.close()


@pytest.fixture
def stack(running: Stack) -> Stack:
    running.anthropic.reset()
    running.bedrock.reset()
    return running


ClaudeCode = Callable[..., Ran]


@pytest.fixture
def claude_code(tmp_path: Path) -> ClaudeCode:
    """`claude_code(base_url, prompt, *options, oauth=False, **environment)`: one print-mode run in a scrubbed environment."""

    def run(base_url: str, prompt: str, *options: str, oauth: bool = False, **environment: str) -> Ran:
        return run_cli(tmp_path, base_url, ("-p", prompt, *options), environment, oauth=oauth)

    return run
