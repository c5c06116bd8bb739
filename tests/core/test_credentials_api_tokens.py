"""API tokens: whose they are, what they may, when they end; and what one worker ends every other refuses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import text

from core import admin_sessions, admins, api_tokens
from core.access import Invalid, LimitReached, NotFound
from core.actor import Role
from core.api_tokens import NewToken
from core.db import Database, open_database
from core.settings import Settings
from tests import machine
from tests.core.admin_office import HERE, AdminOffice
from tests.core.credentials_office import office as office
from tests.core.office import SERVER_SECRET

# API tokens


def test_an_api_token_stands_for_its_admin_in_its_own_role(office: AdminOffice) -> None:
    ann = office.add(role=Role.OWNER)

    actor = office.by_bearer(office.api_token(ann, Role.EDITOR))

    assert actor is not None
    assert (actor.admin_id, actor.role, actor.via, actor.confirmed_at) == (ann.id, Role.EDITOR, "api_token", None)


def test_an_api_token_never_does_more_than_its_admin(office: AdminOffice) -> None:
    ann = office.add(role=Role.EDITOR)
    token = office.api_token(ann, Role.EDITOR)
    office.database.run(lambda c: c.execute(text("UPDATE admins SET role = 'viewer'")))

    actor = office.by_bearer(token)

    assert actor is not None
    assert actor.role == Role.VIEWER
    with pytest.raises(Invalid):
        office.api_token(ann, Role.OWNER)


def test_an_api_token_ends_when_it_says_so(office: AdminOffice) -> None:
    token = office.api_token(office.add(), days=1)
    office.later(hours=23, minutes=59)
    before = office.by_bearer(token)
    office.later(minutes=1)

    assert (before is None, office.by_bearer(token)) == (False, None)


@pytest.mark.parametrize("span", [{"days": 367}, {"seconds": -1}, {"seconds": 0}])
def test_an_api_token_has_an_end_within_a_year(office: AdminOffice, span: dict[str, float]) -> None:
    ann = office.add()

    with pytest.raises(Invalid):
        office.api_token(ann, Role.VIEWER, **(span if any(span.values()) else {"seconds": -0.001}))


def test_a_revoked_api_token_is_refused_and_only_its_admin_revokes_it(office: AdminOffice) -> None:
    ann, bob = office.add("ann"), office.add("bob")
    token = office.api_token(ann)
    [row] = office.database.read(lambda c: api_tokens.list_tokens(c, ann.id))
    with pytest.raises(NotFound):
        office.run(api_tokens.revoke_token, bob.id, row.id, office.now)

    before = office.by_bearer(token)
    office.run(api_tokens.revoke_token, ann.id, row.id, office.now)

    assert (before is None, office.by_bearer(token)) == (False, None)


def test_an_api_token_is_stored_as_digest_and_prefix_and_a_typing_error_is_seen(office: AdminOffice) -> None:
    token = office.api_token(office.add())
    row = str(office.database.read(lambda c: c.execute(text("SELECT * FROM api_tokens")).one()))
    wrong = token[:-1] + ("0" if token[-1] != "0" else "1")

    assert (token in row, token[:10] in row, token[:11] in row) == (False, True, False)
    assert (office.by_bearer(wrong), office.by_bearer("cpt_" + "x" * 44)) == (None, None)


def test_the_last_use_of_an_api_token_is_noted_with_the_address(office: AdminOffice) -> None:
    ann = office.add()
    office.by_bearer(office.api_token(ann))

    [row] = office.database.read(lambda c: api_tokens.list_tokens(c, ann.id))

    assert (row.last_used_at, row.last_address) == (office.now, HERE.address)


def test_an_admin_has_a_bounded_number_of_tokens(office: AdminOffice) -> None:
    ann = office.add()
    new = NewToken("ci", Role.VIEWER, office.now + admin_sessions.ABSOLUTE)
    office.database.run(lambda c: [api_tokens.issue_token(c, ann.id, new, SERVER_SECRET, office.now) for _ in range(20)])

    with pytest.raises(LimitReached):
        office.api_token(ann)


def test_where_a_second_factor_is_demanded_an_api_client_without_one_is_nobody(office: AdminOffice) -> None:
    ann = office.add()
    tokens = [office.jwt(ann), office.api_token(ann)]
    office.credentials = office.worker(requires_totp=True)
    without = [office.by_bearer(token) for token in tokens]
    office.enrol(ann)

    assert without == [None, None]
    assert [office.by_bearer(token) is not None for token in tokens] == [True, True]


# Workers


@pytest.fixture
def other_database(postgres_server: Any) -> Iterator[tuple[Database, Database]]:
    url = postgres_server.migrated()
    both = [open_database(Settings(database_url=url), pool_size=1) for _ in range(2)]
    yield both[0], both[1]
    for each in both:
        each.close()
    postgres_server.drop(url)


def test_what_one_worker_ends_every_other_refuses_at_once(other_database: tuple[Database, Database]) -> None:
    office = AdminOffice(other_database[0])
    other = office.worker(other_database[1])
    ann = office.add()
    session, bearer, token = office.sign_in(ann), office.jwt(ann), office.api_token(ann)

    def seen() -> list[bool]:
        found = other.of_cookie(session, "x"), other.of_bearer(bearer, "x"), other.of_bearer(token, "x")
        return [each is not None for each in found]

    before = seen()
    began = machine.now()
    office.run(admins.end_all_credentials, ann.id, office.now)
    after = seen()

    assert (before, after) == ([True] * 3, [False] * 3)
    assert machine.now().since(began) < 2.0
