"""Which logins an exhausted circuit knows, and that it cannot know too many."""

from __future__ import annotations

from proxy_app.circuit_logins import MOST_LOGINS, Logins


def test_nobody_is_another_login_while_none_was_rejected() -> None:
    assert not Logins().is_another("a", now=0.0, open_until=100.0)


def test_a_request_without_credential_is_never_another_login() -> None:
    logins = Logins()
    logins.reject("a", 100.0)
    assert not logins.is_another("", now=0.0, open_until=100.0)


def test_an_unknown_credential_is_not_rejected() -> None:
    logins = Logins()
    logins.reject("", 100.0)
    assert not logins.has_rejected


def test_a_login_is_another_again_only_when_the_circuit_is_open_for_a_later_one() -> None:
    logins = Logins()
    logins.reject("a", 50.0)
    logins.reject("b", 100.0)
    assert not logins.is_another("a", now=49.0, open_until=100.0)
    assert logins.is_another("a", now=50.0, open_until=100.0)
    assert not logins.is_another("b", now=100.0, open_until=100.0)


def test_more_logins_than_there_is_room_for_push_the_oldest_out() -> None:
    logins = Logins()
    for number in range(MOST_LOGINS + 1):
        logins.reject(f"login-{number}", 100.0)
    assert logins.is_another("login-0", now=0.0, open_until=100.0)
    assert not logins.is_another("login-1", now=0.0, open_until=100.0)


def test_a_login_closes_once_in_an_interval() -> None:
    logins = Logins()
    logins.remember_closing("a", 10.0)
    assert not logins.may_close("a", 39.0, 30.0)
    assert logins.may_close("a", 40.0, 30.0)
    assert logins.may_close("b", 10.0, 30.0)
