"""Everything about one user, or about one access key, as their pages show it: each in one transaction.

For the pages; the API offers the parts. Invariant: at most seven queries, whatever the tables hold.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from admin_app.access_key_operations import KeyShown, TheKey
from admin_app.access_key_operations import shown as key_shown
from admin_app.bedrock_key_operations import BedrockKeyShown
from admin_app.bedrock_key_operations import shown as bedrock_shown
from admin_app.claim_operations import LinkShown
from admin_app.claim_operations import shown as link_shown
from admin_app.operation import Doing, Operation, asks
from admin_app.plan_view import LOOKED_BACK, PlanView, plan_view
from admin_app.user_operations import TheUser, UserShown
from admin_app.user_operations import shown as user_shown
from core.actor import Role
from core.bedrock_key_list import BedrockFilter, bedrock_lines
from core.budget import Month, month_of
from core.circuit_rows import CircuitRow, circuits_of
from core.claims import open_claims
from core.key_list import KeyFilter, key_line, key_lines
from core.owner_report import ModelSums, OwnRequest, requests_of, usage_of
from core.plan_window_rows import plan_of
from core.reports import Sums
from core.user_list import user_line

_MOST_KEYS, _MOST_BEDROCK_KEYS, _MOST_LINKS, _MOST_REQUESTS = 50, 50, 20, 10


@dataclass(frozen=True, slots=True)
class Use:
    """This month's sums by model, all together, and the latest requests."""

    month: Month
    models: tuple[ModelSums, ...]
    total: Sums
    requests: tuple[OwnRequest, ...]


@dataclass(frozen=True, slots=True)
class UserWhole:
    """`more_keys`: there are more than are listed here."""

    user: UserShown
    keys: tuple[KeyShown, ...]
    more_keys: bool
    bedrock_keys: tuple[BedrockKeyShown, ...]
    links: tuple[LinkShown, ...]
    plan: PlanView | None
    use: Use


@dataclass(frozen=True, slots=True)
class KeyWhole:
    """`bedrock_keys`: its own, and those of its user that all their keys may use. `circuits`: open ones, of all of these."""

    key: KeyShown
    bedrock_keys: tuple[BedrockKeyShown, ...]
    circuits: tuple[CircuitRow, ...]
    plan: PlanView | None
    use: Use


def _user(doing: Doing, taken: TheUser) -> UserWhole:
    connection, now = doing.connection, doing.now
    month = _month(doing)
    line = user_line(connection, taken.user_id, now, month.name)
    keys = key_lines(connection, KeyFilter(user_id=taken.user_id), now, month.name, _MOST_KEYS)
    attached = bedrock_lines(connection, BedrockFilter(user_id=taken.user_id), _MOST_BEDROCK_KEYS)
    links = open_claims(connection, now, _MOST_LINKS, taken.user_id)
    plan = plan_of(connection, now - LOOKED_BACK, user_id=taken.user_id)
    return UserWhole(
        user=user_shown(line),
        keys=tuple(key_shown(each, now) for each in keys.lines),
        more_keys=keys.has_more,
        bedrock_keys=tuple(bedrock_shown(each, now) for each in attached.lines),
        links=tuple(map(link_shown, links.lines)),
        plan=plan_view(plan, now),
        use=_use(doing, month, user_id=taken.user_id),
    )


def _key(doing: Doing, taken: TheKey) -> KeyWhole:
    connection, now = doing.connection, doing.now
    month = _month(doing)
    line = key_line(connection, taken.key_id, month.name)
    attached = bedrock_lines(connection, BedrockFilter(usable_by=taken.key_id), _MOST_BEDROCK_KEYS)
    holders = (taken.key_id, *(each.id for each in attached.lines))
    return KeyWhole(
        key=key_shown(line, now),
        bedrock_keys=tuple(bedrock_shown(each, now) for each in attached.lines),
        circuits=tuple(circuits_of(connection, holders, now)),
        plan=plan_view(plan_of(connection, now - LOOKED_BACK, access_key_id=taken.key_id), now),
        use=_use(doing, month, access_key_id=taken.key_id),
    )


def _use(doing: Doing, month: Month, **whose: str) -> Use:
    models = usage_of(doing.connection, _hour(month.begins), month.ends, **whose)
    return Use(month, models, _total(models), requests_of(doing.connection, _MOST_REQUESTS, **whose))


def _month(doing: Doing) -> Month:
    return month_of(doing.now, ZoneInfo(doing.tools.settings.budget_timezone))


def _hour(moment: datetime) -> datetime:
    """Hourly sums cannot be cut: in zones half an hour off, the month begins with a whole hour."""
    return moment.replace(minute=0, second=0, microsecond=0)


def _total(models: tuple[ModelSums, ...]) -> Sums:
    counted = ("requests", "errors", "fallbacks", "input_tokens", "output_tokens", "cost_micros", "list_value_micros")
    return Sums("", *(sum(getattr(each.sums, name) for each in models) for name in counted))


USER = Operation("getUserWhole", "All about a user", Role.VIEWER, TheUser, UserWhole, asks(_user))
KEY = Operation("getAccessKeyWhole", "All about an access key", Role.VIEWER, TheKey, KeyWhole, asks(_key))
