"""Forged API tokens, before anybody looks for a row: what the signature and the claims alone keep out (ASVS 5.0, 9.1 and 9.2).

Behind it a token must be the very one that its row was written for (test_credentials.py), which would refuse all of these, too:
so they are put to the reading alone here.
"""

from __future__ import annotations

import base64
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from core.admin_jwt import Claims, read_jwt, write_jwt

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
SECRET = "a signing secret for tests, not for use; so long that every algorithm likes it"
PLAIN = {"alg": "HS256", "typ": "JWT"}


def good() -> dict[str, Any]:
    token = write_jwt(SECRET, Claims("adm_1", "ses_1"), NOW, NOW + timedelta(hours=24))
    found: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return found


def made(header: dict[str, str], claims: dict[str, Any], key: str, digest: str = "sha256") -> str:
    """As no library would make it."""
    parts = [base64.urlsafe_b64encode(json.dumps(each).encode()).decode().rstrip("=") for each in (header, claims)]
    signature = hmac.digest(key.encode(), ".".join(parts).encode(), digest)
    return ".".join([*parts, base64.urlsafe_b64encode(signature).decode().rstrip("=")])


def read(token: str, now: datetime = NOW) -> Claims | None:
    return read_jwt(SECRET, token, now)


def test_one_of_ours_is_read_and_so_is_one_made_by_hand_with_our_secret() -> None:
    """Or the refusals below would prove nothing."""
    assert read(made(PLAIN, good(), SECRET)) == Claims("adm_1", "ses_1")


@pytest.mark.parametrize("name", ["none", "None", "nOnE", ""])
@pytest.mark.parametrize("with_signature", [True, False])
def test_one_without_an_algorithm_is_refused(name: str, with_signature: bool) -> None:
    token = made({**PLAIN, "alg": name}, good(), SECRET)

    assert read(token if with_signature else f"{token.rpartition('.')[0]}.") is None


@pytest.mark.parametrize(("name", "digest"), [("HS384", "sha384"), ("HS512", "sha512"), ("HS256", "sha512"), ("RS256", "sha256")])
def test_another_algorithm_is_refused_even_with_our_secret(name: str, digest: str) -> None:
    assert read(made({**PLAIN, "alg": name}, good(), SECRET, digest)) is None


@pytest.mark.parametrize("where", ["kid", "jku", "x5u", "jwk"])
@pytest.mark.parametrize("place", ["/dev/null", "../../dev/null", "' UNION SELECT ''--", "https://evil.example/k"])
@pytest.mark.parametrize("key", ["", "the place itself"])
def test_one_that_says_where_its_key_is_is_not_believed(where: str, place: str, key: str) -> None:
    """Signed as it would be for who looked for the key there."""
    assert read(made({**PLAIN, where: place}, good(), key and place)) is None


@pytest.mark.parametrize("kind", ["RS256", "ES256"])
def test_somebodys_own_key_pair_is_refused_and_so_is_its_public_half_as_a_secret(kind: str) -> None:
    pair: Any = rsa.generate_private_key(65537, 2048) if kind == "RS256" else ec.generate_private_key(ec.SECP256R1())
    public = pair.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    assert read(jwt.encode(good(), pair, kind)) is None
    assert read(made(PLAIN, good(), public)) is None


@pytest.mark.parametrize("secret", ["", "another secret", SECRET[:-1], SECRET.upper()])
def test_a_foreign_secret_is_refused(secret: str) -> None:
    assert read(made(PLAIN, good(), secret)) is None


@pytest.mark.parametrize("aud", ["another", ["another"], "claude-code-proxy", "", [], None])
def test_one_for_somebody_else_is_refused(aud: Any) -> None:
    assert read(made(PLAIN, {**good(), "aud": aud}, SECRET)) is None


@pytest.mark.parametrize("missing", ["exp", "iat", "aud", "sub", "jti"])
def test_one_without_a_claim_is_refused(missing: str) -> None:
    claims = good()
    del claims[missing]

    assert read(made(PLAIN, claims, SECRET)) is None


def test_it_ends_when_it_says_so() -> None:
    token, end = made(PLAIN, good(), SECRET), NOW + timedelta(hours=24)

    assert (read(token, end - timedelta(seconds=1)), read(token, end)) == (Claims("adm_1", "ses_1"), None)


@pytest.mark.parametrize("changed", [{"sub": "adm_2"}, {"jti": "ses_2"}, {"exp": 10**10}])
def test_claims_that_were_changed_lose_the_signature(changed: dict[str, Any]) -> None:
    head, _, signature = made(PLAIN, good(), SECRET).split(".")
    body = made(PLAIN, {**good(), **changed}, SECRET).split(".")[1]

    assert read(f"{head}.{body}.{signature}") is None
