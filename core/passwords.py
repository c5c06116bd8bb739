"""Which passwords an admin may choose. Pure: text in, a refusal out.

Rules (ASVS 5.0, 6.2): 12 to 1024 characters, any of them, none demanded; not what everybody tries first. The list of those is
short and ours: see docs/security.md. Knows no hash and no table.
"""

from __future__ import annotations

import re
import secrets

from core.access import Invalid

FEWEST_CHARS, MOST_CHARS = 12, 1024
_WORDS = ("claudecodeproxy", "claudecode", "claude", "anthropic", "bedrock", "proxy", "gateway", "amazon")
_COMMON = (
    "password", "passwort", "passw0rd", "p@ssw0rd", "p@ssword", "motdepasse", "contrasena", "administrator", "admin", "letmein",
    "welcome", "willkommen", "changeme", "default", "secret", "geheim", "qwerty", "qwertz", "azerty", "asdf", "zxcvbn",
    "iloveyou", "football", "baseball", "dragon", "monkey", "sunshine", "princess", "superman", "trustno", "login", "master",
    "test", "guest", "root", "user", "hello", "summer", "winter", "spring", "autumn", "google", "microsoft", "uiop", "hjkl",
    "ghjk", "1q2w3e4r", "qazwsx",
)  # fmt: skip
_SEQUENCES = ("01234567890123456789", "98765432109876543210", "abcdefghijklmnopqrstuvwxyzabc")


def check_new_password(password: str, username: str) -> None:
    """Raises Invalid."""
    if not FEWEST_CHARS <= len(password) <= MOST_CHARS:
        raise Invalid(f"a password has {FEWEST_CHARS} to {MOST_CHARS} characters")
    if len(set(password)) < 5:
        raise Invalid("this password repeats a few characters; choose another")
    if len(_rest(password.lower(), username.lower())) < 5:
        raise Invalid("this password is made of a name or of what everybody tries first; choose another")


def new_password() -> str:
    """120 random bits."""
    return secrets.token_urlsafe(15)


def _rest(password: str, username: str) -> str:
    """What is left without names, common words, runs of digits or letters, years and punctuation."""
    names = sorted((word for word in (username, *_WORDS, *_COMMON) if len(word) > 2), key=len, reverse=True)
    for word in names:
        password = password.replace(word, "")
    for sequence in _SEQUENCES:
        for length in range(len(sequence), 2, -1):
            for start in range(len(sequence) - length + 1):
                password = password.replace(sequence[start : start + length], "")
    return re.sub(r"(19|20)\d\d|[\W_]|(.)\2{2,}", "", password)
