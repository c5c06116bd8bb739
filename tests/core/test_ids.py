"""Ids have the form that SPEC section 3 says, sort by time, and hold all the randomness they are given."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.ids import new_id, new_request_id

FORM = re.compile(r"req_[0-9A-HJKMNP-TV-Z]{26}")
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def number_in(request_id: str) -> int:
    number = 0
    for character in request_id[4:]:
        number = number * 32 + ALPHABET.index(character)
    return number


@given(st.integers(0, 2**40), st.binary(min_size=10, max_size=10))
def test_a_request_id_is_its_milliseconds_and_its_entropy(ms: int, entropy: bytes) -> None:
    made = new_request_id((ms + 0.5) / 1000, entropy)

    assert FORM.fullmatch(made)
    assert number_in(made) == (ms << 80) + int.from_bytes(entropy, "big")


@given(st.integers(0, 2**40), st.integers(1, 2**40), st.binary(min_size=10, max_size=10), st.binary(min_size=10, max_size=10))
def test_a_later_request_has_a_greater_id(ms: int, later: int, first: bytes, second: bytes) -> None:
    assert new_request_id((ms + 0.5) / 1000, first) < new_request_id((ms + later + 0.5) / 1000, second)


@pytest.mark.parametrize("length", [0, 9, 11])
def test_another_amount_of_entropy_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match="10 bytes"):
        new_request_id(1.0, b"x" * length)


def test_row_ids_carry_their_prefix_and_differ() -> None:
    made = {new_id("usr") for _ in range(100)}

    assert len(made) == 100
    assert all(re.fullmatch(r"usr_[0-9A-HJKMNP-TV-Z]{26}", each) for each in made)


@given(st.integers(0, 2**50), st.integers(1, 1000))
def test_a_row_that_is_made_a_microsecond_later_has_a_greater_id(us: int, later: int) -> None:
    """Lists are shown in the order of ids, and two rows are made within a millisecond."""
    first, second = (new_id("usr", lambda us=each: (us + 0.5) / 1e6) for each in (us, us + later))

    assert first < second
