"""What a cookie is worth, and until when."""

from __future__ import annotations

import pytest

from admin_app.session import FORM_S, SESSION_S, Sessions

SECRET = "a signing secret for tests, not for use"
OWNER = ("admin", "the hash of a password")


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sessions(clock: Clock) -> Sessions:
    return Sessions(SECRET, OWNER, False, clock)


def test_a_session_says_who_signed_in_in_every_worker(sessions: Sessions, clock: Clock) -> None:
    other = Sessions(SECRET, OWNER, False, clock)

    found = other.signed_in([sessions.begin("admin")])

    assert found is not None
    assert found.username == "admin"


def test_a_session_ends_after_a_day(sessions: Sessions, clock: Clock) -> None:
    value = sessions.begin("admin")
    clock.now += SESSION_S - 1
    before = sessions.signed_in([value])
    clock.now += 1

    assert (before is None, sessions.signed_in([value])) == (False, None)


def test_a_session_from_the_future_is_refused_beyond_a_minute(sessions: Sessions, clock: Clock) -> None:
    value = sessions.begin("admin")
    clock.now -= 60
    slightly = sessions.signed_in([value])
    clock.now -= 1

    assert (slightly is None, sessions.signed_in([value])) == (False, None)


@pytest.mark.parametrize(
    ("secret", "owner"),
    [
        ("another signing secret for tests, not it", OWNER),
        (SECRET, ("admin", "the hash of a new password")),
        (SECRET, ("owner", OWNER[1])),
    ],
    ids=["secret", "password", "user name"],
)
def test_a_new_secret_password_or_user_name_signs_everybody_out(
    sessions: Sessions, clock: Clock, secret: str, owner: tuple[str, str]
) -> None:
    assert Sessions(secret, owner, False, clock).signed_in([sessions.begin("admin")]) is None


@pytest.mark.parametrize("pattern", ["x{}", "{}x", "{}.x", "x.{}", "", "é", "."])
def test_a_value_that_was_tampered_with_is_nobody(sessions: Sessions, pattern: str) -> None:
    assert sessions.signed_in([pattern.format(sessions.begin("admin"))]) is None


def test_a_cookie_of_the_same_name_from_another_app_does_not_hide_ours(sessions: Sessions) -> None:
    assert sessions.signed_in(["eyJub3QiOiJvdXJzIn0.x.y", sessions.begin("admin")]) is not None


def test_what_was_given_with_a_form_is_no_session(sessions: Sessions) -> None:
    _, value = sessions.offer()

    assert (sessions.signed_in([value]), sessions.offered([sessions.begin("admin")])) == (None, None)


def test_a_form_is_good_for_two_hours(sessions: Sessions, clock: Clock) -> None:
    session, value = sessions.offer()
    clock.now += FORM_S - 1
    before = sessions.offered([value])
    clock.now += 1

    assert (before, sessions.offered([value])) == (session, None)


def test_a_form_token_is_good_for_its_own_session_alone(sessions: Sessions) -> None:
    mine, others = sessions.offer()[0], sessions.offer()[0]

    assert sessions.is_ours(mine, sessions.form_token(mine))
    assert not sessions.is_ours(mine, sessions.form_token(others))
    assert not sessions.is_ours(mine, "")
    assert not sessions.is_ours(None, sessions.form_token(mine))


def test_two_sessions_are_never_the_same(sessions: Sessions) -> None:
    assert sessions.begin("admin") != sessions.begin("admin")
