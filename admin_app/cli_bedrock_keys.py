"""The command line's `bedrock-key`: attached, tested, listed. Knows words and answers, no SQL; the rules are in core.

Invariant: a Bedrock key comes in by standard input alone and is in no answer.
"""

from __future__ import annotations

import getpass
from argparse import Namespace

from admin_app import listings
from admin_app.cli_desk import Answer, Desk, Outside, Words
from core import bedrock_keys
from core.bedrock_keys import NewBedrockKey
from core.ports import ProbeResult
from core.types import Residency


def add_words(nouns: Words) -> None:
    verbs = nouns.noun("bedrock-key", "Bedrock API keys")
    add = verbs.verb("add", _add, "attach a key, then test it; it is kept even if the test fails")
    add.add_argument("--user", required=True, metavar="NAME_OR_ID")
    add.add_argument("--access-key", metavar="ID", help="for this access key alone")
    add.add_argument("--region")
    add.add_argument("--residency", choices=[each.value for each in Residency], default=Residency.GLOBAL.value)
    add.add_argument("--key-stdin", action="store_true", required=True, help="the key is read from standard input, one line")
    verbs.verb("test", _test, "test a key; exit 1 if it fails").add_argument("id", metavar="ID")
    verbs.verb("list", _list, "list keys, never their text").add_argument("--user", metavar="NAME_OR_ID")


def _add(desk: Desk, arguments: Namespace) -> Answer:
    region, residency = arguments.region or desk.settings.bedrock_region, Residency(arguments.residency)
    user = desk.user(arguments.user)
    new = NewBedrockKey(region, residency, _secret_line(desk.outside), arguments.access_key)
    key = bedrock_keys.seal_bedrock_key(desk.vault(), new)
    desk.database.run(lambda c: bedrock_keys.attach_bedrock_key(c, user, new, key, desk.now()))
    result = _tested(desk, key.id, region, new.secret, residency)
    saved = f"Attached {key.id} to {user.name}, {region}."
    return Answer({"id": key.id, "test": {"ok": result.ok, "reason": result.reason}}, f"{saved} {_verdict(result)}")


def _test(desk: Desk, arguments: Namespace) -> Answer:
    key = desk.database.read(lambda c: bedrock_keys.find_bedrock_key(c, arguments.id)).key
    result = _tested(desk, key.id, key.region, desk.vault().open(key.sealed, key.id), key.residency)
    document = {"id": key.id, "test": {"ok": result.ok, "reason": result.reason}}
    return Answer(document, _verdict(result), exit_code=0 if result.ok else 1)


def _list(desk: Desk, arguments: Namespace) -> Answer:
    user_id = desk.user(arguments.user).id if arguments.user else None
    return Answer(*listings.of_bedrock_keys(desk.database.read(lambda c: bedrock_keys.list_bedrock_keys(c, user_id))))


def _tested(desk: Desk, key_id: str, region: str, secret: str, residency: Residency) -> ProbeResult:
    try:
        result = desk.outside.build_probe(desk.settings).test(region, secret, residency)
    except Exception as error:  # the key is saved; whatever ails the test, its owner must learn the key's id
        result = ProbeResult(False, f"the test could not be made ({type(error).__name__})")
    desk.database.run(lambda c: bedrock_keys.record_bedrock_test(c, key_id, result, desk.now()))
    return result


def _verdict(result: ProbeResult) -> str:
    return f"The test succeeded: {result.reason}" if result.ok else f"The test failed: {result.reason}"


def _secret_line(outside: Outside) -> str:
    if outside.stdin.isatty():
        return getpass.getpass("Bedrock API key (not shown): ", stream=outside.stderr).strip()
    return outside.stdin.readline().strip()
