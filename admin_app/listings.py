"""What the command line shows of users and keys: a document for programs, a table for people, CSV for spreadsheets.

Pure. Invariant: nothing secret is in it; of a key only its first characters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from admin_app.exports import Row, as_csv, as_table, csv_heading, csv_rows
from core.access_keys import AccessKey
from core.admins import Admin
from core.bedrock_keys import AttachedBedrockKey, expiry_warning
from core.model_rows import ModelRow
from core.price_rows import StoredPrice
from core.pricing import Rates
from core.repairs import RepairRow
from core.session_list import SessionLine
from core.users import User


@dataclass(frozen=True, slots=True)
class Listing:
    """Rows of one kind. `details` are columns that only programs and spreadsheets get, `money` those of US dollars."""

    rows: list[Row]
    columns: tuple[str, ...]
    if_empty: str
    details: frozenset[str] = frozenset()
    money: frozenset[str] = frozenset({"monthly_budget_usd"})

    @property
    def table(self) -> str:
        names = [name for name in self.columns if name not in self.details]
        shown = [{name: dollars(row[name]) if name in self.money else row[name] for name in names} for row in self.rows]
        return as_table(shown, self.if_empty)

    @property
    def csv(self) -> str:
        return as_csv(self.rows, self.columns)

    @property
    def heading(self) -> str:
        """The first line of `csv`; `csv_rows` are the others."""
        return csv_heading(self.columns)

    @property
    def csv_rows(self) -> str:
        return csv_rows(self.rows, self.columns)


_USER = ("id", "name", "strategy", "status", "monthly_budget_usd", "email", "note", "created_at")
_ACCESS_KEY = (
    "id", "user", "prefix", "name", "status", "strategy", "monthly_budget_usd", "requests_per_minute", "expires_at",
    "last_seen_at", "last_seen_address", "old_secret_until", "user_id", "revoked_at", "created_at",
)  # fmt: skip
_BEDROCK_KEY = (
    "id", "user_id", "access_key_id", "name", "region", "residency", "health", "reason", "tested_at", "expires_at", "warning",
    "created_at",
)  # fmt: skip


_PRICE = (
    "id",
    "model",
    "from",
    "input",
    "output",
    "cache_write_5m",
    "cache_write_1h",
    "cache_read",
    "geo_factor",
    "us_gov_factor",
)
_REPAIR = ("id", "bedrock_key_id", "region", "model", "kind", "name", "standing", "learned_at", "expires_at")
_SESSION = (
    "session_id", "user_id", "user", "access_key_id", "prefix", "key", "first_at", "last_at", "agents", "requests", "errors",
    "fallbacks", "plan", "bedrock", "input_tokens", "output_tokens", "cost_usd", "list_value_usd", "fault", "fell_back_at",
)  # fmt: skip
_ADMIN = ("id", "username", "role", "status", "managed", "second_factor", "last_sign_in_at", "created_at")
_MODEL = ("id", "model", "bedrock", "prefixes", "like", "context_window", "max_output", "bedrock_key_id", "created_at")


def of_admins(admins: Sequence[Admin]) -> Listing:
    rows = [
        {"id": each.id, "username": each.username, "role": each.role.value, "status": each.status.value,
         "managed": each.is_managed, "second_factor": each.has_totp, "last_sign_in_at": _time(each.last_sign_in_at),
         "created_at": _time(each.created_at)}
        for each in admins
    ]  # fmt: skip
    if_empty = "There are no admins yet: the managed owner is written down when the server starts."
    return Listing(rows, _ADMIN, if_empty)


def of_users(users: Sequence[User]) -> Listing:
    rows = [of_user(user) for user in users]
    return Listing(rows, _USER, "There are no users yet. Add one: python -m admin_app user add NAME", frozenset({"note"}))


def of_user(user: User) -> Row:
    profile, budget = user.profile, usd(user.profile.monthly_budget_micros)
    values = (user.strategy.value, user.status.value, budget, profile.email, profile.note)
    return dict(zip(_USER, (user.id, user.name, *values, _time(user.created_at)), strict=True))


def of_access_keys(keys: Sequence[AccessKey], now: datetime) -> Listing:
    rows = [_of_access_key(key, now) for key in keys]
    hidden = frozenset({"user_id", "revoked_at", "old_secret_until", "monthly_budget_usd", "requests_per_minute", "strategy"})
    return Listing(rows, _ACCESS_KEY, "There are no keys yet. Issue one: python -m admin_app key issue --user NAME", hidden)


def of_bedrock_keys(keys: Sequence[AttachedBedrockKey], now: datetime) -> Listing:
    rows = [
        {"id": each.key.id, "user_id": each.user_id, "access_key_id": each.access_key_id, "name": each.name,
         "region": each.key.region, "residency": each.key.residency.value, "health": each.key.health.value,
         "reason": each.health_reason, "tested_at": _time(each.tested_at), "expires_at": _time(each.expires_at),
         "warning": expiry_warning(each.expires_at, now), "created_at": _time(each.created_at)}
        for each in keys
    ]  # fmt: skip
    if_empty = "There are no Bedrock keys yet. Attach one: python -m admin_app bedrock-key add --help"
    return Listing(rows, _BEDROCK_KEY, if_empty)


def of_models(models: Sequence[ModelRow]) -> Listing:
    rows = [
        {"id": each.id, "model": each.new.model, "bedrock": each.new.bedrock, "prefixes": ",".join(each.new.prefixes),
         "like": each.new.like, "context_window": each.new.context_window, "max_output": each.new.max_output,
         "bedrock_key_id": each.new.bedrock_key_id, "created_at": _time(each.created_at)}
        for each in models
    ]  # fmt: skip
    return Listing(rows, _MODEL, "Nothing was added to the shipped models. Add one: python -m admin_app model add --help")


def of_repairs(repairs: Sequence[RepairRow]) -> Listing:
    rows = [
        {"id": row.id, "bedrock_key_id": row.bedrock_key_id, "region": row.region, "model": row.model, "kind": row.kind,
         "name": row.name, "standing": row.standing, "learned_at": moment(row.learned_at), "expires_at": moment(row.expires_at)}
        for row in repairs
    ]  # fmt: skip
    return Listing(rows, _REPAIR, "Nothing was learned, or all of it has expired.")


def of_prices(prices: Sequence[StoredPrice]) -> Listing:
    rows = [
        {"id": each.id, "model": each.price.model, "from": moment(datetime.fromtimestamp(each.price.since, UTC)),
         **{name: str(getattr(each.price.rates, name)) for name in Rates.__slots__},
         "geo_factor": str(each.price.geo_factor), "us_gov_factor": str(each.price.us_gov_factor)}
        for each in prices
    ]  # fmt: skip
    if_empty = "The shipped prices hold. Set one: python -m admin_app price set --help"
    return Listing(rows, _PRICE, if_empty, money=frozenset(Rates.__slots__))


def of_sessions(sessions: Sequence[SessionLine]) -> Listing:
    rows = [
        {"session_id": each.session_id, "user_id": each.user_id, "user": each.user_name, "access_key_id": each.access_key_id,
         "prefix": each.prefix, "key": each.key_name, "first_at": moment(each.first_at), "last_at": moment(each.last_at),
         **{name: getattr(each, name) for name in _SESSION[8:16]}, "cost_usd": usd(each.cost_micros),
         "list_value_usd": usd(each.list_value_micros), "fault": each.fault, "fell_back_at": _time(each.fell_back_at)}
        for each in sessions
    ]  # fmt: skip
    hidden = frozenset({"user_id", "access_key_id", "key", "errors", "fallbacks", "first_at", "fell_back_at"})
    return Listing(rows, _SESSION, "There are no sessions.", hidden)


def usd(micros: int | None) -> str | None:
    """Exact, in dollars: 50, 0.25. None: no budget."""
    return None if micros is None else f"{(Decimal(micros) / 1_000_000).normalize():f}"


def dollars(amount: str | None) -> str | None:
    """As people read it in a column, exactly: 50.00, 0.25, 0.375. None: none."""
    if amount is None:
        return None
    value = Decimal(amount).normalize()
    exponent = value.as_tuple().exponent
    return f"{value:.{max(2, -exponent if isinstance(exponent, int) else 2)}f}"


def _of_access_key(key: AccessKey, now: datetime) -> Row:
    options, grace = key.options, key.previous_valid_until
    return {
        "id": key.id, "user_id": key.user_id, "user": key.user_name, "prefix": key.prefix, "name": options.name,
        "status": key.status(now), "strategy": options.strategy.value if options.strategy else None,
        "monthly_budget_usd": usd(options.monthly_budget_micros), "requests_per_minute": options.requests_per_minute,
        "expires_at": _time(options.expires_at), "last_seen_at": _time(key.last_seen.at),
        "last_seen_address": key.last_seen.address, "revoked_at": _time(key.revoked_at),
        "old_secret_until": _time(grace if grace is not None and grace > now else None), "created_at": _time(key.created_at),
    }  # fmt: skip


def moment(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def _time(time: datetime | None) -> str | None:
    return None if time is None else moment(time)
