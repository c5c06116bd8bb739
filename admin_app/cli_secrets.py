"""The command line's `secrets accept`: from now on the database belongs to the secrets that the settings give.

Works where other commands refuse, because of other secrets or lost ones. Invariant: nobody has these secrets accepted but by this
name, and it says what is of no use from then on.
"""

from __future__ import annotations

from argparse import Namespace
from functools import partial
from typing import TYPE_CHECKING

from admin_app.cli_desk import Answer, Outside, Words
from admin_app.cli_work import at_the_machine
from core.access import Refused
from core.audit import Change, record
from core.db import open_database, schema_is_current
from core.local_files import SERVER_SECRET, VAULT_KEY, LocalSecrets, ensure_local
from core.numerals import many
from core.secret_marks import Accepted, accept
from core.settings import Settings, load_settings

if TYPE_CHECKING:
    from sqlalchemy import Connection


def add_words(nouns: Words) -> None:
    verbs = nouns.noun("secrets", "the secrets that a database belongs to")
    verbs.bare("accept", _accept, "go on with the secrets there are now; what was made with others is of no use any more")


def _accept(outside: Outside, _: Namespace) -> Answer:
    settings = load_settings(outside.environ)
    database = open_database(settings, pool_size=1)
    try:
        if not schema_is_current(database):
            raise Refused("the database is not migrated; run: python -m admin_app migrate")
        local = ensure_local(settings)
        done = database.run(partial(_noted, settings=settings, local=local, outside=outside))
    finally:
        database.close()
    document = {"before": done.before, "after": done.after, "access_keys": done.access_keys, "bedrock_keys": done.bedrock_keys}
    return Answer(document, _told(done))


def _noted(connection: Connection, settings: Settings, local: LocalSecrets, outside: Outside) -> Accepted:
    done = accept(connection, settings, local)
    record(connection, at_the_machine(), Change("secrets.accept", "", done.before, done.after), outside.now())
    return done


def _told(done: Accepted) -> str:
    if done.before == done.after:
        return "These are the database's secrets already; nothing has changed."
    void = []
    if done.before.get(SERVER_SECRET) != done.after[SERVER_SECRET]:
        keys = many(done.access_keys, "access key")
        void.append(
            f"{keys} made with another server_secret: python -m admin_app key rotate ID --grace 0, for each. API tokens, links "
            "and second factors of admins made with it are of no use either."
        )
    if done.before.get(VAULT_KEY) != done.after.get(VAULT_KEY):
        keys = many(done.bedrock_keys, "Bedrock key")
        void.append(f"{keys} sealed with another vault_key: python -m admin_app bedrock-key add, for each.")
    return "\n".join(
        [
            "Accepted. Restart every server of this database. Of no use any more, if they were there before:",
            *(f"  {each}" for each in void),
        ]
    )
