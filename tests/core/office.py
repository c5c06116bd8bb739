"""Users, keys and Bedrock keys at hand: what the tests of core.access and core.bedrock_keys begin with."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from core import access, access_keys, bedrock_keys, users
from core.access import Limits, StoredGrant
from core.access_keys import IssuedKey, KeyOptions
from core.bedrock_keys import NewBedrockKey
from core.crypto import LocalVault, hash_access_key
from core.db import Database
from core.revision import current
from core.types import Residency, Strategy
from core.users import User

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
LIMITS = Limits(max_users=3, max_keys_per_user=2)
SERVER_SECRET = "a server secret for tests, not for use"
VAULT = LocalVault(b"k" * 32)


class Office:
    """The database with what every call needs."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def add(self, name: str, strategy: Strategy = Strategy.PLAN_FIRST) -> User:
        return self.database.run(lambda c: users.add_user(c, name, strategy, LIMITS, NOW))

    def issue(self, user: User, **options: object) -> IssuedKey:
        return self.issue_at(user, NOW, **options)

    def issue_at(self, user: User, now: datetime, **options: object) -> IssuedKey:
        wanted = KeyOptions(**options)  # type: ignore[arg-type]
        return self.database.run(lambda c: access_keys.issue_key(c, user, SERVER_SECRET, LIMITS, now, wanted))

    def rotate(self, key: IssuedKey, grace_s: float = 300) -> IssuedKey:
        return self.database.run(lambda c: access_keys.rotate_key(c, key.id, SERVER_SECRET, grace_s, NOW))

    def revoke(self, key: IssuedKey) -> None:
        self.database.run(lambda c: access_keys.revoke_key(c, key.id, NOW))

    def grant(self, key: IssuedKey, at: datetime = NOW) -> StoredGrant | None:
        hashed = hash_access_key(SERVER_SECRET, key.access_key)
        return self.database.read(lambda c: access.load_grant(c, hashed, at))

    def attach(self, user: User, region: str = "us-east-1", **more: object) -> str:
        new = NewBedrockKey(region, Residency.GEO, "a-bedrock-key", **more)  # type: ignore[arg-type]
        sealed = bedrock_keys.seal_bedrock_key(VAULT, new)
        self.database.run(lambda c: bedrock_keys.attach_bedrock_key(c, user, new, sealed, NOW))
        return sealed.id

    def revision(self) -> int:
        return self.database.read(current)["grants"]
