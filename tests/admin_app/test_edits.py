"""Two who change the same thing at a time: nothing is lost without being seen."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import pytest

from admin_app.edits import ChangedMeanwhile, Edit, edit_of
from core.access_keys import find_key
from core.users import find_user
from tests.admin_app.browser import Browser
from tests.admin_app.key_pages_world import app as app
from tests.admin_app.key_pages_world import database_url as database_url
from tests.admin_app.key_pages_world import office as office
from tests.admin_app.key_pages_world import owner as owner
from tests.admin_app.key_pages_world import probe as probe
from tests.core.office import NOW, SECOND, Office

_FIELD = re.compile(r'<(?:input|textarea)[^>]*?\bname="(\w+)"[^>]*?(?: value="([^"]*)"|>([^<]*)</textarea>)')
_CHOSEN = re.compile(r'<select[^>]*name="(\w+)".*?<option value="([^"]*)" selected', re.S)


def filled(page: str) -> dict[str, str]:
    """The form of a page as a browser would send it back untouched."""
    form = page.partition('<form method="post" class="panel form">')[2].partition("</form>")[0]
    fields = {name: unescape(value or text) for name, value, text in _FIELD.findall(form)}
    return {**fields, **dict(_CHOSEN.findall(form))}


@pytest.fixture
def address(office: Office) -> str:
    user = office.add("Ada")
    return f"/admin/users/{user.id}/edit"


def user_of(office: Office, address: str) -> Any:
    return office.database.read(lambda connection: find_user(connection, address.split("/")[3]))


def test_two_who_change_different_things_both_have_their_way(owner: Browser, office: Office, address: str) -> None:
    first, second = filled(owner.get(address).text), filled(owner.get(address).text)
    owner.post(address, **{**first, "monthly_budget_usd": "40"})

    answer = owner.post(address, **{**second, "note": "on leave\r\nuntil May"})

    profile = user_of(office, address).profile
    assert (answer.status_code, profile.monthly_budget_micros, profile.note) == (303, 40_000_000, "on leave\nuntil May")


def test_what_both_changed_is_shown_and_written_only_by_who_saves_again(owner: Browser, office: Office, address: str) -> None:
    first, second = filled(owner.get(address).text), filled(owner.get(address).text)
    owner.post(address, **{**first, "monthly_budget_usd": "40", "note": "of the first"})

    refused = owner.post(address, **{**second, "monthly_budget_usd": "70"})

    assert (refused.status_code, "Is “40” by now." in unescape(refused.text)) == (409, True)
    assert user_of(office, address).profile.monthly_budget_micros == 40_000_000
    again = filled(refused.text)
    assert (again["monthly_budget_usd"], again["was_monthly_budget_usd"], again["note"]) == ("70", "40", "of the first")
    assert owner.post(address, **again).status_code == 303
    profile = user_of(office, address).profile
    assert (profile.monthly_budget_micros, profile.note) == (70_000_000, "of the first")


def test_both_who_write_the_same_are_content(owner: Browser, address: str) -> None:
    first, second = filled(owner.get(address).text), filled(owner.get(address).text)
    owner.post(address, **{**first, "note": "the same"})
    assert owner.post(address, **{**second, "note": "the same"}).status_code == 303


def test_a_form_that_was_wrong_still_knows_what_it_was_made_from(owner: Browser, office: Office, address: str) -> None:
    """Correcting a slip of the hand must not overwrite what came meanwhile."""
    first, second = filled(owner.get(address).text), filled(owner.get(address).text)
    owner.post(address, **{**first, "monthly_budget_usd": "40"})
    wrong = owner.post(address, **{**second, "monthly_budget_usd": "much"})

    refused = owner.post(address, **{**filled(wrong.text), "monthly_budget_usd": "70"})

    assert (wrong.status_code, refused.status_code) == (422, 409)
    assert user_of(office, address).profile.monthly_budget_micros == 40_000_000


def test_a_key_that_two_change_at_a_time_is_kept_too(owner: Browser, office: Office) -> None:
    key = office.issue(office.add("Ada"), name="old", expires_at=NOW + 3600 * SECOND)
    address = f"/admin/keys/{key.id}/edit"
    first, second, third = (filled(owner.get(address).text) for _ in range(3))
    owner.post(address, **{**first, "name": "new"})

    others = owner.post(address, **{**second, "requests_per_minute": "5"})
    refused = owner.post(address, **{**third, "name": "newest"})

    options = office.database.read(lambda connection: find_key(connection, key.id)).options
    assert (others.status_code, refused.status_code) == (303, 409)
    assert (options.name, options.requests_per_minute, options.expires_at) == ("new", 5, NOW + 3600 * SECOND)


def test_a_form_that_does_not_say_what_it_showed_is_written_whole() -> None:
    assert edit_of({"name": "Ada", "note": ""}) == Edit({"name": "Ada", "note": ""}, {})


@pytest.mark.parametrize(("was", "sent"), [("a\nb", "a\r\nb"), ("2026-05-01T12:00:00", "2026-05-01T12:00"), ("x", " x ")])
def test_what_a_browser_writes_in_its_own_way_was_not_changed(was: str, sent: str) -> None:
    assert edit_of({"field": sent, "was_field": was}) == Edit({}, {})


def test_only_what_is_to_be_written_can_be_in_the_way() -> None:
    edit = edit_of({"name": "new", "was_name": "old", "note": "n", "was_note": "n"})
    edit.check({"name": "old", "note": "somebody else's"})
    with pytest.raises(ChangedMeanwhile) as refused:
        edit.check({"name": "", "note": "n"})
    assert refused.value.problems["name"] == "is empty by now"


def test_a_form_that_says_what_it_never_showed_is_told_no_more_of_it(owner: Browser, office: Office, address: str) -> None:
    """Made by hand: the id of the address is a field of the operation, and none of the form."""
    made = {**filled(owner.get(address).text), "name": "Ada L", "user_id": "usr_other", "was_user_id": "usr_none"}

    assert owner.post(address, **made).status_code == 303
    assert user_of(office, address).name == "Ada L"
