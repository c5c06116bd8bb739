"""What admins do with Bedrock keys: the declarations, and what each does through core (SPEC sections 8, 11).

Sealing may ask KMS and a test asks AWS: neither is done within a transaction. Invariant: a Bedrock key goes in and is in no
answer, not even in part, and never in the audit log.
"""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Annotated, Any

from msgspec import UNSET, Meta, UnsetType

from admin_app.cursors import after_of, listed
from admin_app.fields import Cursor, Id, Limit, Moment, Text
from admin_app.operation import BadFields, Doing, Listed, Nothing, Offer, Operation, Shape, Shown, Work, asks, changes
from admin_app.secret_fields import SECRET
from core import bedrock_keys
from core.access import Refused
from core.actor import Role
from core.bedrock_key_list import BedrockFilter, BedrockLine, bedrock_line, bedrock_lines
from core.bedrock_keys import NewBedrockKey
from core.crypto import CannotOpen, VaultAway
from core.ports import ProbeResult
from core.types import KeyHealth, Residency
from core.users import find_user

log = logging.getLogger(__name__)

Secret = Annotated[str, Meta(min_length=1, max_length=8192, description="a Bedrock API key, one line")]


class TestShown(Shown, frozen=True, kw_only=True):
    """What a tiny request to AWS found. Not `ok`: `reason` says why, and health whether the key is still used."""

    ok: bool
    reason: str


class BedrockKeyShown(Shown, frozen=True, kw_only=True):
    """A Bedrock key without its text. `access_key_id` null: all keys of the user may use it. `warning`: what to know of its end
    in time, else empty. `test` is there in the answer to a test alone."""

    id: str
    user_id: str
    user_name: str
    access_key_id: str | None
    access_key_prefix: str | None
    name: str
    region: str
    residency: Residency
    health: KeyHealth
    reason: str
    warning: str
    tested_at: datetime | None
    expires_at: datetime | None
    created_at: datetime
    test: TestShown | UnsetType = UNSET


class FindBedrockKeys(Shape, frozen=True, kw_only=True):
    """Those that are not removed. `access_key_id`: those of that key alone."""

    user_id: Text = ""
    access_key_id: Text = ""
    health: KeyHealth | None = None
    limit: Limit = 50
    cursor: Cursor = ""


class TheBedrockKey(Shape, frozen=True, kw_only=True):
    bedrock_key_id: Id


class AttachedKey(Shape, frozen=True, kw_only=True):
    """`secret` is the Bedrock API key. No `region`: the one that is set for all. `access_key_id`: for that key alone.
    `expires_at`: when AWS will end it, to be warned in time."""

    user_id: Id
    secret: Annotated[Secret, SECRET]
    region: Text = ""
    residency: Residency = Residency.GLOBAL
    access_key_id: Id | None = None
    name: Text = ""
    expires_at: Moment | None = None

    def __repr__(self) -> str:
        return f"AttachedKey(user_id={self.user_id!r})"


def _find(doing: Doing, taken: FindBedrockKeys) -> Listed[BedrockKeyShown]:
    wanted = BedrockFilter(taken.user_id, taken.access_key_id, "", taken.health)
    page = bedrock_lines(doing.connection, wanted, taken.limit, after_of(doing, taken))
    return listed(doing, taken, page, lambda line: shown(line, doing.now))


def _get(doing: Doing, taken: TheBedrockKey) -> BedrockKeyShown:
    return shown(bedrock_line(doing.connection, taken.bedrock_key_id), doing.now)


def _attach(work: Work, taken: AttachedKey) -> BedrockKeyShown:
    """It is kept even if its test fails."""
    region = taken.region or work.tools.settings.bedrock_region
    new = NewBedrockKey(region, taken.residency, taken.secret.strip(), taken.access_key_id, taken.name.strip(), taken.expires_at)
    _check_end(new, work.now)
    user = work.read(lambda doing: find_user(doing.connection, taken.user_id))  # before anybody is asked
    try:
        key = bedrock_keys.seal_bedrock_key(work.tools.vault, new)
    except VaultAway as away:
        raise Refused("KMS does not answer, so the key cannot be sealed; nothing was kept, please try again") from away

    def attach(doing: Doing) -> None:
        bedrock_keys.attach_bedrock_key(doing.connection, user, new, key, doing.now)
        doing.note("bedrock_key.attach", key.id, {}, _noted(bedrock_line(doing.connection, key.id)))

    work.change(attach)
    return _record(work, key.id, _probe(work, region, new.secret, new.residency))


def _test(work: Work, taken: TheBedrockKey) -> BedrockKeyShown:
    key = work.read(lambda doing: bedrock_keys.find_bedrock_key(doing.connection, taken.bedrock_key_id)).key
    try:
        secret = work.tools.vault.open(key.sealed, key.id)
    except VaultAway as away:
        raise Refused("KMS does not answer, so the key cannot be opened for a test; please try again") from away
    except CannotOpen as closed:
        why = "it was sealed with another key than the one in use; restore that, or attach it anew"
        raise Refused(f"the key cannot be opened: {why}") from closed
    return _record(work, key.id, _probe(work, key.region, secret, key.residency))


def _remove(doing: Doing, taken: TheBedrockKey) -> Nothing:
    before = bedrock_line(doing.connection, taken.bedrock_key_id)
    bedrock_keys.remove_bedrock_key(doing.connection, before.id, doing.now)
    doing.note("bedrock_key.remove", before.id, _noted(before), {})
    return Nothing()


def _probe(work: Work, region: str, secret: str, residency: Residency) -> ProbeResult:
    try:
        return work.tools.probe.test(region, secret, residency)
    except Exception as error:  # the key is kept; whatever ails the test, its owner must learn of the key
        log.warning("a Bedrock key could not be tested (%s)", type(error).__name__)
        return ProbeResult(False, f"the test could not be made ({type(error).__name__})")


def _record(work: Work, bedrock_key_id: str, result: ProbeResult) -> BedrockKeyShown:
    def record(doing: Doing) -> BedrockLine:
        before = bedrock_line(doing.connection, bedrock_key_id)
        bedrock_keys.record_bedrock_test(doing.connection, bedrock_key_id, result, doing.now)
        after = bedrock_line(doing.connection, bedrock_key_id)
        doing.note("bedrock_key.test", bedrock_key_id, {"health": before.health}, {"health": after.health, "ok": result.ok})
        return after

    return shown(work.change(record), work.now, TestShown(ok=result.ok, reason=result.reason))


def _check_end(new: NewBedrockKey, now: datetime) -> None:
    if new.expires_at is not None and new.expires_at <= now:
        raise BadFields({"expires_at": "must lie in the future"})


def shown(line: BedrockLine, now: datetime, test: TestShown | UnsetType = UNSET) -> BedrockKeyShown:
    return BedrockKeyShown(
        id=line.id,
        user_id=line.user_id,
        user_name=line.user_name,
        access_key_id=line.access_key_id or None,
        access_key_prefix=line.prefix or None,
        name=line.name,
        region=line.region,
        residency=line.residency,
        health=line.health,
        reason=line.reason,
        warning=line.warning(now),
        tested_at=line.tested_at,
        expires_at=line.expires_at,
        created_at=line.created_at,
        test=test,
    )


def _noted(line: BedrockLine) -> dict[str, Any]:
    """For the audit log."""
    whose = {"user_id": line.user_id, "access_key_id": line.access_key_id or None, "name": line.name}
    return {**whose, "region": line.region, "residency": line.residency, "expires_at": line.expires_at}


LIST = Operation("listBedrockKeys", "Find Bedrock keys", Role.VIEWER, FindBedrockKeys, Listed[BedrockKeyShown], asks(_find))
GET = Operation("getBedrockKey", "One Bedrock key", Role.VIEWER, TheBedrockKey, BedrockKeyShown, asks(_get))
ATTACH = Operation("attachBedrockKey", "Attach a Bedrock key and test it", Role.EDITOR, AttachedKey, BedrockKeyShown, _attach)
TEST = Operation("testBedrockKey", "Ask AWS whether it takes the key", Role.EDITOR, TheBedrockKey, BedrockKeyShown, _test)
REMOVE = Operation("removeBedrockKey", "Destroy a Bedrock key, for good", Role.EDITOR, TheBedrockKey, Nothing, changes(_remove))

OFFERS = (
    Offer("GET", "/bedrock-keys", LIST, tag="Bedrock keys"),
    Offer("POST", "/bedrock-keys", ATTACH, 201, tag="Bedrock keys"),
    Offer("GET", "/bedrock-keys/{bedrock_key_id}", GET, tag="Bedrock keys"),
    Offer("POST", "/bedrock-keys/{bedrock_key_id}/test", TEST, tag="Bedrock keys"),
    Offer("DELETE", "/bedrock-keys/{bedrock_key_id}", REMOVE, 204, tag="Bedrock keys"),
)
