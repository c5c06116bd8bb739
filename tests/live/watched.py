"""The product as a user runs it, with a watcher inside each worker (`hub_gaps.py`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from sandbox.product import Product
from tests.live.hub_gaps import FOLDER, Gaps


class WatchedProduct(Product):
    serving = ("gunicorn", "-c", "tests/live/watched_gunicorn.py", "wsgi:create_app()")


@contextmanager
def watched_product(folder: Path, settings: Mapping[str, str]) -> Iterator[tuple[WatchedProduct, Gaps]]:
    """Running, on a database that is migrated."""
    gaps = Gaps(folder / "gaps")
    product = WatchedProduct(folder, {**settings, FOLDER: str(folder / "gaps")})
    with product:
        product.start()
        yield product, gaps
