"""What a cookie, a JWT and an API token are worth, and until when (ASVS 7 and 9)."""

from __future__ import annotations

import base64
import json
from typing import Any

import jwt
import pytest
from sqlalchemy import text

from core import admin_sessions
from core.access import NotFound
from core.actor import Role
from core.admin_sessions import Caller, is_confirmed
from tests.core.admin_office import HERE, JWT_SECRET, AdminOffice
from tests.core.credentials_office import office as office


def claims_of(token: str) -> dict[str, Any]:
    found: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return found


def signed(claims: dict[str, Any], secret: str = JWT_SECRET, **more: Any) -> str:
    return jwt.encode(claims, secret, **{"algorithm": "HS256", **more})


# Sessions


def test_a_session_says_who_asks_and_from_where(office: AdminOffice) -> None:
    ann = office.add(role=Role.EDITOR)

    actor = office.by_cookie(office.sign_in(ann))

    assert actor is not None
    assert (actor.admin_id, actor.username, actor.role, actor.via) == (ann.id, "ann", Role.EDITOR, "session")
    assert (actor.address, actor.confirmed_at) == (HERE.address, office.now)


def test_no_two_sessions_have_the_same_token_and_none_is_stored(office: AdminOffice) -> None:
    ann = office.add()
    tokens = [office.sign_in(ann), office.sign_in(ann)]

    rows = str(office.database.read(lambda c: c.execute(text("SELECT * FROM admin_sessions")).all()))

    assert (len(set(tokens)), len(tokens[0]) >= 43) == (2, True)
    assert not any(token in rows for token in tokens)


@pytest.mark.parametrize("token", ["", "x", "x" * 43, "é", "' OR 1=1 --"])
def test_what_was_never_given_out_is_nobody(office: AdminOffice, token: str) -> None:
    office.sign_in(office.add())

    assert (office.by_cookie(token), office.by_bearer(token)) == (None, None)


def test_thirty_minutes_without_use_end_a_session_and_use_keeps_it(office: AdminOffice) -> None:
    ann = office.add()
    used, unused = office.sign_in(ann), office.sign_in(ann)

    office.later(minutes=29)
    office.by_cookie(used)
    office.later(minutes=2)

    assert (office.by_cookie(used) is None, office.by_cookie(unused)) == (False, None)


def test_a_day_ends_a_session_however_much_it_is_used(office: AdminOffice) -> None:
    token = office.sign_in(office.add())
    alive = []
    for _ in range(72):
        office.later(minutes=20)
        alive.append(office.by_cookie(token) is not None)

    assert (alive.count(True), alive[-1]) == (71, False)


def test_the_last_use_is_written_once_a_minute_at_most(office: AdminOffice) -> None:
    ann = office.add()
    token, first = office.sign_in(ann), office.now

    def last_used() -> Any:
        return office.database.read(lambda c: admin_sessions.list_sessions(c, ann.id, office.now))[0].last_used_at

    office.later(seconds=59)
    office.by_cookie(token)
    early = last_used()
    office.later(seconds=1)
    office.by_cookie(token)

    assert (early, last_used()) == (first, office.now)


def test_an_ended_session_stays_ended(office: AdminOffice) -> None:
    token = office.sign_in(office.add())

    office.run(office.credentials.end_cookie, token)

    assert office.by_cookie(token) is None


def test_an_admin_ends_one_of_their_sessions_or_all_others_and_nobody_elses(office: AdminOffice) -> None:
    ann, bob = office.add("ann"), office.add("bob")
    first, second, third, others = *(office.sign_in(ann) for _ in range(3)), office.sign_in(bob)
    ids = [office.by_cookie(token).credential_id for token in (first, second, others)]  # type: ignore[union-attr]

    office.run(admin_sessions.end, ann.id, ids[0], office.now)
    after_one = [office.by_cookie(token) is not None for token in (first, second, third)]
    office.run(admin_sessions.end_all, ann.id, office.now, ids[1])

    assert after_one == [False, True, True]
    assert [office.by_cookie(token) is not None for token in (second, third, others)] == [True, False, True]
    with pytest.raises(NotFound):
        office.run(admin_sessions.end, ann.id, ids[2], office.now)


def test_the_list_of_sessions_shows_from_where_and_leaves_ended_ones_out(office: AdminOffice) -> None:
    ann = office.add()
    ended = office.sign_in(ann)
    agent = "x\u202e\n" + "y" * 500
    office.database.run(lambda c: office.credentials.begin_session(c, ann.id, Caller("198.51.100.7", agent)))
    office.run(office.credentials.end_cookie, ended)

    [session] = office.database.read(lambda c: admin_sessions.list_sessions(c, ann.id, office.now))

    assert (session.address, session.user_agent) == ("198.51.100.7", "x" + "y" * 119)


def test_a_password_given_again_counts_for_ten_minutes_and_changes_the_token(office: AdminOffice) -> None:
    before = office.sign_in(office.add())
    office.later(minutes=10)
    actor = office.by_cookie(before)
    assert actor is not None

    after = office.run(office.credentials.confirm, actor.credential_id)
    again = office.by_cookie(after)

    assert again is not None
    assert (is_confirmed(actor, office.now), is_confirmed(again, office.now), office.by_cookie(before)) == (False, True, None)
    assert again.credential_id == actor.credential_id


def test_rows_of_sessions_that_ended_a_week_ago_go_at_the_next_sign_in(office: AdminOffice) -> None:
    ann = office.add()
    office.sign_in(ann)
    office.later(days=9)
    office.sign_in(ann)

    assert office.database.read(lambda c: c.execute(text("SELECT count(*) FROM admin_sessions")).scalar_one()) == 1


# JWTs


def test_a_jwt_stands_for_its_admin_for_a_day_without_use(office: AdminOffice) -> None:
    ann = office.add(role=Role.EDITOR)
    token = office.jwt(ann)
    office.later(hours=23, minutes=59)
    before = office.by_bearer(token)
    office.later(minutes=1)

    assert before is not None
    assert (before.admin_id, before.role, before.via, office.by_bearer(token)) == (ann.id, Role.EDITOR, "jwt", None)


def test_a_jwt_holds_no_role_and_no_name(office: AdminOffice) -> None:
    assert claims_of(office.jwt(office.add())).keys() == {"sub", "jti", "aud", "iat", "exp"}


def test_a_revoked_jwt_is_refused_though_its_signature_is_good(office: AdminOffice) -> None:
    ann = office.add()
    token = office.jwt(ann)

    office.run(admin_sessions.end, ann.id, claims_of(token)["jti"], office.now)

    assert office.by_bearer(token) is None


@pytest.mark.parametrize("missing", ["exp", "iat", "aud", "sub", "jti"])
def test_a_jwt_without_one_of_its_claims_is_refused(office: AdminOffice, missing: str) -> None:
    claims = claims_of(office.jwt(office.add()))
    del claims[missing]

    assert office.by_bearer(signed(claims)) is None


@pytest.mark.parametrize(
    "changed",
    [{"aud": "another"}, {"aud": ["another"]}, {"sub": "adm_other"}, {"jti": "ses_other"}, {"exp": 1}, {"exp": 10**12}],
    ids=str,
)
def test_a_jwt_that_was_changed_is_refused_even_with_our_own_signature(office: AdminOffice, changed: dict[str, Any]) -> None:
    claims = claims_of(office.jwt(office.add()))

    assert office.by_bearer(signed({**claims, **changed})) is None


def test_a_jwt_of_one_admin_does_not_open_the_session_of_another(office: AdminOffice) -> None:
    mine, others = (claims_of(office.jwt(office.add(name))) for name in ("ann", "bob"))

    assert office.by_bearer(signed({**mine, "jti": others["jti"]})) is None


def test_a_jwt_with_a_foreign_secret_is_refused(office: AdminOffice) -> None:
    assert office.by_bearer(signed(claims_of(office.jwt(office.add())), "another signing secret for tests, not it")) is None


@pytest.mark.parametrize("algorithm", ["none", "HS384", "HS512"])
def test_a_jwt_of_another_algorithm_is_refused(office: AdminOffice, algorithm: str) -> None:
    claims = claims_of(office.jwt(office.add()))
    secret = "" if algorithm == "none" else JWT_SECRET

    assert office.by_bearer(signed(claims, secret, algorithm=algorithm)) is None


def test_a_jwt_that_calls_itself_rsa_or_brings_its_own_key_is_refused(office: AdminOffice) -> None:
    token = office.jwt(office.add())
    headers = [{"alg": "RS256", "typ": "JWT"}, {"alg": "HS256", "jku": "https://evil.example/keys"}, {"alg": "nOnE"}]
    bodies = token.split(".")

    forged = [
        f"{base64.urlsafe_b64encode(json.dumps(header).encode()).decode().rstrip('=')}.{bodies[1]}.{bodies[2]}"
        for header in headers
    ]

    assert [office.by_bearer(each) for each in forged] == [None] * 3


@pytest.mark.parametrize("spoil", ["{}x", "x{}", "{}.", "{} ", "{}.x.y"])
def test_a_jwt_with_something_more_is_refused(office: AdminOffice, spoil: str) -> None:
    assert office.by_bearer(spoil.format(office.jwt(office.add()))) is None


def test_a_header_nested_a_thousand_deep_is_refused_like_any_other(office: AdminOffice) -> None:
    header = base64.urlsafe_b64encode(b"[" * 1400).decode().rstrip("=")

    assert office.by_bearer(f"{header}.e30.x") is None


def test_a_session_cookie_is_no_bearer_token_and_the_other_way_round(office: AdminOffice) -> None:
    ann = office.add()

    assert office.by_bearer(office.sign_in(ann)) is None
    assert (office.by_cookie(office.jwt(ann)), office.by_cookie(office.api_token(ann))) == (None, None)
