"""`repairs list`, `clear`, `export`: what Bedrock was found to refuse, for administrators (SPEC sections 6 and 11).

Knows the table and the shape of the capability file, and nothing of how lessons are learned. Invariant: what `export` writes
can be merged into that file, and holds only what is known to be refused, no mere suspects.
"""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from admin_app import listings
from admin_app.cli_desk import Answer, Desk, Words
from admin_app.operation import Doing
from core.repairs import REFUSED, SUSPECT, UNTESTED, RepairRow, clear_repairs, list_repairs

_SHOWN = frozenset((REFUSED, SUSPECT, UNTESTED))
_KEYS = {"beta": "without_betas", "field": "without"}


def add_words(nouns: Words) -> None:
    verbs = nouns.noun("repairs", "what Bedrock was found to refuse")
    verbs.verb("list", _list, "what is left out, for which Bedrock key, region and model")
    verbs.verb("export", _export, "as JSON that can be merged into the capability file")
    which = verbs.verb("clear", _clear, "forget one, or all: it is sent again").add_mutually_exclusive_group(required=True)
    which.add_argument("id", metavar="ID", nargs="?")
    which.add_argument("--all", action="store_true")


def _list(desk: Desk, _: Namespace) -> Answer:
    listing = listings.of_repairs([row for row in _in_force(desk) if row.standing in _SHOWN])
    return Answer(listing.rows, listing.table)


def _clear(desk: Desk, arguments: Namespace) -> Answer:
    count = desk.change(lambda doing: _forget(doing, None if arguments.all else arguments.id))
    return Answer({"cleared": count}, f"Forgotten: {count}. Every worker knows after its next tick.")


def _forget(doing: Doing, repair_id: str | None) -> int:
    count = clear_repairs(doing.connection, repair_id)
    doing.note("repair.clear" if repair_id else "repair.clear_all", repair_id or "repairs", {"cleared": count}, {})
    return count


def _export(desk: Desk, _: Namespace) -> Answer:
    document = export_of([row for row in _in_force(desk) if row.standing == REFUSED], desk.now())
    return Answer(document, json.dumps(document, indent=1))


def _in_force(desk: Desk) -> list[RepairRow]:
    return desk.database.read(lambda connection: list_repairs(connection, desk.now()))


def export_of(rows: Sequence[RepairRow], now: datetime) -> dict[str, Any]:
    """`models` is for the capability file; `seen` says which key and region taught it, and when."""
    models: dict[str, dict[str, list[str]]] = {}
    seen: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        if row.kind not in _KEYS:
            continue
        names = models.setdefault(row.model, {}).setdefault(_KEYS[row.kind], [])
        if row.name not in names:
            names.append(row.name)
        witness = {"kind": row.kind, "name": row.name, "bedrock_key_id": row.bedrock_key_id, "region": row.region}
        seen.setdefault(row.model, []).append({**witness, "learned_at": listings.moment(row.learned_at)})
    return {"exported_at": listings.moment(now), "models": models, "seen": seen}
