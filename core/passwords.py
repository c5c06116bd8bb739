"""Which passwords an admin may choose, and the one way to the hash of a new one. Text in, a refusal or a hash out.

Rules (ASVS 5.0, 6.1.2 and 6.2): 12 to 1024 characters, any of them, none demanded. Names and this product's words count for
nothing; what is left has to take 10^10 guesses, as zxcvbn estimates with its lists of common passwords, words and names.
Knows no table. Invariant: nothing is hashed that was not looked at; an estimate takes a bounded time, whatever is typed.
"""

from __future__ import annotations

import re
import secrets

from core.access import Invalid
from core.crypto import hash_password

FEWEST_CHARS, MOST_CHARS = 12, 1024
FEWEST_GUESSES_LOG10 = 10
CONTEXT_WORDS = (
    "claudecodeproxy", "claudecode", "claude", "anthropic", "bedrock", "proxy", "gateway", "amazon", "administrator", "admin",
    "editor", "viewer", "owner",
)  # fmt: skip
# An estimate's time grows with the square of the length and worse: what is typed first has to be good enough alone.
_MOST_LOOKED_AT = 24
_SHORTEST_NAME = 3
_ADVICE = "four words that have nothing to do with each other are harder to guess, and so is what a password manager makes"


def check_new_password(password: str, username: str) -> None:
    """Raises Invalid, with what is wrong and what would be better. Takes some ms of Python: not for the event loop."""
    if not FEWEST_CHARS <= len(password) <= MOST_CHARS:
        raise Invalid(f"a password has {FEWEST_CHARS} to {MOST_CHARS} characters")
    log10, why = _estimated(password)
    if log10 < FEWEST_GUESSES_LOG10:
        raise Invalid(f"this password is easy to guess{why}; {_ADVICE}")
    rest = _without_names(password, username)
    if rest is not None and _estimated(rest)[0] < FEWEST_GUESSES_LOG10:
        raise Invalid(f"this password is easy to guess (it is mostly your user name or this product's words); {_ADVICE}")


def hash_new_password(password: str, username: str, rounds: int = 12) -> str:
    """The hash of one that somebody chose or that was made. Raises Invalid."""
    check_new_password(password, username)
    return hash_password(password, rounds)


def new_password() -> str:
    """120 random bits."""
    return secrets.token_urlsafe(15)


def _estimated(password: str) -> tuple[float, str]:
    """How many guesses as a power of ten, and what a guesser would use, in words for people."""
    if not password:
        return 0.0, ""
    from zxcvbn import zxcvbn  # a quarter of a second and 15 MB: only where somebody chooses a password

    found = zxcvbn(password[:_MOST_LOOKED_AT])
    warning = str(found["feedback"]["warning"] or "").rstrip(".")
    return float(found["guesses_log10"]), f" ({warning[:1].lower()}{warning[1:]})" if warning else ""


def _without_names(password: str, username: str) -> str | None:
    """What is left without names and punctuation between them; None where there are none."""
    parts = [_letters(username), *re.split(r"[\W_]+", username), *CONTEXT_WORDS]
    names = sorted({part for part in parts if len(part) >= _SHORTEST_NAME}, key=len, reverse=True)
    rest, found = re.subn("|".join(map(re.escape, names)), "", _letters(password), flags=re.IGNORECASE)
    return rest if found else None


def _letters(text: str) -> str:
    """And digits."""
    return re.sub(r"[\W_]+", "", text)
