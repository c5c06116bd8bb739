"""The pages of users, keys, Bedrock keys and links as a browser without JavaScript meets them."""

from __future__ import annotations

import re

from core.audit import Filter, entries
from core.circuit_rows import OPEN, CircuitRow, write_circuits
from core.ports import ProbeResult
from core.types import Residency
from tests.admin_app.browser import Browser
from tests.admin_app.desk import CANARY, Probe
from tests.admin_app.key_pages_world import app as app
from tests.admin_app.key_pages_world import database_url as database_url
from tests.admin_app.key_pages_world import office as office
from tests.admin_app.key_pages_world import owner as owner
from tests.admin_app.key_pages_world import probe as probe
from tests.core.office import NOW, SECOND, Office


def key_in(text: str) -> str:
    found = re.search(r"/ak/(ak_[0-9A-Za-z]{44})", text)
    assert found
    return found[1]


# Issuing, changing, rotating, revoking


def test_an_issued_key_is_on_the_answer_to_its_form_with_the_line_to_set_and_nowhere_else(owner: Browser, office: Office) -> None:
    user = office.add("Ada")
    owner.get(f"/admin/users/{user.id}/keys/new")

    answer = owner.post(f"/admin/users/{user.id}/keys/new", name="laptop", expires_at="", strategy="", monthly_budget_usd="20")

    key = key_in(answer.text)
    assert f"export ANTHROPIC_BASE_URL=https://proxy.example.com/ak/{key}" in answer.text
    assert f"x-proxy-key: {key}" in answer.text
    assert "&#34;ANTHROPIC_BASE_URL&#34;: " in answer.text
    assert (answer.status_code, answer.headers["cache-control"], "data-copy" in answer.text) == (200, "no-store", True)
    pages = [owner.get(path).text for path in (f"/admin/users/{user.id}", "/admin/keys", "/admin/keys.csv")]
    audited = str(office.database.read(lambda c: entries(c, Filter(), 10).lines))
    assert [(key[:9] in text, key[9:20] in text) for text in pages] == [(True, False)] * 3
    assert (key[:9] in audited, key[9:20] in audited) == (True, False)


def test_a_form_that_was_filled_in_wrongly_comes_back_with_what_was_typed(owner: Browser, office: Office) -> None:
    user = office.add("Ada")
    owner.get(f"/admin/users/{user.id}/keys/new")

    answer = owner.post(f"/admin/users/{user.id}/keys/new", name="laptop", monthly_budget_usd="much", requests_per_minute="0")

    assert (answer.status_code, answer.text.count('aria-invalid="true"')) == (422, 2)
    assert 'value="laptop"' in answer.text and 'value="much"' in answer.text


def test_what_core_refuses_is_said_above_the_form(owner: Browser, office: Office) -> None:
    user = office.add("Ada")
    owner.get(f"/admin/users/{user.id}/keys/new")

    answer = owner.post(f"/admin/users/{user.id}/keys/new", expires_at="2020-01-01T00:00:00")

    assert (answer.status_code, "A key must expire in the future." in answer.text) == (409, True)


def test_a_key_is_changed_by_its_form_and_keeps_what_the_form_showed(owner: Browser, office: Office) -> None:
    key = office.issue(office.add("Ada"), name="old", expires_at=NOW + 90 * SECOND)
    form = owner.get(f"/admin/keys/{key.id}/edit").text

    answer = owner.post(
        f"/admin/keys/{key.id}/edit", name="new", expires_at="2026-05-01T12:01:30", strategy="", monthly_budget_usd=""
    )

    assert 'value="2026-05-01T12:01:30"' in form
    assert (answer.status_code, answer.headers["location"]) == (303, f"/admin/keys/{key.id}?notice=key-changed")
    assert "in force in every worker" in owner.get(answer.headers["location"]).text


def test_rotating_shows_the_new_text_and_until_when_the_old_one_is_good(owner: Browser, office: Office) -> None:
    key = office.issue(office.add("Ada"))
    owner.get(f"/admin/keys/{key.id}/rotate")

    answer = owner.post(f"/admin/keys/{key.id}/rotate", grace_s="3600")

    assert key_in(answer.text) != key.access_key
    assert "stays good until" in answer.text and "2026-05-01 13:00 UTC" in answer.text
    assert office.grant(key) is not None


def test_revoking_says_first_what_it_will_do_and_looking_does_nothing(owner: Browser, office: Office) -> None:
    key = office.issue(office.add("Ada"), name="laptop")

    asked = owner.get(f"/admin/keys/{key.id}/revoke").text
    before = office.grant(key) is not None
    answer = owner.post(f"/admin/keys/{key.id}/revoke")

    assert "Requests of Ada with this key are refused" in asked
    assert (before, office.grant(key), answer.headers["location"]) == (True, None, f"/admin/keys/{key.id}?notice=key-revoked")
    assert ">revoked<" in owner.get(f"/admin/keys/{key.id}").text


def test_a_circuit_of_the_plan_is_closed_from_the_keys_page(owner: Browser, office: Office) -> None:
    key = office.issue(office.add("Ada"))
    row = CircuitRow("plan", key.id, "opus", OPEN, "plan_exhausted", opened_at=NOW, until=NOW + 60 * SECOND)
    office.database.run(lambda c: write_circuits(c, [row], NOW))
    before = owner.get(f"/admin/keys/{key.id}").text

    owner.post(f"/admin/keys/{key.id}/circuits", family="opus")

    assert ("plan exhausted" in before, "plan exhausted" in owner.get(f"/admin/keys/{key.id}").text) == (True, False)


# Bedrock keys


def test_a_bedrock_key_is_attached_tested_and_shown_without_its_text(owner: Browser, office: Office, probe: Probe) -> None:
    user = office.add("Ada")
    form = owner.get(f"/admin/users/{user.id}/bedrock-keys/new").text

    answer = owner.post(f"/admin/users/{user.id}/bedrock-keys/new", secret=f" {CANARY} ", region="eu-west-1", residency="geo")

    assert 'type="password"' in form and 'autocomplete="off"' in form and ">eu-west-1<" in form
    assert (answer.status_code, answer.headers["location"]) == (303, f"/admin/users/{user.id}?notice=bedrock-key-works")
    assert probe.asked == [("eu-west-1", CANARY, Residency.GEO)]
    page = owner.get(answer.headers["location"]).text
    assert ("healthy" in page, "a model answered" in page, CANARY in page) == (True, True, False)


def test_a_refused_bedrock_form_does_not_send_the_secret_back(owner: Browser, office: Office) -> None:
    user = office.add("Ada")
    owner.get(f"/admin/users/{user.id}/bedrock-keys/new")

    answers = [
        owner.post(f"/admin/users/{user.id}/bedrock-keys/new", secret=CANARY, region=region, expires_at=end)
        for region, end in (("nowhere/else", ""), ("us-east-1", "2020-01-01"))
    ]

    assert [(each.status_code, CANARY in each.text) for each in answers] == [(409, False), (422, False)]


def test_a_key_that_aws_refuses_is_kept_and_its_page_says_why(owner: Browser, office: Office, probe: Probe) -> None:
    user = office.add("Ada")
    key = office.issue(user)
    probe.result = ProbeResult(False, "auth: the key has expired", refused=True)
    owner.get(f"/admin/users/{user.id}/bedrock-keys/new?key={key.id}")

    answer = owner.post(f"/admin/users/{user.id}/bedrock-keys/new", secret=CANARY, region="us-east-1", access_key_id=key.id)

    assert answer.headers["location"] == f"/admin/keys/{key.id}?notice=bedrock-key-refused"
    page = owner.get(answer.headers["location"]).text
    assert "unhealthy" in page and "auth: the key has expired" in page and "AWS refuses the Bedrock key" in page


def test_testing_now_goes_back_to_where_the_button_was(owner: Browser, office: Office) -> None:
    user = office.add("Ada")
    key = office.issue(user)
    new_key = {"secret": CANARY, "region": "us-east-1"}
    owner.get(f"/admin/users/{user.id}/bedrock-keys/new")
    owner.post(f"/admin/users/{user.id}/bedrock-keys/new", **new_key)
    [bedrock_id] = set(re.findall(r"/admin/bedrock-keys/(bdk_\w+)/test", owner.get(f"/admin/keys/{key.id}").text))

    answers = [owner.post(f"/admin/bedrock-keys/{bedrock_id}/test", key=back_to) for back_to in ("", key.id)]
    astray = owner.post(f"/admin/bedrock-keys/{bedrock_id}/test", key="//evil.example.com")

    assert [answer.headers["location"].partition("?")[0] for answer in answers] == [
        f"/admin/users/{user.id}",
        f"/admin/keys/{key.id}",
    ]
    assert astray.status_code == 404


def test_htmx_gets_the_list_of_bedrock_keys_alone(owner: Browser, office: Office) -> None:
    user = office.add("Ada")
    office.attach(user)
    owner.headers |= {"hx-request": "true", "hx-target": "bedrock"}

    part = owner.get(f"/admin/users/{user.id}?notice=bedrock-key-works").text

    assert ("<html" in part, "Test now" in part, "AWS takes it" in part) == (False, True, True)


def test_a_bedrock_key_is_destroyed_after_a_second_look(owner: Browser, office: Office) -> None:
    user = office.add("Ada")
    bedrock_id = office.attach(user)

    asked = owner.get(f"/admin/bedrock-keys/{bedrock_id}/remove").text
    answer = owner.post(f"/admin/bedrock-keys/{bedrock_id}/remove")

    assert "all keys of Ada" in asked
    assert answer.headers["location"] == f"/admin/users/{user.id}?notice=bedrock-key-removed"
    assert "Test now" not in owner.get(f"/admin/users/{user.id}").text


# Links


def test_a_link_is_shown_once_listed_without_its_address_and_withdrawn(owner: Browser, office: Office) -> None:
    user = office.add("Ada")
    owner.get(f"/admin/users/{user.id}/links/new")

    made = owner.post(f"/admin/users/{user.id}/links/new", name="phone").text
    token = made.partition("https://proxy.example.com/claim/")[2][:22]
    listed = owner.get(f"/admin/users/{user.id}").text
    [path] = re.findall(r'href="(/admin/links/\w+/withdraw)"', listed)
    owner.get(path)
    answer = owner.post(path)

    assert (len(token), token in listed, "phone" in listed) == (22, False, True)
    assert answer.headers["location"] == f"/admin/users/{user.id}?notice=link-withdrawn"
    assert "phone" not in owner.get(f"/admin/users/{user.id}").text


# The list, and files for spreadsheets


def test_the_list_is_filtered_by_its_address_and_a_bad_filter_shows_all(owner: Browser, office: Office) -> None:
    ada, bob = office.issue(office.add("Ada")), office.issue(office.add("Bob"))

    found = owner.get("/admin/keys?search=ada&sort=spend").text
    odd = owner.get("/admin/keys?status=odd&cursor=x&sort=").text
    empty = owner.get("/admin/keys?search=nobody").text

    assert (ada.id in found, bob.id in found, 'value="ada"' in found) == (True, False, True)
    assert (ada.id in odd, bob.id in odd, "No key fits." in empty) == (True, True, True)


def test_a_file_of_keys_has_what_the_list_shows_and_no_formula(owner: Browser, office: Office) -> None:
    office.issue(office.add("=cmd|'/c calc'!A1"), name="@SUM(1)")
    office.issue(office.add("Bob"))

    answer = owner.get("/admin/keys.csv?search=cmd")
    users = owner.get("/admin/users.csv")

    lines = answer.text.strip().split("\r\n")
    assert (answer.headers["content-type"], len(lines)) == ("text/csv; charset=utf-8", 2)
    assert answer.headers["content-disposition"] == 'attachment; filename="access-keys-2026-05-01.csv"'
    assert "\"'=cmd|'/c calc'!A1\"" in lines[1] and '"\'@SUM(1)"' in lines[1]
    assert users.text.startswith('"id","name",')
    assert len(users.text.strip().split("\r\n")) == 3


def test_without_users_and_keys_the_files_have_their_headings(owner: Browser) -> None:
    assert [owner.get(path).text.count("\r\n") for path in ("/admin/keys.csv", "/admin/users.csv")] == [1, 1]
