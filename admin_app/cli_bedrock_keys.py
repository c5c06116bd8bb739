"""The command line's `bedrock-key`: attached, tested, listed. Knows words and answers, no SQL; the rules are in core.

Invariant: a Bedrock key comes in by standard input alone and is in no answer.
"""

from __future__ import annotations

import getpass
from argparse import Namespace
from dataclasses import replace
from datetime import timedelta
from functools import partial

from admin_app import bedrock_key_operations as does
from admin_app import listings
from admin_app.cli_desk import Answer, Desk, Outside, Words
from admin_app.cli_values import days
from admin_app.operation import Doing
from core import bedrock_keys
from core.access import StoredBedrockKey
from core.crypto import CannotOpen, LocalVault, Vault, VaultAway, open_vault
from core.numerals import many
from core.types import Residency


def add_words(nouns: Words) -> None:
    verbs = nouns.noun("bedrock-key", "Bedrock API keys")
    add = verbs.verb("add", _add, "attach a key, then test it; it is kept even if the test fails")
    add.add_argument("--user", required=True, metavar="NAME_OR_ID")
    add.add_argument("--access-key", metavar="ID", help="for this access key alone")
    add.add_argument("--region")
    add.add_argument("--name", default="")
    add.add_argument("--expires-days", type=days, metavar="DAYS", help="when AWS will end it; it is warned about in time")
    add.add_argument("--residency", choices=[each.value for each in Residency], default=Residency.GLOBAL.value)
    add.add_argument("--key-stdin", action="store_true", required=True, help="the key is read from standard input, one line")
    verbs.verb("test", _test, "test a key; exit 1 if it fails").add_argument("id", metavar="ID")
    verbs.verb("remove", _remove, "take a key out of use and destroy its secret").add_argument("id", metavar="ID")
    reseal = verbs.verb("reseal", _reseal, "encrypt all keys anew under the current KMS key, or the local key file")
    reseal.add_argument("--old-kms-key", metavar="ARN", help="what they were sealed with, when PROXY_KMS_KEY_ID has changed")
    verbs.verb("list", _list, "list keys, never their text").add_argument("--user", metavar="NAME_OR_ID")


def _add(desk: Desk, arguments: Namespace) -> Answer:
    region, residency = arguments.region or desk.settings.bedrock_region, Residency(arguments.residency)
    user, days_left = desk.user(arguments.user), arguments.expires_days
    wanted = does.AttachedKey(
        user_id=user.id,
        secret=_secret_line(desk.outside),
        region=region,
        residency=residency,
        access_key_id=arguments.access_key,
        name=arguments.name,
        expires_at=desk.now() + timedelta(days=days_left) if days_left else None,
    )
    key = desk.does(does.ATTACH, wanted)
    saved = f"Attached {key.id} to {user.name}, {region}."
    return Answer({"id": key.id, "test": {"ok": key.test.ok, "reason": key.test.reason}}, f"{saved} {_verdict(key.test)}")


def _test(desk: Desk, arguments: Namespace) -> Answer:
    key = desk.does(does.TEST, does.TheBedrockKey(bedrock_key_id=arguments.id))
    result = key.test
    document = {"id": key.id, "test": {"ok": result.ok, "reason": result.reason}}
    return Answer(document, _verdict(result), exit_code=0 if result.ok else 1)


def _list(desk: Desk, arguments: Namespace) -> Answer:
    user_id = desk.user(arguments.user).id if arguments.user else None
    found = desk.database.read(lambda c: bedrock_keys.list_bedrock_keys(c, user_id))
    listing = listings.of_bedrock_keys(found, desk.now())
    return Answer(listing.rows, listing.table)


def _remove(desk: Desk, arguments: Namespace) -> Answer:
    desk.does(does.REMOVE, does.TheBedrockKey(bedrock_key_id=arguments.id))
    return Answer({"id": arguments.id, "removed": True}, f"Removed {arguments.id}; its secret is destroyed.")


def _reseal(desk: Desk, arguments: Namespace) -> Answer:
    """One after the other, so that it can be broken off and run again."""
    vault, openers = desk.vault(), _openers(desk, arguments.old_kms_key)
    resealed, closed = 0, list[str]()
    for each in desk.database.read(bedrock_keys.list_bedrock_keys):
        secret = _opened(each.key, openers)
        if secret is None:
            closed.append(each.key.id)
            continue
        sealed = vault.seal(secret, each.key.id)
        resealed += desk.change(partial(_replace, key=each.key, sealed=sealed))
    text = f"Sealed {many(resealed, 'key')} anew."
    failed = f" These can be opened with no key at hand; remove and add them again: {', '.join(closed)}." if closed else ""
    return Answer({"resealed": resealed, "cannot_open": closed}, text + failed, exit_code=1 if closed else 0)


def _replace(doing: Doing, key: StoredBedrockKey, sealed: bytes) -> bool:
    replaced = bedrock_keys.replace_seal(doing.connection, key=key, sealed=sealed, now=doing.now)
    doing.note("bedrock_key.reseal", key.id, {}, {"resealed": replaced})
    return replaced


def _openers(desk: Desk, old_kms_key: str | None) -> list[Vault]:
    """The vault in use, the one before it, and the local key file where there is one."""
    ids = [desk.settings.kms_key_id, *filter(None, [old_kms_key])]
    vaults = [open_vault(replace(desk.settings, kms_key_id=each), desk.secrets) for each in ids]
    if desk.secrets.vault_key is not None:
        vaults.append(LocalVault(desk.secrets.vault_key))
    return vaults


def _opened(key: StoredBedrockKey, vaults: list[Vault]) -> str | None:
    """Raises VaultAway: what another key could not open must not be reported as lost because KMS is away."""
    for vault in vaults:
        try:
            return vault.open(key.sealed, key.id)
        except VaultAway:
            raise
        except CannotOpen:
            continue
    return None


def _verdict(result: does.TestShown) -> str:
    return f"The test succeeded: {result.reason}" if result.ok else f"The test failed: {result.reason}"


def _secret_line(outside: Outside) -> str:
    if outside.stdin.isatty():
        return getpass.getpass("Bedrock API key (not shown): ", stream=outside.stderr).strip()
    return outside.stdin.readline().strip()
