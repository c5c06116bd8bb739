"""What a cookie's value is worth, and until when."""

from __future__ import annotations

import pytest

from admin_app.session import DEVICE_S, FORM_S, STAND_IN_S, Sessions

SECRET = "a signing secret for tests, not for use"
OWNER = ("admin", "the hash of a password")
OTHER_SECRET = "another signing secret for tests, not it"


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


def tokens(sessions: Sessions, *values: str) -> list[str]:
    return list(sessions.tokens(values))


def test_a_sessions_token_is_read_back_in_every_worker(sessions: Sessions, clock: Clock) -> None:
    assert tokens(Sessions(SECRET, OWNER, False, clock), sessions.sealed("token")) == ["token"]


def test_another_secret_signs_everybody_out(sessions: Sessions, clock: Clock) -> None:
    assert tokens(Sessions(OTHER_SECRET, OWNER, False, clock), sessions.sealed("token")) == []


@pytest.mark.parametrize("pattern", ["x{}", "{}x", "{}.x", "x.{}", "", "é", "."])
def test_a_value_that_was_tampered_with_is_nobody(sessions: Sessions, pattern: str) -> None:
    assert tokens(sessions, pattern.format(sessions.sealed("token"))) == []


def test_a_cookie_of_the_same_name_from_another_app_does_not_hide_ours(sessions: Sessions) -> None:
    assert tokens(sessions, "eyJub3QiOiJvdXJzIn0.x.y", sessions.sealed("token")) == ["token"]


def test_what_was_signed_for_one_purpose_is_worth_nothing_for_another(sessions: Sessions) -> None:
    values = [sessions.offer()[1], sessions.stand_in("admin"), sessions.device("admin"), sessions.form_token("x")]

    assert tokens(sessions, *values) == []
    assert (sessions.offered([*values[1:], sessions.sealed("x")]), sessions.standing_in([values[0], values[2]])) == (None, None)
    assert sessions.device_of([*values[:2], sessions.sealed("x")], "admin") == ""


def test_a_form_is_good_for_two_hours(sessions: Sessions, clock: Clock) -> None:
    offer, value = sessions.offer()
    clock.now += FORM_S - 1
    before = sessions.offered([value])
    clock.now += 1

    assert (before, sessions.offered([value])) == (offer, None)


def test_a_form_from_the_future_is_refused_beyond_a_minute(sessions: Sessions, clock: Clock) -> None:
    _, value = sessions.offer()
    clock.now -= 60
    slightly = sessions.offered([value])
    clock.now -= 1

    assert (slightly is None, sessions.offered([value])) == (False, None)


def test_a_form_token_is_good_for_its_own_holder_alone(sessions: Sessions) -> None:
    token = sessions.form_token("ses_mine")

    assert sessions.is_ours("ses_mine", token)
    assert not sessions.is_ours("ses_others", token)
    assert not sessions.is_ours("ses_mine", "")
    assert not sessions.is_ours("", sessions.form_token(""))


def test_who_stands_in_does_so_for_fifteen_minutes(sessions: Sessions, clock: Clock) -> None:
    value = sessions.stand_in("admin")
    clock.now += STAND_IN_S - 1
    before = sessions.standing_in([value])
    clock.now += 1

    assert before is not None
    assert (before.username, sessions.standing_in([value])) == ("admin", None)


@pytest.mark.parametrize("owner", [("admin", "the hash of a new password"), ("chief", OWNER[1])], ids=["password", "name"])
def test_a_new_password_or_name_in_the_settings_ends_standing_in(
    sessions: Sessions, clock: Clock, owner: tuple[str, str]
) -> None:
    assert Sessions(SECRET, owner, False, clock).standing_in([sessions.stand_in("admin")]) is None


def test_a_device_is_known_to_its_own_account_for_thirty_days_and_holds_no_name(sessions: Sessions, clock: Clock) -> None:
    value = sessions.device("admin")
    known, elsewhere = sessions.device_of([value], "admin"), sessions.device_of([value], "bob")
    renewed = sessions.device("admin", known)
    clock.now += DEVICE_S

    assert (known != "", elsewhere, sessions.device_of([renewed], "admin")) == (True, "", "")
    assert "admin" not in value
