"""What can be done or asked in the administration, each declared once: who may, what it takes, what it gives, how.

Pages and the API offer the same operations, and the API's description is made from these declarations, which are also what
validates. Knows no HTTP. Invariants: nobody below the declared role gets in; an operation that is said to be sensitive wants
a password given lately; a change is in the audit log in its own transaction, or it did not happen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from zoneinfo import ZoneInfo

import msgspec

from core import admin_sessions
from core.access import Limits, Refused
from core.actor import Actor, Role
from core.audit import Change, Document, record
from core.budget import month_name
from core.crypto import Vault
from core.db import Database
from core.heartbeat import WorkerSeen
from core.passwords import hash_new_password
from core.ports import BedrockProbe
from core.settings import Settings

if TYPE_CHECKING:
    from sqlalchemy import Connection

T = TypeVar("T")


class Shape(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an operation takes: fields with their limits, and nothing besides."""


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """What an operation gives."""


G = TypeVar("G")


class Listed(msgspec.Struct, Generic[G], frozen=True, kw_only=True):
    """A page of a list. `next_cursor` asks for the page after it; null on the last."""

    data: list[G]
    next_cursor: str | None = None


class Nothing(Shown, frozen=True, kw_only=True):
    """It is done; there is nothing to say."""


class NotAllowed(Refused):
    """The role does not reach so far."""


class NotConfirmed(Refused):
    """The password was not given lately."""


class NotAudited(Exception):
    """A defect: an operation changed something and wrote nothing down."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What operations need besides the database, handed in by the composition root."""

    settings: Settings
    server_secret: str = field(repr=False)
    vault: Vault
    probe: BedrockProbe
    known_models: Callable[[], frozenset[str]]  # the shipped ones
    this_worker: Callable[[], WorkerSeen]
    known_regions: tuple[str, ...] = ()
    # A new password and whose it is to be; raises Invalid. Slow: a worker's own waits beside its event loop.
    hash_password: Callable[[str, str], str] = hash_new_password

    @property
    def limits(self) -> Limits:
        return Limits.of(self.settings)

    def month(self, now: datetime) -> str:
        """The budgets' month ("2026-11") that `now` falls into."""
        return month_name(now, ZoneInfo(self.settings.budget_timezone))

    def base_url(self, access_key: str) -> str:
        """What a developer sets as `ANTHROPIC_BASE_URL`."""
        return f"{self.settings.base_url}/ak/{access_key}"


@dataclass(frozen=True, slots=True)
class Doing:
    """Within one transaction. `note` writes to the audit log; whoever changes something calls it."""

    connection: Connection
    actor: Actor
    now: datetime
    tools: Tools
    noted: list[str] = field(default_factory=list)

    def note(self, action: str, target: str, before: Document, after: Document) -> None:
        record(self.connection, self.actor, Change(action, target, before, after), self.now)
        self.noted.append(action)


@dataclass(frozen=True, slots=True)
class Work:
    """What an operation runs with, outside of any transaction: it may wait for other systems in between.

    `also` is called at the end of each change's transaction with what the change returned.
    """

    database: Database
    actor: Actor
    now: datetime
    tools: Tools
    also: Callable[[Connection, Any], None] | None = field(default=None, repr=False)

    def read(self, ask: Callable[[Doing], T]) -> T:
        """Raises DatabaseAway."""
        return self.database.read(lambda connection: ask(Doing(connection, self.actor, self.now, self.tools)))

    def change(self, do: Callable[[Doing], T]) -> T:
        """Raises DatabaseAway, NotAudited."""

        def audited(connection: Connection) -> T:
            doing = Doing(connection, self.actor, self.now, self.tools)
            result = do(doing)
            if not doing.noted:
                raise NotAudited(f"{do} changed something and noted nothing")
            if self.also is not None:
                self.also(connection, result)
            return result

        return self.database.run(audited)


@dataclass(frozen=True, slots=True)
class Operation:
    """`name` is the API's operationId. `run(work, takes)` returns a `gives`. Raises Refused and its kinds."""

    name: str
    summary: str
    role: Role
    takes: type[Shape]
    gives: Any
    run: Callable[[Work, Any], Any]
    is_sensitive: bool = False


def asks(ask: Callable[[Doing, Any], Any]) -> Callable[[Work, Any], Any]:
    """For an operation that only reads, in one transaction."""
    return lambda work, taken: work.read(lambda doing: ask(doing, taken))


def changes(do: Callable[[Doing, Any], Any]) -> Callable[[Work, Any], Any]:
    """For an operation that changes something, in one transaction."""
    return lambda work, taken: work.change(lambda doing: do(doing, taken))


def perform(operation: Operation, work: Work, taken: Shape) -> Any:
    """The one way to an operation. Raises NotAllowed, NotConfirmed, Refused, DatabaseAway."""
    check_allowed(operation, work.actor, work.now)
    return operation.run(work, taken)


def check_allowed(operation: Operation, actor: Actor, now: datetime) -> None:
    """Raises NotAllowed, NotConfirmed."""
    if not actor.role.includes(operation.role):
        who = "this token" if actor.via == "api_token" else actor.username  # an owner's token may do less than its owner
        raise NotAllowed(f"this needs the role {operation.role}; {who} is {actor.role}")
    if operation.is_sensitive and not is_confirmed(actor, now):
        raise NotConfirmed("confirm with your password first")


def is_confirmed(actor: Actor, now: datetime) -> bool:
    """Whether the password was given within the last ten minutes. The command line and API tokens cannot be asked for one:
    an API token of an owner was made by an owner who was."""
    if actor.via in ("cli", "api_token"):
        return True
    return admin_sessions.is_confirmed(actor, now)


class BadFields(Refused):
    """What was sent has not the declared shape. `problems`: field -> sentence; "" where it belongs to no field."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{name}: {text}" if name else text for name, text in problems.items()))
        self.problems = dict(problems)


@dataclass(frozen=True, slots=True)
class Offer:
    """An operation at an address of the API: `method` and `path` below `/admin/api/v1`; `{name}` in it is a field of `takes`.

    `is_open`: for whoever the allowlist lets in, such as somebody who signs in; `actor` is nobody then, with an address.
    """

    method: str
    path: str
    operation: Operation
    status: int = 200
    tag: str = ""
    is_open: bool = False
