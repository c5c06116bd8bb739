"""Operations on users: what they take, who may, what they give and what the audit log keeps of them."""

from __future__ import annotations

from decimal import Decimal

import pytest

from admin_app import user_operations as does
from admin_app.operation import BadFields, NotAllowed
from core.access import LimitReached, NameTaken, NotFound
from core.actor import Role
from core.db import Database
from core.settings import Settings
from tests.admin_app.desk import PUBLIC_URL, Desk


@pytest.fixture
def desk(database: Database) -> Desk:
    return Desk(database, settings=Settings(public_url=PUBLIC_URL, max_users=5))


def test_a_user_is_added_with_what_was_said_of_them(desk: Desk) -> None:
    added = desk.does(does.ADD, name="ada", strategy="bedrock_only", monthly_budget_usd="12.50", email="a@example.com")
    found = desk.does(does.GET, user_id=added.id)
    assert (found.name, found.strategy, found.monthly_budget_usd) == ("ada", "bedrock_only", Decimal("12.5"))
    assert (found.email, found.status, found.active_keys, found.spent_this_month_usd) == ("a@example.com", "active", 0, 0)


def test_every_field_that_is_wrong_is_named(desk: Desk) -> None:
    with pytest.raises(BadFields) as bad:
        desk.does(does.ADD, name="", strategy="sometimes", monthly_budget_usd="much", role="owner")
    assert set(bad.value.problems) == {"name", "strategy", "monthly_budget_usd", "role"}


@pytest.mark.parametrize("amount", ["0.0000001", "NaN", "Infinity", "-1", "1e20"])
def test_a_budget_is_an_amount_of_money(desk: Desk, amount: str) -> None:
    with pytest.raises(Exception, match=r"dollars|budget"):
        desk.does(does.ADD, name="ada", monthly_budget_usd=amount)


def test_what_is_not_named_stays_and_null_takes_a_budget_away(desk: Desk) -> None:
    user = desk.does(does.ADD, name="ada", monthly_budget_usd="5", note="as it was")
    changed = desk.does(does.CHANGE, user_id=user.id, monthly_budget_usd=None, name="Ada")
    assert (changed.name, changed.monthly_budget_usd, changed.note) == ("Ada", None, "as it was")


def test_the_audit_log_holds_what_differs_and_who_did_it(desk: Desk) -> None:
    user = desk.does(does.ADD, name="ada")
    desk.later(seconds=1).does(does.CHANGE, user_id=user.id, strategy="plan_only")
    changed, created = desk.audited(target=user.id)
    assert (changed.action, changed.before, changed.after) == (
        "user.update", {"strategy": "plan_first"}, {"strategy": "plan_only"}
    )  # fmt: skip
    assert (created.action, created.before, created.after["name"], created.username) == ("user.create", {}, "ada", "the-owner")


def test_what_is_refused_leaves_no_entry(desk: Desk) -> None:
    desk.does(does.ADD, name="ada")
    with pytest.raises(NameTaken):
        desk.does(does.ADD, name="ada")
    assert len(desk.audited(action="user")) == 1


@pytest.mark.parametrize("operation", [does.ADD, does.CHANGE, does.ACTIVATE, does.DEACTIVATE, does.DELETE])
def test_a_viewer_changes_nothing(desk: Desk, operation: object) -> None:
    user = desk.does(does.ADD, name="ada")
    fields = {"name": "grace"} if operation is does.ADD else {"user_id": user.id}
    with pytest.raises(NotAllowed):
        desk.as_a(Role.VIEWER).does(operation, **fields)  # type: ignore[arg-type]
    assert desk.as_a(Role.VIEWER).does(does.GET, user_id=user.id).status == "active"


def test_an_inactive_user_can_come_back_a_deleted_one_cannot(desk: Desk) -> None:
    user = desk.does(does.ADD, name="ada")
    assert desk.does(does.DEACTIVATE, user_id=user.id).status == "inactive"
    assert desk.does(does.ACTIVATE, user_id=user.id).status == "active"
    desk.does(does.DELETE, user_id=user.id)
    with pytest.raises(NotFound):
        desk.does(does.ACTIVATE, user_id=user.id)


def test_one_user_too_many_is_refused(desk: Desk) -> None:
    names = ["a", "b", "c", "d", "e"]
    assert [desk.does(does.ADD, name=name).name for name in names] == names
    with pytest.raises(LimitReached, match="PROXY_MAX_USERS"):
        desk.does(does.ADD, name="f")


def test_a_list_is_searched_and_turned_page_by_page(desk: Desk) -> None:
    added = [desk.does(does.ADD, name=name, note="a team" if name in "bd" else "") for name in "abcd"]
    first = desk.does(does.LIST, limit=3)
    second = desk.does(does.LIST, limit=3, cursor=first.next_cursor)
    assert [each.name for each in (*first.data, *second.data)] == ["a", "b", "c", "d"]
    assert second.next_cursor is None
    assert [each.id for each in desk.does(does.LIST, search="TEAM").data] == [added[1].id, added[3].id]


def test_a_cursor_that_is_none_of_ours_is_refused(desk: Desk) -> None:
    with pytest.raises(BadFields, match="cursor"):
        desk.does(does.LIST, cursor="bm9uc2Vuc2U")
