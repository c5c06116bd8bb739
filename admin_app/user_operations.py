"""What admins do with users: the declarations, and what each does through core (SPEC sections 8, 11)."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from msgspec import UNSET, UnsetType

from admin_app.cursors import after_of, listed
from admin_app.edits import Edit, as_texts
from admin_app.fields import Cursor, Id, Limit, LongText, Name, Text, Usd, micros, usd
from admin_app.operation import Doing, Listed, Nothing, Offer, Operation, Shape, Shown, asks, changes
from core import users
from core.actor import Role
from core.types import Strategy, UserStatus
from core.user_list import UserFilter, UserLine, UserSort, user_line, user_lines
from core.users import Profile, User


class UserShown(Shown, frozen=True, kw_only=True):
    """A developer. `spent_this_month_usd` is what their keys spent on Bedrock in the budgets' month."""

    id: str
    name: str
    email: str
    note: str
    strategy: Strategy
    status: UserStatus
    monthly_budget_usd: Decimal | None
    spent_this_month_usd: Decimal
    active_keys: int
    bedrock_keys: int
    troubled_bedrock_keys: int
    last_seen_at: datetime | None
    created_at: datetime


class FindUsers(Shape, frozen=True, kw_only=True):
    """Users that are not deleted, unless `status` asks for those. `search` looks at name, e-mail and note."""

    search: Text = ""
    status: UserStatus | None = None
    strategy: Strategy | None = None
    sort: UserSort = UserSort.NAME
    limit: Limit = 50
    cursor: Cursor = ""


class TheUser(Shape, frozen=True, kw_only=True):
    user_id: Id


FORM = ("name", "email", "strategy", "monthly_budget_usd", "note")


class NewUser(Shape, frozen=True, kw_only=True):
    name: Name
    strategy: Strategy = Strategy.PLAN_FIRST
    monthly_budget_usd: Usd | None = None
    email: Text = ""
    note: LongText = ""


class ChangedUser(Shape, frozen=True, kw_only=True):
    """What is not named stays as it is; a budget of null is none."""

    user_id: Id
    name: Name | UnsetType = UNSET
    strategy: Strategy | UnsetType = UNSET
    monthly_budget_usd: Usd | UnsetType | None = UNSET
    email: Text | UnsetType = UNSET
    note: LongText | UnsetType = UNSET


def _find(doing: Doing, taken: FindUsers) -> Listed[UserShown]:
    wanted, month = UserFilter(taken.search, taken.status, taken.strategy, taken.sort), doing.tools.month(doing.now)
    page = user_lines(doing.connection, wanted, doing.now, month, taken.limit, after_of(doing, taken))
    return listed(doing, taken, page, shown)


def _get(doing: Doing, taken: TheUser) -> UserShown:
    return _shown(doing, taken.user_id)


def _add(doing: Doing, taken: NewUser) -> UserShown:
    profile = Profile(taken.email, taken.note, micros(taken.monthly_budget_usd, "monthly_budget_usd"))
    user = users.add_user(doing.connection, taken.name, taken.strategy, doing.tools.limits, doing.now, profile)
    doing.note("user.create", user.id, {}, noted(user))
    return _shown(doing, user.id)


def _change(doing: Doing, taken: ChangedUser, edit: Edit | None = None) -> UserShown:
    def changed(user: User) -> User:
        if edit is not None:
            edit.check(form_of(user))
        return _changed(user, taken)

    before = users.find_user(doing.connection, taken.user_id)
    after = users.change_user(doing.connection, before.id, changed, doing.now)
    doing.note("user.update", after.id, noted(before), noted(after))
    return _shown(doing, after.id)


def _activate(doing: Doing, taken: TheUser) -> UserShown:
    return _set_status(doing, taken, "activate", users.activate_user)


def _deactivate(doing: Doing, taken: TheUser) -> UserShown:
    return _set_status(doing, taken, "deactivate", users.deactivate_user)


def _delete(doing: Doing, taken: TheUser) -> Nothing:
    before = users.find_user(doing.connection, taken.user_id)
    users.delete_user(doing.connection, before.id, doing.now)
    doing.note("user.delete", before.id, noted(before), {})
    return Nothing()


def _set_status(doing: Doing, taken: TheUser, verb: str, set_status: Any) -> UserShown:
    before = users.find_user(doing.connection, taken.user_id)
    set_status(doing.connection, before.id, doing.now)
    after = users.find_user(doing.connection, before.id)
    doing.note(f"user.{verb}", before.id, noted(before), noted(after))
    return _shown(doing, after.id)


def _changed(user: User, taken: ChangedUser) -> User:
    given = {name: getattr(taken, name) for name in ("name", "strategy") if getattr(taken, name) is not UNSET}
    of_profile = {name: getattr(taken, name) for name in ("email", "note") if getattr(taken, name) is not UNSET}
    if taken.monthly_budget_usd is not UNSET:
        of_profile["monthly_budget_micros"] = micros(taken.monthly_budget_usd, "monthly_budget_usd")
    return replace(user, **given, profile=replace(user.profile, **of_profile))


def _shown(doing: Doing, user_id: str) -> UserShown:
    return shown(user_line(doing.connection, user_id, doing.now, doing.tools.month(doing.now)))


def shown(line: UserLine) -> UserShown:
    user, profile = line.user, line.user.profile
    return UserShown(
        id=user.id,
        name=user.name,
        email=profile.email,
        note=profile.note,
        strategy=user.strategy,
        status=user.status,
        monthly_budget_usd=usd(profile.monthly_budget_micros),
        spent_this_month_usd=usd(line.spent_micros) or Decimal(0),
        active_keys=line.active_keys,
        bedrock_keys=line.bedrock_keys,
        troubled_bedrock_keys=line.troubled_bedrock_keys,
        last_seen_at=line.last_seen_at,
        created_at=user.created_at,
    )


def form_of(user: User) -> dict[str, str]:
    """What the form shows of it."""
    known = noted(user)
    return as_texts({name: known[name] for name in FORM})


def noted(user: User) -> dict[str, Any]:
    """For the audit log."""
    profile = user.profile
    budget = None if profile.monthly_budget_micros is None else str(usd(profile.monthly_budget_micros))
    named = {"name": user.name, "email": profile.email, "note": profile.note}
    return {**named, "strategy": user.strategy, "status": user.status, "monthly_budget_usd": budget}


LIST = Operation("listUsers", "Find users", Role.VIEWER, FindUsers, Listed[UserShown], asks(_find))
GET = Operation("getUser", "One user", Role.VIEWER, TheUser, UserShown, asks(_get))
ADD = Operation("createUser", "Add a user", Role.EDITOR, NewUser, UserShown, changes(_add))
CHANGE = Operation("updateUser", "Change a user", Role.EDITOR, ChangedUser, UserShown, changes(_change))


def editing(edit: Edit) -> Operation:
    """CHANGE, unless somebody else changed the same meanwhile. Raises ChangedMeanwhile."""
    return replace(CHANGE, run=changes(lambda doing, taken: _change(doing, taken, edit)))


ACTIVATE = Operation("activateUser", "Let an inactive user in again", Role.EDITOR, TheUser, UserShown, changes(_activate))
DEACTIVATE = Operation("deactivateUser", "Cut all keys of a user off", Role.EDITOR, TheUser, UserShown, changes(_deactivate))
DELETE = Operation("deleteUser", "Delete a user, for good", Role.EDITOR, TheUser, Nothing, changes(_delete))

OFFERS = (
    Offer("GET", "/users", LIST, tag="Users"),
    Offer("POST", "/users", ADD, 201, tag="Users"),
    Offer("GET", "/users/{user_id}", GET, tag="Users"),
    Offer("PATCH", "/users/{user_id}", CHANGE, tag="Users"),
    Offer("POST", "/users/{user_id}/activate", ACTIVATE, tag="Users"),
    Offer("POST", "/users/{user_id}/deactivate", DEACTIVATE, tag="Users"),
    Offer("DELETE", "/users/{user_id}", DELETE, 204, tag="Users"),
)
