"""An installation with one of everything that has an address of its own: what proofs about every page begin with.

Writes rows, knows no page. The keys of what is returned are the names that the route table gives to parts of addresses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection

from admin_app.circuit_operations import circuit_id
from core import access_keys, admins, bedrock_keys, users
from core.access import Limits
from core.actor import Role
from core.circuit_rows import OPEN, CircuitRow, write_circuits
from core.claims import open_claim
from core.crypto import Vault, hash_password
from core.db import Database
from core.ledger import write_batch
from core.model_ids import NewModel
from core.model_rows import add_model
from core.plan_window_rows import write_windows
from core.plan_windows import PlanWindow, PlanWindows
from core.price_rows import set_price
from core.price_terms import PriceTerms, price_row
from core.pricing import load_prices
from core.record import RequestRecord
from core.repairs import REFUSED, Change, RepairRow, Room, write_repairs
from core.types import Residency, Strategy

LIMITS = Limits(max_users=1000, max_keys_per_user=20)
LIKE = "claude-opus-5-5"
PASSWORD = "a sentence that nobody guesses"
ADMIN = "somebody-else"


@dataclass(frozen=True)
class Furnished:
    """`ids`: name of a part of an address -> what stands there. `secrets`: what only its owner may ever see."""

    ids: Mapping[str, str]
    secrets: Mapping[str, str] = field(repr=False)


def furnish(database: Database, vault: Vault, server_secret: str, now: datetime, name: str = "Ada Example") -> Furnished:
    """One user with all that belongs to one, and one of what belongs to nobody."""
    new = bedrock_keys.NewBedrockKey("us-east-1", Residency.GLOBAL, "bedrock-sandbox", None, "the team's account")
    sealed = bedrock_keys.seal_bedrock_key(vault, new)

    def write(connection: Connection) -> Furnished:
        profile = users.Profile("ada@example.com", "from the furnished installation", 250_000_000)
        user = users.add_user(connection, name, Strategy.PLAN_FIRST, LIMITS, now, profile)
        wanted = access_keys.KeyOptions("laptop", now + timedelta(days=90), None, 50_000_000, 600)
        key = access_keys.issue_key(connection, user, server_secret, LIMITS, now, wanted)
        bedrock_keys.attach_bedrock_key(connection, user, new, sealed, now)
        link = open_claim(connection, user, access_keys.KeyOptions("desktop"), server_secret, now)
        ids = {"user_id": user.id, "key_id": key.id, "bedrock_key_id": sealed.id, "claim_id": link.id, "token": link.token}
        ids |= _of_nobody(connection, now) | _traffic(connection, user.id, key.id, sealed.id, now)
        return Furnished(ids, {"access key": key.access_key, "one-time link": link.token})

    return database.run(write)


def _of_nobody(connection: Connection, now: datetime) -> dict[str, str]:
    row = price_row(PriceTerms("claude-opus-5-5", now, Decimal(5), Decimal(25)), load_prices())
    price = set_price(connection, row, now)
    model = add_model(connection, NewModel("claude-of-our-own", "anthropic.claude-opus-5-5", LIKE), {LIKE}, now)
    admin = admins.add_admin(connection, ADMIN, Role.VIEWER, hash_password(PASSWORD, 4), now)
    return {"price_id": price.id, "model_id": model.id, "admin_id": admin.id}


def _traffic(connection: Connection, user_id: str, key_id: str, bedrock_key_id: str, now: datetime) -> dict[str, str]:
    repair = RepairRow(bedrock_key_id, "us-east-1", LIKE, "beta", "some-beta-2026", REFUSED, 0, now, now + timedelta(days=7))
    change = Change(bedrock_key_id, "us-east-1", LIKE, lambda rows: [*rows, repair])
    write_repairs(connection, [change], Room(100, 1000), now)
    circuit = CircuitRow("plan", key_id, "*", OPEN, "plan_exhausted", opened_at=now, until=now + timedelta(hours=3))
    write_circuits(connection, [circuit], now)
    windows = (
        PlanWindow("5h", "allowed", 0.62, now.timestamp() + 7200),
        PlanWindow("7d", "allowed", 0.31, now.timestamp() + 4e5),
    )
    write_windows(connection, {key_id: PlanWindows(now.timestamp(), "allowed", "five_hour", windows=windows)})
    records = [_record(number, user_id, key_id, bedrock_key_id, now) for number in range(30)]
    write_batch(connection, records)
    places = {"repair_id": repair.id, "circuit_id": circuit_id("plan", key_id, "*")}
    return {**places, "request_id": records[0].request_id, "session_id": records[0].session_id}


def _record(number: int, user_id: str, key_id: str, bedrock_key_id: str, now: datetime) -> RequestRecord:
    fell_back = number % 3 == 0
    given: dict[str, Any] = {
        "session_id": "11111111-2222-4333-8444-555555555555",
        "agent_id": "explorer" if number % 4 == 1 else "",
        "provider": "bedrock" if fell_back else "plan",
        "fault": "plan_exhausted" if fell_back else "",
        "trace": "plan:plan_exhausted; bedrock:ok" if fell_back else "plan:ok",
        "model_asked": LIKE,
        "model_served": f"global.anthropic.{LIKE}" if fell_back else LIKE,
        "bedrock_key_id": bedrock_key_id if fell_back else "",
        "streamed": True,
        "status": 529 if number == 7 else 200,
        "input_tokens": 1200 + number,
        "output_tokens": 340,
        "cost_micros": 14_500 if fell_back else 0,
        "list_value_micros": 14_500,
        "first_byte_ms": 412.0,
        "total_ms": 2800.0 + number,
        "overhead_ms": 1.9,
    }
    at = now - timedelta(minutes=7 * number)
    return RequestRecord(f"req_furnished{now:%H%M%S%f}{number:02d}{user_id[-6:]}", at.timestamp(), user_id, key_id, **given)


def utc_now() -> datetime:
    return datetime.now(UTC)
