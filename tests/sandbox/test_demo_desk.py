"""The demo's admins have a second factor as any authenticator app makes it."""

from __future__ import annotations

import base64

import pytest

from sandbox.demo_desk import code_of

SECRET = base64.b32encode(b"12345678901234567890").decode()


@pytest.mark.parametrize(("now", "code"), [(59, "287082"), (1111111109, "081804"), (20000000000, "353130")])
def test_codes_are_those_of_the_standard(now: int, code: str) -> None:
    assert code_of(SECRET, now) == code
