"""Which passwords an admin may choose."""

from __future__ import annotations

import pytest

from core.access import Invalid
from core.crypto import check_password, hash_password
from core.passwords import check_new_password, new_password


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
    ],
)
def test_what_everybody_tries_first_is_refused(password: str) -> None:
    with pytest.raises(Invalid):
        check_new_password(password, "annemarie")


def test_one_that_is_made_for_somebody_is_good_enough_and_never_the_same() -> None:
    made = {new_password() for _ in range(50)}

    assert len(made) == 50
    for password in made:
        check_new_password(password, "ann")


def test_every_one_of_sixty_four_and_more_characters_counts() -> None:
    password = "correct horse " * 20
    stored = hash_password(password, rounds=4)

    assert (check_password(password, stored), check_password(password[:-1] + "!", stored)) == (True, False)
