"""Access key text into a `Grant`: cached, misses too, and stale while the database is away.

The only place where the text of an access key is looked at; it is hashed at once and kept nowhere. Invariant: a key is
refused (`Unknown`) only on the database's word or for a wrong checksum; when the database cannot be asked, an unknown key is
`Unavailable`, never unknown (fail open for known keys, closed for all others, by SPEC section 3).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from core.access import StoredBedrockKey, StoredGrant, load_grant
from core.cache import Cache
from core.crypto import CannotOpen, Vault, hash_access_key, is_wellformed
from core.db import Database, DatabaseAway
from core.threads import TookTooLong, within
from core.types import BedrockKey, Grant

log = logging.getLogger(__name__)

_MISS_S = 5.0
_MOST_MISSES = 10_000
_UNOPENED_S = 5.0  # a grant that lacks a Bedrock key which could not be opened just now is looked up again soon
_COOL_OFF_S = 2.0  # asking a database host that has gone silent can take seconds each time
_PATIENCE_S = 1.0  # as long as a known key waits for that


class Unknown(Exception):
    """Not a key that may be used: malformed, never issued, revoked, expired, or of an inactive user. Deliberately one."""


class Unavailable(Exception):
    """The database is away and this key is not known here."""


@dataclass(frozen=True, slots=True)
class Known:
    """A cached look-up. `expires_at` is unix seconds. `whole`: every Bedrock key of the grant could be opened."""

    grant: Grant
    expires_at: float
    whole: bool = True


class Directory:
    """One a worker. `refresh()` after the tick saw a change of keys: every entry is looked up again on its next use."""

    def __init__(
        self,
        database: Database,
        vault: Vault,
        server_secret: str,
        cache: Cache[str, Known],
        clocks: tuple[Callable[[], float], Callable[[], float]],
        ttl: tuple[float, float],
    ) -> None:
        self._database = database
        self._vault = vault
        self._server_secret = server_secret
        self._cache = cache
        self._clock, self._wall = clocks
        self._misses = Cache[str, bool](_MOST_MISSES, self._clock)  # apart: guesses must not push known keys out
        self._ask_again_at = 0.0
        self._away = False
        self._fresh_s, self._stale_s = ttl
        self._generation = 0

    def grant_of(self, access_key: str) -> Grant:
        """Raises Unknown or Unavailable. Asks the database only for a key that is not fresh in the cache."""
        if not is_wellformed(access_key):
            raise Unknown
        key_hash = hash_access_key(self._server_secret, access_key)
        if self._misses.get(key_hash):
            raise Unknown
        known = self._cache.get(key_hash) or self._look_up(key_hash)
        if known.expires_at <= self._wall():
            raise Unknown
        return known.grant

    def refresh(self) -> None:
        """Nothing cached counts as fresh any more; it still serves while the database is away, which it was not just now."""
        self._generation += 1
        self._away, self._ask_again_at = False, 0.0
        self._cache.expire()
        self._misses.expire()

    def _look_up(self, key_hash: str) -> Known:
        """Raises Unknown or Unavailable. A known key does not wait for a silent database: what it says is kept when it speaks."""
        if self._clock() < self._ask_again_at:
            return self._stale(key_hash)
        known = self._cache.get_stale(key_hash)
        if known is None:
            return self._asked(key_hash)
        try:
            return within(_PATIENCE_S, partial(self._asked, key_hash))
        except TookTooLong:
            self._away, self._ask_again_at = True, self._clock() + _COOL_OFF_S
            return known

    def _asked(self, key_hash: str) -> Known:
        """As `_look_up`. What was found while keys changed may be the old answer, and is not kept as fresh."""
        generation = self._generation
        try:
            stored = self._ask(key_hash)
        except DatabaseAway:
            return self._stale(key_hash)
        changed = generation != self._generation
        if stored is None:
            self._cache.drop(key_hash)
            self._misses.put(key_hash, True, 0.0 if changed else _MISS_S)
            raise Unknown
        known = self._known(stored)
        fresh_s = self._fresh_s if known.whole else _UNOPENED_S
        self._cache.put(key_hash, known, 0.0 if changed else fresh_s, self._stale_s)
        return known

    def _ask(self, key_hash: str) -> StoredGrant | None:
        """Raises DatabaseAway. While it is away one request at a time finds out whether it is back; the others go on."""
        if self._away:
            self._ask_again_at = self._clock() + _COOL_OFF_S
        now = datetime.fromtimestamp(self._wall(), UTC)
        try:
            stored = self._database.read(lambda connection: load_grant(connection, key_hash, now))
        except DatabaseAway:
            self._away = True
            self._ask_again_at = self._clock() + _COOL_OFF_S
            raise
        self._away = False
        self._ask_again_at = 0.0
        return stored

    def _stale(self, key_hash: str) -> Known:
        known = self._cache.get_stale(key_hash)
        if known is None:
            raise Unavailable
        return known

    def _known(self, stored: StoredGrant) -> Known:
        opened = [self._open_key(each) for each in stored.bedrock_keys]
        keys = tuple(key for key in opened if key is not None)
        limits = (stored.requests_per_minute, stored.user_budget_micros, stored.key_budget_micros)
        grant = Grant(stored.user_id, stored.access_key_id, stored.strategy, keys, *limits)
        expires_at = stored.expires_at.timestamp() if stored.expires_at else float("inf")
        return Known(grant, expires_at, whole=len(keys) == len(opened))

    def _open_key(self, stored: StoredBedrockKey) -> BedrockKey | None:
        try:
            secret = self._vault.open(stored.sealed, stored.id)
        except CannotOpen as error:
            log.error("a Bedrock key cannot be opened", extra={"context": {"bedrock_key_id": stored.id, "reason": str(error)}})
            return None
        return BedrockKey(stored.id, stored.region, stored.residency, stored.health, secret)
