"""The catalogue of the moment: the shipped one under the rows that administrators added, taken up at the tick.

Invariant: a catalogue never changes; a new one takes its place, and a request keeps the one it began with. While the
database is away the last one holds.
"""

from __future__ import annotations

import logging

from core.db import Database
from core.model_rows import list_models
from core.revision import Kind
from proxy_app.bedrock.models import ModelCatalogue

log = logging.getLogger(__name__)


class LiveModels:
    """See `proxy_app.bedrock.models.Models`. `changed` listens to the tick."""

    def __init__(self, shipped: ModelCatalogue, database: Database) -> None:
        self._shipped = shipped
        self._database = database
        self._current = shipped

    def current(self) -> ModelCatalogue:
        return self._current

    def changed(self, kind: Kind) -> None:
        """Raises DatabaseAway; the tick calls again."""
        if kind != "models":
            return
        rows = self._database.read(list_models)
        known = self._shipped.known_models()
        for row in rows:
            if row.new.like not in known:
                log.error("a model row is left out", extra={"context": {"row": row.id, "reason": "like an unknown model"}})
        self._current = self._shipped.with_rows(row.new for row in rows)
