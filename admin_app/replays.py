"""An operation under an `Idempotency-Key`: done once, and answered again without its secrets.

Knows operations and keys, no HTTP beyond a status. Invariants: the answer is kept in the transaction of the change where the
change gives it, so a lost answer never means a second change; nobody gets an answer whose role would not reach to it now.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import msgspec

from admin_app.operation import Nothing, Offer, Shape, Work, check_allowed, perform
from admin_app.secret_fields import without_secrets
from core import idempotency
from core.db import Database, DatabaseAway
from core.idempotency import Asked, Held, Kept

if TYPE_CHECKING:
    from sqlalchemy import Connection

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Answered:
    """`document` is JSON; empty for 204."""

    status: int
    document: bytes
    is_replayed: bool = False


def once(database: Database, asked: Asked, offer: Offer, work: Work, taken: Shape) -> Answered:
    """Raises what `perform` does, and idempotency's OtherRequest, UnderWay, OutcomeUnknown."""
    check_allowed(offer.operation, work.actor, work.now)
    held = database.run(lambda c: idempotency.take(c, asked, work.now))
    if isinstance(held, Kept):
        return Answered(held.status, held.answer.encode(), is_replayed=True)
    keeping = _Keeping(held, offer)
    is_done = False
    try:
        given = perform(offer.operation, replace(work, also=keeping.change), taken)
        is_done = True
    finally:
        if not is_done:
            _tidy(database, held)
    keeping.finish(database, given)
    return Answered(offer.status, document_of(given))


def document_of(given: Any) -> bytes:
    return b"" if isinstance(given, Nothing) else msgspec.json.encode(given)


class _Keeping:
    """What is kept of one run."""

    def __init__(self, held: Held, offer: Offer) -> None:
        self._held = held
        self._offer = offer
        self._kept: Kept | None = None

    def change(self, connection: Connection, result: Any) -> None:
        """Within the change's transaction. What a change in the middle returns is not the answer."""
        if type(result) is self._offer.operation.gives:
            self._kept = self._answer(result)
            idempotency.keep(connection, self._held, self._kept)
        else:
            idempotency.note_change(connection, self._held)

    def finish(self, database: Database, given: Any) -> None:
        """The answer, where no transaction of a change knew it yet."""
        answer = self._answer(given)
        if answer == self._kept:
            return
        try:
            database.run(lambda c: idempotency.keep(c, self._held, answer))
        except (DatabaseAway, idempotency.UnderWay) as error:
            log.warning("what was done under an idempotency key could not be kept: %s", error)

    def _answer(self, given: Any) -> Kept:
        document = b"" if isinstance(given, Nothing) else msgspec.json.encode(without_secrets(given))
        return Kept(self._offer.status, document.decode())


def _tidy(database: Database, held: Held) -> None:
    """Nothing came of it. A key that cannot be given back now is good again when it counts as abandoned."""
    try:
        database.run(lambda c: idempotency.give_back(c, held))
    except DatabaseAway as error:
        log.warning("an idempotency key could not be given back: %s", error)
