"""What the API answers: whom it lets in, what it reads, and what it says when something is not done."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from core.db import open_database
from core.settings import Settings
from tests.admin_app.api_world import BASE, JSON, ApiWorld
from tests.admin_app.api_world import database_url as database_url
from tests.admin_app.api_world import world as world

MALFORMED = {
    "not JSON": '{"name": ',
    "a list": "[]",
    "a field twice": '{"name": "a", "name": "b"}',
    "a field twice, deeper": '{"name": {"a": 1, "a": 2}}',
    "not a number": '{"name": NaN}',
    "half a surrogate pair": '{"name": "\\ud800"}',
    "not UTF-8": b'{"name": "\xff"}',
    "too deep": "[" * 30_000,
    "a huge number": '{"name": 1e999}',
    "a number of many digits": '{"name": ' + "9" * 20_000 + "}",
}


def problem(answer: Any) -> tuple[int, str]:
    """Status and kind of an answer that is a problem, with all that belongs to one."""
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json
    assert told["status"] == answer.status_code
    assert told["instance"] == answer.headers["x-proxy-request-id"] == "req_1"
    assert told["title"]
    assert told["detail"]
    return answer.status_code, told["type"].removeprefix("/admin/api#")


def test_a_user_is_added_and_found_again(world: ApiWorld) -> None:
    added = world.ask("POST", "/users", {"name": "Ada", "monthly_budget_usd": "12.50"})

    assert added.status_code == 201
    assert world.ask("GET", f"/users/{added.json['id']}").json == added.json
    assert added.json["monthly_budget_usd"] == "12.5"


def test_what_is_deleted_answers_without_a_body(world: ApiWorld) -> None:
    user = world.add_user("Ada")

    answer = world.ask("DELETE", f"/users/{user['id']}")

    assert (answer.status_code, answer.content) == (204, b"")


def test_fields_that_are_not_named_stay(world: ApiWorld) -> None:
    user = world.add_user("Ada")

    changed = world.ask("PATCH", f"/users/{user['id']}", {"note": "on leave"})

    assert changed.json == {**user, "note": "on leave"}


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer ", "Basic b3duZXI6", "owner", "Bearer nobody", "Bearer owner x"])
def test_nobody_gets_in_without_a_good_bearer(world: ApiWorld, authorization: str) -> None:
    answer = world.send("GET", f"{BASE}/users", None, {"authorization": authorization} if authorization else {})

    assert problem(answer) == (401, "no-token")
    assert answer.headers["www-authenticate"].startswith('Bearer realm="admin"')


def test_a_token_longer_than_any_of_ours_is_not_even_looked_up(world: ApiWorld) -> None:
    assert problem(world.ask("GET", "/users", token="x" * 5000)) == (401, "no-token")


def test_a_cookie_is_no_credential(world: ApiWorld) -> None:
    answer = world.send("GET", f"{BASE}/users", None, {"cookie": "session=owner; __Host-session=owner"})

    assert problem(answer) == (401, "no-token")


def test_the_word_bearer_is_read_in_any_case(world: ApiWorld) -> None:
    assert world.send("GET", f"{BASE}/users", None, {"authorization": "bearer viewer"}).status_code == 200


def test_no_other_site_is_let_in_by_a_browser(world: ApiWorld) -> None:
    headers = {"origin": "https://elsewhere.example", "authorization": "Bearer owner"}

    answers = [world.send(method, f"{BASE}/users", None, headers) for method in ("GET", "OPTIONS")]

    assert [name for answer in answers for name in answer.headers if name.startswith("access-control")] == []


def test_an_address_outside_the_allowlist_gets_nothing(world: ApiWorld) -> None:
    elsewhere = ApiWorld(world.database, settings=Settings(admin_allowed_cidrs=(ip_network("10.0.0.0/8"),)))

    asked = [("GET", f"{BASE}/users"), ("POST", f"{BASE}/token"), ("GET", "/admin/api/openapi.json")]
    answers = [elsewhere.send(method, path, None, {"authorization": "Bearer owner"}) for method, path in asked]

    assert list(map(problem, answers)) == [(403, "not-from-here")] * 3


@pytest.mark.parametrize("text", MALFORMED.values(), ids=MALFORMED)
def test_what_cannot_be_read_is_refused(world: ApiWorld, text: str | bytes) -> None:
    assert problem(world.ask("POST", "/users", text)) == (400, "unreadable")


@pytest.mark.parametrize("query", ["search=a&search=b", "search=%ff", "&".join(f"a{n}=1" for n in range(60))])
def test_a_query_that_cannot_be_read_is_refused(world: ApiWorld, query: str) -> None:
    assert problem(world.ask("GET", f"/users?{query}")) == (400, "unreadable")


@pytest.mark.parametrize(
    ("path", "field", "words"),
    [("/users?sort=colour", "sort", "name, created, "), ("/users?strategy=planfirst", "strategy", "plan_first, ")],
)
def test_of_a_word_that_is_none_of_those_that_count_all_these_are_told(
    world: ApiWorld, path: str, field: str, words: str
) -> None:
    answer = world.ask("GET", path)
    assert (answer.status_code, answer.json["detail"]) == (422, f"{field}: {answer.json['errors'][field]}.")
    assert answer.json["errors"][field].startswith("must be one of ") and words in answer.json["errors"][field]


def test_every_wrong_field_is_told(world: ApiWorld) -> None:
    answer = world.ask("POST", "/users", {"name": "", "strategy": "both", "e_mail": "x"})

    assert problem(answer) == (422, "bad-fields")
    assert set(answer.json["errors"]) == {"name", "strategy", "e_mail"}
    assert answer.json["errors"]["name"] == "must be 1 to 200 characters"


@pytest.mark.parametrize("name", ["a\0b", "\0"])
def test_what_no_database_keeps_is_refused(world: ApiWorld, name: str) -> None:
    assert problem(world.ask("POST", "/users", {"name": name})) == (422, "bad-fields")
    assert problem(world.ask("GET", f"/users/{name}")) == (422, "bad-fields")


def test_a_field_of_the_path_is_not_taken_from_the_body_too(world: ApiWorld) -> None:
    user = world.add_user("Ada")

    answer = world.ask("PATCH", f"/users/{user['id']}", {"user_id": "usr_other", "note": "x"})

    assert (problem(answer), answer.json["errors"]) == ((422, "bad-fields"), {"user_id": "is in the path already"})


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/users?nothing=1"), ("POST", "/users?name=Ada"), ("GET", "/users/x?user_id=y")]
)
def test_a_field_that_does_not_belong_into_the_query_is_refused(world: ApiWorld, method: str, path: str) -> None:
    assert problem(world.ask(method, path)) == (422, "bad-fields")


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_only_json_is_read(world: ApiWorld, media_type: str) -> None:
    headers = {"authorization": "Bearer owner", "content-type": media_type}

    assert problem(world.send("POST", f"{BASE}/users", '{"name": "Ada"}', headers)) == (415, "not-json")


def test_a_body_has_at_most_64_kb(world: ApiWorld) -> None:
    largest = '{"name": "Ada"' + " " * (64 * 1024 - 15) + "}"

    assert world.ask("POST", "/users", largest).status_code == 201
    assert problem(world.ask("POST", "/users", largest + " ")) == (413, "too-large")


def test_a_chunked_body_is_refused(world: ApiWorld) -> None:
    headers = {"authorization": "Bearer owner", "transfer-encoding": "chunked", **JSON}

    assert problem(world.send("POST", f"{BASE}/users", None, headers)) == (411, "no-length")


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_a_body_where_none_belongs_is_refused(world: ApiWorld, method: str) -> None:
    assert problem(world.ask(method, "/users/usr_x", {"force": True})) == (400, "unreadable")


def test_what_takes_no_fields_needs_no_body(world: ApiWorld) -> None:
    user = world.add_user("Ada")

    assert world.ask("POST", f"/users/{user['id']}/deactivate").json["status"] == "inactive"
    assert world.ask("POST", f"/users/{user['id']}/activate", {}).json["status"] == "active"


@pytest.mark.parametrize("path", ["/nothing", "/users/usr_x/nothing", "/users/usr_x", ""])
def test_what_is_not_there_is_said_so(world: ApiWorld, path: str) -> None:
    assert problem(world.ask("GET", path)) == (404, "not-found")


def test_a_method_that_an_address_does_not_have_is_refused_with_those_that_it_has(world: ApiWorld) -> None:
    answer = world.ask("PUT", "/users", {})

    assert problem(answer) == (405, "no-such-method")
    assert {"GET", "POST"} <= set(answer.headers["allow"].split(", "))


def test_what_contradicts_what_is_there_is_a_conflict(world: ApiWorld) -> None:
    world.add_user("Ada")

    assert problem(world.ask("POST", "/users", {"name": "Ada"})) == (409, "conflict")


def test_of_an_owners_token_that_may_do_less_it_is_not_said_that_the_owner_may_not(world: ApiWorld) -> None:
    world.bearers.actors["ci"] = replace(world.bearers.actors["editor"], via="api_token", username="the owner")
    answer = world.ask("GET", "/admins", token="ci")
    assert (problem(answer), answer.json["detail"]) == ((403, "not-allowed"), "This needs the role owner; this token is editor.")


def test_a_role_that_does_not_reach_is_refused_before_the_body_is_read(world: ApiWorld) -> None:
    assert problem(world.ask("POST", "/users", "not JSON", token="viewer")) == (403, "not-allowed")


def test_without_the_database_it_says_when_to_try_again(tmp_path: Path) -> None:
    database = open_database(Settings(database_url=f"sqlite:///{tmp_path}/no/such/place"), pool_size=1)
    (tmp_path / "no").write_text("a file where the folder should be")

    answer = ApiWorld(database).ask("GET", "/users")

    assert problem(answer) == (503, "away")
    assert answer.headers["retry-after"] == "5"


def test_a_defect_is_answered_without_its_inside(world: ApiWorld, caplog: pytest.LogCaptureFixture) -> None:
    world.database.run(lambda c: c.exec_driver_sql("DROP TABLE spend_monthly"))

    answer = world.ask("GET", "/users")

    assert problem(answer) == (500, "crashed")
    assert "spend_monthly" not in answer.text
    assert "spend_monthly" in caplog.text


def test_a_change_is_in_the_audit_log_with_who_did_it(world: ApiWorld) -> None:
    user = world.add_user("Ada")

    noted = world.database.read(lambda c: c.exec_driver_sql("SELECT username, via, action, target FROM audit").all())

    assert noted == [("the owner", "jwt", "user.create", user["id"])]


def test_every_answer_carries_the_headers_of_the_gate(world: ApiWorld) -> None:
    answers = [world.ask("GET", "/users"), world.ask("GET", "/nothing"), world.ask("GET", "/users", token="")]

    assert {answer.headers["cache-control"] for answer in answers} == {"no-store"}
    assert {answer.headers["x-content-type-options"] for answer in answers} == {"nosniff"}
