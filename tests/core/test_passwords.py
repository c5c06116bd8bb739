"""Which passwords an admin may choose."""

from __future__ import annotations

import time

import pytest
from zxcvbn.frequency_lists import FREQUENCY_LISTS

from core.access import Invalid
from core.crypto import check_password, hash_password
from core.passwords import FEWEST_CHARS, check_new_password, hash_new_password, new_password
from tests import machine


def is_refused(password: str, username: str) -> bool:
    try:
        check_new_password(password, username)
    except Invalid:
        return True
    return False


@pytest.mark.parametrize(
    "password",
    [
        "correct horse battery staple",
        "ünïcödé wörds äre fine",
        "x7Kp2mQ9vR4t",
        "correct horse battery " * 40,
        "my cat is 12 years old",
    ],
)
def test_any_characters_do_as_long_as_there_are_enough(password: str) -> None:
    check_new_password(password, "ann")


@pytest.mark.parametrize(
    "password",
    [
        "",
        "elevenchars",
        "x" * 1025,
        "aaaaaaaaaaaa",
        "abababababab",
        "password1234",
        "Passw0rd!2026",
        "123456789012",
        "qwertyuiop123",
        "ClaudeCodeProxy1",
        "claude-proxy-2026",
        "annemarie-annemarie1",
        "AnneMarie2026!",
        "administrator1",
        "Welcome2026!!",
        "letmein letmein",
        "correcthorse",
        "sunshine princess",
        "1qaz2wsx3edc",
        "monkey123456",
        "zaq12wsxcde34rfv",
        "Anne.Marie!2026",
        "administrator administrator",
        "annemarie@amazon",
    ],
)
def test_what_everybody_tries_first_is_refused(password: str) -> None:
    with pytest.raises(Invalid):
        check_new_password(password, "annemarie")


def test_each_of_the_common_passwords_that_is_long_enough_is_refused() -> None:
    """Of the 30,000 that zxcvbn knows; with what people add to make them longer."""
    common = [each for each in FREQUENCY_LISTS["passwords"] if len(each) >= FEWEST_CHARS]
    longer = [f"{each.title()}2026!" for each in FREQUENCY_LISTS["passwords"][:300]]
    long_enough = [each for each in longer if len(each) >= FEWEST_CHARS]

    assert (len(common) > 200, len(long_enough) > 100) == (True, True)
    assert [each for each in [*common, *long_enough] if not is_refused(each, "ann")] == []


@pytest.mark.parametrize("username", ["annemarie", "anne.marie@example.com", "anne-marie+admin"])
def test_a_name_counts_for_nothing_in_any_part_of_it(username: str) -> None:
    assert is_refused("Marie-Marie-Marie-7", username)
    assert not is_refused("marie bakes nineteen blue hats", username)


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("too short", "12 to 1024 characters"),
        ("password1234", "common"),
        ("abcabcabcabc", "Repeats like"),
        ("claude-proxy-gateway-2026", "your user name or this product's words"),
    ],
)
def test_a_refusal_says_why_and_what_would_be_better(password: str, why: str) -> None:
    with pytest.raises(Invalid) as refused:
        check_new_password(password, "ann")

    assert why.lower() in str(refused.value).lower()
    assert len(password) < FEWEST_CHARS or "four words" in str(refused.value)


@pytest.mark.parametrize("typed", ["4@(<31!|7+%2" * 85, "8094@7@5{@6(|8<4${6<01&6" * 42, "a" * 1024, "1@" * 512])
def test_whatever_is_typed_is_looked_at_in_a_bounded_time(typed: str) -> None:
    """Past its first 24 characters an estimate took seconds."""
    began = time.process_time()

    is_refused(typed, "ann")

    assert time.process_time() - began < 2.0 * machine.slowness()


def test_nothing_is_hashed_that_would_be_refused() -> None:
    with pytest.raises(Invalid):
        hash_new_password("password1234", "ann", rounds=4)

    assert check_password("marie bakes nineteen blue hats", hash_new_password("marie bakes nineteen blue hats", "ann", rounds=4))


def test_one_that_is_made_for_somebody_is_good_enough_and_never_the_same() -> None:
    made = {new_password() for _ in range(50)}

    assert len(made) == 50
    for password in made:
        check_new_password(password, "ann")


def test_every_one_of_sixty_four_and_more_characters_counts() -> None:
    password = "correct horse " * 20
    stored = hash_password(password, rounds=4)

    assert (check_password(password, stored), check_password(password[:-1] + "!", stored)) == (True, False)
