"""Signing in and out, and what admins change of their own accounts, in the audit log.

Invariant: nobody is kept from signing in, or out, because it cannot be written down: the log line of it is there all the same.
Refused attempts are in the log alone, for whoever guesses would fill the table.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any

from core.actor import Actor
from core.audit import Change, record
from core.db import Database, DatabaseAway

log = logging.getLogger(__name__)


class SignInNotes:
    """`note(action, actor, shown)`; what is `shown` may be read by every admin."""

    def __init__(self, database: Database, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now

    def __call__(self, action: str, actor: Actor | None, shown: dict[str, Any]) -> None:
        if actor is None:
            return
        target = str(shown.get("target") or actor.admin_id)
        after = {name: value for name, value in shown.items() if name != "target"}
        change = Change(action, target, {}, after)
        try:
            self._database.run(lambda connection: record(connection, actor, change, self._now()))
        except DatabaseAway as away:
            log.warning("%s is not in the audit log: %s", action, away, extra={"context": {"admin_id": actor.admin_id}})
