"""A second server beside the one of a module: the same PostgreSQL database, the same secrets, the same upstreams.

Fixtures to import; `product_settings` of the module says what both are started with, `database_of_both` among it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from sandbox.product import Product


@pytest.fixture(scope="module")
def database_of_both(postgres_server: Any) -> Iterator[str]:
    url = postgres_server.migrated()
    yield url
    postgres_server.drop(url)


@pytest.fixture(scope="module")
def neighbour(running: Any, product_settings: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """A second server with the same database and the same secrets."""
    upstreams = {"PROXY_PLAN_URL": running.anthropic.url, "PROXY_BEDROCK_URL": running.bedrock.url}
    secrets = {"PROXY_DATA_DIR": str(running.product.data_dir / "var")}
    with Product(tmp_path_factory.mktemp("neighbour"), {**upstreams, **product_settings, **secrets}) as product:
        product.start()
        yield product
