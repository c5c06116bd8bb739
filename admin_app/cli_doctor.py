"""The command line's `doctor`: looks at everything that can be wrong, and says how to mend it (SPEC section 11).

Works where other commands cannot: with bad settings, an unmigrated database, one that is away. Knows which looks there are and
in which order. Invariant: a look that fails itself is a finding, and hinders no other.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict

from admin_app import doctor, doctor_outside
from admin_app.cli_desk import Answer, Outside, Words
from admin_app.doctor_client import BadClient, client_of, look_at_client
from admin_app.finding import Finding, Health, problem, well
from core.access import Refused
from core.db import Database, open_database
from core.numerals import many
from core.secret_marks import secrets_of
from core.settings import BadSettings, Settings, load_settings

_SIGNS = {Health.WELL: "ok", Health.WARNING: "!", Health.PROBLEM: "X"}
Looks = Iterable[Callable[[], Iterable[Finding]]]


def add_words(nouns: Words) -> None:
    parser = nouns.bare("doctor", _examine, "look at all that can be wrong, and say how to mend it; exit 1 if something is")
    parser.add_argument("--client", action="store_true", help="a developer's side: ANTHROPIC_BASE_URL and what is around it")
    parser.add_argument("--settings", metavar="FILE", help="with --client: a settings.json of Claude Code")
    parser.add_argument("--url", metavar="URL", help="with --client: instead of ANTHROPIC_BASE_URL")
    parser.add_argument("--key-stdin", action="store_true", help="with --client: the access key is read from standard input")


def _examine(outside: Outside, arguments: Namespace) -> Answer:
    looks = _of_client(outside, arguments) if arguments.client else _of_installation(outside)
    findings = [finding for look in looks for finding in _looked(look)]
    worst = sum(each.health == Health.PROBLEM for each in findings)
    warned = sum(each.health == Health.WARNING for each in findings)
    verdict = f"{many(worst, 'problem')}, {many(warned, 'warning')}." if worst or warned else "All is well."
    document = {"ok": not worst, "problems": worst, "warnings": warned, "findings": [asdict(each) for each in findings]}
    return Answer(document, "\n".join([*map(_told, findings), "", verdict]), exit_code=1 if worst else 0)


def _of_client(outside: Outside, arguments: Namespace) -> Looks:
    key = outside.stdin.readline().strip() if arguments.key_stdin else ""
    try:
        client = client_of(outside.environ, arguments.settings or "", arguments.url or "", key)
    except BadClient as error:
        raise Refused(str(error)) from None
    return [lambda: look_at_client(client)]


def _of_installation(outside: Outside) -> Iterator[Callable[[], Iterable[Finding]]]:
    try:
        settings = load_settings(outside.environ)
    except BadSettings as bad:
        found = [problem("settings", each, "docs/settings.md says what each setting may be.") for each in bad.problems]
        yield lambda: found
        yield lambda: doctor.look_at_release("UTC")
        return
    yield lambda: [well("settings", f"{settings.environment}, {settings.base_url}")]
    yield lambda: [*doctor.look_at_files(settings, outside.environ)]
    database = open_database(settings, pool_size=1)
    try:
        yield lambda: _secrets(settings, database)
        yield from _around(outside, settings, database)
    finally:
        database.close()
    yield lambda: doctor.look_at_disk(settings)
    yield lambda: doctor.look_at_release(settings.budget_timezone)


def _secrets(settings: Settings, database: Database) -> Iterator[Finding]:
    try:
        secrets = secrets_of(settings, database)
    except BadSettings as bad:
        yield from (problem("secrets", each, "docs/operations.md, Backups, says what belongs together.") for each in bad.problems)
        return
    yield from doctor.look_at_secrets(secrets)
    yield from doctor.look_at_vault(settings, secrets)


def _around(outside: Outside, settings: Settings, database: Database) -> Iterator[Callable[[], Iterable[Finding]]]:
    yield lambda: doctor_outside.look_at_database(database, outside.now)
    yield lambda: doctor_outside.look_at_owners(settings, database)
    yield lambda: doctor_outside.look_at_upstreams(settings, doctor_outside.regions_in_use(settings, database), outside.now)
    yield lambda: doctor_outside.look_at_own_address(settings, outside.now)


def _looked(look: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    try:
        yield from look()
    except Exception as error:  # whatever ails one look must not hide what the others find
        yield problem("doctor", f"a look failed ({type(error).__name__})", "Look at the findings beside it first.")


def _told(finding: Finding) -> str:
    mend = f"\n     {' ' * 18}-> {finding.mend}" if finding.mend else ""
    return f"{_SIGNS[finding.health]:<4} {finding.check:<18} {finding.says}{mend}"
