"""Models that administrators added: a name that clients use, what Bedrock calls it, and which known model it is like.

Functions on a Connection, as in core.access. Knows no catalogue: the known models are handed in. Invariants: every id that
is stored has the shape of a model's id (core.model_ids), and every change adds 1 to `revisions.models` in its own transaction.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select

from core.access import Invalid, LimitReached, NameTaken, NotFound
from core.bedrock_keys import find_bedrock_key
from core.ids import new_id
from core.model_ids import ARN, CLIENT_NAME, ON_DEMAND, PREFIXES, PROFILE_ID, NewModel
from core.models import model_rows
from core.revision import bump
from core.types import Residency

MOST_ROWS = 1000
_MOST_TOKENS = 100_000_000


@dataclass(frozen=True, slots=True)
class ModelRow:
    id: str
    new: NewModel
    created_at: datetime


def add_model(connection: Connection, new: NewModel, known: Collection[str], now: datetime) -> ModelRow:
    """`known` are the models that it may be like. Raises Invalid, NameTaken, NotFound (the Bedrock key), LimitReached."""
    bump(connection, "models")
    _check(new, known)
    if new.bedrock_key_id is not None:
        _check_key(connection, new, new.bedrock_key_id)
    holder = new.bedrock_key_id or ""
    same = select(model_rows.c.id).where(model_rows.c.model == new.model, model_rows.c.bedrock_key_id == holder)
    if (taken := connection.execute(same).scalar_one_or_none()) is not None:
        raise NameTaken(f"there is already a row for {new.model}{f' and {holder}' if holder else ''}: {taken}; remove it first")
    if connection.execute(select(func.count()).select_from(model_rows)).scalar_one() >= MOST_ROWS:
        raise LimitReached(f"there are {MOST_ROWS} rows already; remove what is not needed")
    row = ModelRow(new_id("mdl"), new, now)
    named = {"id": row.id, "model": new.model, "bedrock_key_id": holder, "bedrock": new.bedrock, "like_model": new.like}
    limits = {"context_window": new.context_window, "max_output": new.max_output}
    connection.execute(insert(model_rows), [{**named, **limits, "prefixes": ",".join(new.prefixes), "created_at": now}])
    return row


def list_models(connection: Connection) -> list[ModelRow]:
    """All, oldest first."""
    return [_stored(row) for row in connection.execute(select(model_rows).order_by(model_rows.c.created_at, model_rows.c.id))]


def remove_model(connection: Connection, row_id: str) -> None:
    """What is shipped holds again. Raises NotFound."""
    bump(connection, "models")
    if connection.execute(delete(model_rows).where(model_rows.c.id == row_id)).rowcount == 0:
        raise NotFound(f"there is no model row {row_id}; see: python -m admin_app model list")


def _check(new: NewModel, known: Collection[str]) -> None:
    if CLIENT_NAME.fullmatch(new.model) is None:
        raise Invalid("a model's name has lower-case letters, digits, dots and dashes, at most 120, as claude-opus-5-5")
    if new.like not in known:
        raise Invalid(f"{new.like!r} is no known model to be like; known are: {', '.join(sorted(known))}")
    if ARN.fullmatch(new.bedrock) is not None:
        if new.prefixes:
            raise Invalid("an ARN is used as it is; leave the prefixes away")
    else:
        _check_base(new)
    for name, tokens in (("context window", new.context_window), ("max output", new.max_output)):
        if tokens is not None and not 1 <= tokens <= _MOST_TOKENS:
            raise Invalid(f"the {name} is a number of tokens above 0")


def _check_base(new: NewModel) -> None:
    found = PROFILE_ID.fullmatch(new.bedrock)
    if found is None:
        raise Invalid("Bedrock's id is an ARN of bedrock or looks like anthropic.claude-opus-5-5")
    if found["prefix"] is not None:
        raise Invalid(f"give {found['base']} without its prefix, and the prefix apart")
    strange = sorted(set(new.prefixes) - {*PREFIXES, ON_DEMAND})
    if strange:
        raise Invalid(f"unknown prefix {strange[0]!r}; there are: {', '.join((*PREFIXES, ON_DEMAND))}")
    if ON_DEMAND in new.prefixes and len(new.prefixes) > 1:
        raise Invalid(f"{ON_DEMAND} stands alone: the model is asked through no inference profile")


def _check_key(connection: Connection, new: NewModel, key_id: str) -> None:
    """What this key could never use is refused now, not found out by a developer."""
    key, arn = find_bedrock_key(connection, key_id).key, ARN.fullmatch(new.bedrock)
    if arn is None:
        return
    if arn["region"] not in (None, key.region):
        raise Invalid(f"the ARN is of {arn['region']}, the Bedrock key of {key.region}")
    if key.residency is Residency.GEO and arn["name"].startswith("global."):
        raise Invalid("the Bedrock key's residency is geo, and the ARN names a global profile")


def _stored(row: Row[Any]) -> ModelRow:
    prefixes = tuple(part for part in row.prefixes.split(",") if part)
    limits = (row.context_window, row.max_output, row.bedrock_key_id or None)
    return ModelRow(row.id, NewModel(row.model, row.bedrock, row.like_model, prefixes, *limits), row.created_at)
