"""Rows for each list of the API, put in and taken out behind its back, at places of the list that nobody can foresee."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any

from sqlalchemy import Connection, Table, delete, insert, update

from core.admin_models import admins, audit
from core.admins import new_row
from core.circuit_rows import OPEN, CircuitRow, close_circuit, write_circuits
from core.db import Database
from core.ledger import write_batch
from core.models import access_keys, bedrock_keys, claims, repairs, requests, users
from core.record import RequestRecord
from core.spend_models import spend_monthly
from core.types import UserStatus
from tests.core.office import NOW

Values = dict[str, Any]
_TIMES = {"created_at": NOW, "updated_at": NOW}
_USER = {"strategy": "plan_first", "status": "active"}


@dataclass(frozen=True)
class Stock:
    """`put` adds a row of this id; `take` takes it out of the list. `name` is that of the id in the list's answer."""

    put: Callable[[Connection, str, Random], Any]
    take: Callable[[Connection, str], Any]
    name: str = "id"
    query: str = ""


def furnish(database: Database) -> None:
    """The users and keys that rows belong to."""
    people = [{"id": f"usr_{n}", "name": f"owner {n}", **_USER, **_TIMES} for n in range(3)]
    database.run(lambda c: c.execute(insert(users), people))
    database.run(lambda c: c.execute(insert(access_keys), [_key("key_0", "usr_0")]))


def _moment(chance: Random) -> datetime:
    """One of few, so that many rows have the same."""
    return NOW + timedelta(hours=chance.randrange(1, 5))


def _key(key_id: str, user_id: str) -> Values:
    return {"id": key_id, "user_id": user_id, "prefix": "ak_000000", "secret_hash": f"hash {key_id}", **_TIMES}


def _put_user(connection: Connection, row_id: str, chance: Random) -> None:
    name = f"{chance.choice('aBcÄ')} {row_id}"
    made = {"created_at": _moment(chance), "updated_at": NOW}
    connection.execute(insert(users), [{"id": row_id, "name": name, **_USER, **made}])
    if chance.random() < 0.7:
        _put_key_of(connection, f"key_{row_id}", row_id, chance)


def _put_key(connection: Connection, row_id: str, chance: Random) -> None:
    _put_key_of(connection, row_id, f"usr_{chance.randrange(3)}", chance)


def _put_key_of(connection: Connection, row_id: str, user_id: str, chance: Random) -> None:
    seen, ends = (chance.choice((None, _moment(chance))) for _ in range(2))
    connection.execute(insert(access_keys), [{**_key(row_id, user_id), "last_seen_at": seen, "expires_at": ends}])
    if chance.random() < 0.7:
        spent = {"month": f"{NOW:%Y-%m}", "access_key_id": row_id, "user_id": user_id, "cost_micros": chance.randrange(3)}
        connection.execute(insert(spend_monthly), [spent])


def _put_bedrock_key(connection: Connection, row_id: str, chance: Random) -> None:
    whose = {"user_id": "usr_0", "access_key_id": chance.choice((None, "key_0"))}
    place = {"region": "us-east-1", "residency": "global", "sealed": b"x", "health": "healthy"}
    connection.execute(insert(bedrock_keys), [{"id": row_id, **whose, **place, **_TIMES}])


def _put_link(connection: Connection, row_id: str, chance: Random) -> None:
    whose = {"user_id": f"usr_{chance.randrange(3)}", "token_hash": f"hash {row_id}"}
    connection.execute(insert(claims), [{"id": row_id, **whose, "expires_at": _moment(chance), "created_at": NOW}])


def _put_request(connection: Connection, row_id: str, chance: Random, session_id: str = "") -> None:
    started_s = _moment(chance).timestamp()
    write_batch(connection, [RequestRecord(row_id, started_s, "usr_0", "key_0", status=200, session_id=session_id)])


def _put_session(connection: Connection, row_id: str, chance: Random) -> None:
    for number in range(chance.randrange(1, 3)):
        _put_request(connection, f"req_{row_id}_{number}", chance, row_id)


def _put_entry(connection: Connection, row_id: str, chance: Random) -> None:
    who = {"admin_id": "adm_1", "username": "eve", "via": "session", "address": "", "action": "user.update", "target": ""}
    connection.execute(insert(audit), [{"id": row_id, "at": _moment(chance), **who, "before": "{}", "after": "{}"}])


def _put_admin(connection: Connection, row_id: str, chance: Random) -> None:
    connection.execute(insert(admins), [{**new_row(f"{chance.choice('aBc')}{row_id}", "viewer", "hash", NOW), "id": row_id}])  # type: ignore[arg-type]


def _put_circuit(connection: Connection, row_id: str, chance: Random) -> None:
    opened = chance.choice((None, _moment(chance)))
    write_circuits(connection, [CircuitRow("plan", row_id, "*", OPEN, opened_at=opened, until=NOW + timedelta(days=1))], NOW)


def _take_circuit(connection: Connection, row_id: str) -> None:
    close_circuit(connection, "plan", row_id, "*", NOW)


def _put_repair(connection: Connection, row_id: str, chance: Random) -> None:
    place = {"bedrock_key_id": f"bdk_{chance.randrange(2)}", "region": "us-east-1", "model": f"model {chance.randrange(2)}"}
    what = {"kind": chance.choice(("beta", "field")), "name": row_id, "standing": "refused", "cohort": 0}
    times = {"learned_at": NOW, "expires_at": _moment(chance)}
    connection.execute(insert(repairs), [{"id": row_id, **place, **what, **times}])


def _gone(table: Table, column: str = "id") -> Callable[[Connection, str], Any]:
    return lambda connection, row_id: connection.execute(delete(table).where(table.c[column] == row_id))


def _marked(table: Table, **values: Any) -> Callable[[Connection, str], Any]:
    return lambda connection, row_id: connection.execute(update(table).where(table.c.id == row_id).values(**values))


STOCKS = {
    "listUsers": Stock(_put_user, _marked(users, status=UserStatus.DELETED)),
    "listAccessKeys": Stock(_put_key, _marked(access_keys, revoked_at=NOW)),
    "listBedrockKeys": Stock(_put_bedrock_key, _marked(bedrock_keys, deleted_at=NOW)),
    "listLinks": Stock(_put_link, _gone(claims)),
    "listRequests": Stock(_put_request, _gone(requests, "request_id"), "request_id"),
    "listClaudeSessions": Stock(_put_session, _gone(requests, "session_id"), "session_id", "user_id=usr_0"),
    "listAuditEntries": Stock(_put_entry, _gone(audit)),
    "listAdmins": Stock(_put_admin, _gone(admins)),
    "listCircuits": Stock(_put_circuit, _take_circuit, "holder"),
    "listRepairs": Stock(_put_repair, _gone(repairs, "name"), "name"),
}
