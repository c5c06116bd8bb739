"""The audit log as admins read it: the declaration of the one question there is (SPEC section 11). Nobody can change it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from admin_app.cursors import after_of, listed
from admin_app.fields import Cursor, Limit, Moment, Text, utc
from admin_app.operation import Doing, Listed, Offer, Operation, Shape, Shown, asks
from core.actor import Role
from core.audit import Entry, Filter, entries


class AuditEntry(Shown, frozen=True, kw_only=True):
    """One change: who, by what means, from where, and what was before and after. Only what differs is in it."""

    id: str
    at: datetime
    admin_id: str
    username: str
    via: str
    address: str
    action: str
    target: str
    before: dict[str, Any]
    after: dict[str, Any]


class FindEntries(Shape, frozen=True, kw_only=True):
    """The latest first. `action` is a noun ("access_key") or noun and verb ("access_key.rotate")."""

    admin_id: Text = ""
    action: Text = ""
    target: Text = ""
    since: Moment | None = None
    until: Moment | None = None
    limit: Limit = 50
    cursor: Cursor = ""


def _find(doing: Doing, taken: FindEntries) -> Listed[AuditEntry]:
    wanted = Filter(taken.admin_id, taken.action, taken.target, utc(taken.since), utc(taken.until))
    return listed(doing, taken, entries(doing.connection, wanted, taken.limit, after_of(doing, taken)), _shown)


def _shown(entry: Entry) -> AuditEntry:
    return msgspec.convert(entry, AuditEntry, from_attributes=True)


LIST = Operation("listAuditEntries", "Read the audit log", Role.VIEWER, FindEntries, Listed[AuditEntry], asks(_find))

OFFERS = (Offer("GET", "/audit", LIST, tag="Audit log"),)
