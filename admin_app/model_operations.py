"""Models added to the shipped ones, and what was learned that Bedrock refuses (SPEC section 6)."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from admin_app.cli_repairs import export_of
from admin_app.cursors import after_of, listed
from admin_app.fields import Cursor, Id, Limit
from admin_app.operation import Doing, Listed, Nothing, Offer, Operation, Shape, Shown, asks, changes
from core.access import NotFound
from core.actor import Role
from core.model_ids import ON_DEMAND, PREFIXES, NewModel
from core.model_rows import ModelRow, add_model, list_models, remove_model
from core.repairs import REFUSED, SUSPECT, UNTESTED, RepairRow, clear_repairs, list_repairs, repairs_page

_SHOWN = frozenset((REFUSED, SUSPECT, UNTESTED))

ModelName = Annotated[str, Meta(min_length=1, max_length=120, description="a name as clients send it, such as claude-opus-5-5")]
BedrockName = Annotated[str, Meta(min_length=1, max_length=400, description="anthropic.claude-... or an ARN of Bedrock")]
Prefixes = Annotated[str, Meta(max_length=100, description=f"some of {', '.join((*PREFIXES, ON_DEMAND))}, with commas between")]
Tokens = Annotated[int, Meta(ge=1, le=100_000_000, description="a number of tokens above 0")]


class ModelShown(Shown, frozen=True, kw_only=True):
    """A model that an admin added. `like` is the shipped model whose capabilities it has; `prefixes` empty: all of the region."""

    id: str
    model: str
    bedrock: str
    like: str
    prefixes: tuple[str, ...]
    context_window: int | None
    max_output: int | None
    bedrock_key_id: str | None
    created_at: datetime


class ModelsShown(Shown, frozen=True, kw_only=True):
    """`shipped` are the names that are known without an admin."""

    data: list[ModelShown]
    shipped: list[str]


class RepairShown(Shown, frozen=True, kw_only=True):
    """A beta or a field that Bedrock was found to refuse for this key, region and model. It is left out until `expires_at`."""

    id: str
    bedrock_key_id: str
    region: str
    model: str
    kind: Literal["beta", "field"]
    name: str
    standing: Literal["refused", "suspect", "untested"]
    learned_at: datetime
    expires_at: datetime


class ExportedRepairs(Shown, frozen=True, kw_only=True):
    """`models` can be merged into the capability file; `seen` says which key and region taught it, and when."""

    exported_at: str
    models: dict[str, dict[str, list[str]]]
    seen: dict[str, list[dict[str, str]]]


class Cleared(Shown, frozen=True, kw_only=True):
    cleared: int


class FindRepairs(Shape, frozen=True, kw_only=True):
    """By Bedrock key, region, model and name."""

    limit: Limit = 100
    cursor: Cursor = ""


class Everything(Shape, frozen=True, kw_only=True):
    """All of it: there is a bounded number."""


class AddedModel(Shape, frozen=True, kw_only=True):
    """`like` may be left out where `model` is a shipped name."""

    model: ModelName
    bedrock: BedrockName
    like: Annotated[str, Meta(max_length=120)] = ""
    prefixes: Prefixes = ""
    context_window: Tokens | None = None
    max_output: Tokens | None = None
    bedrock_key_id: Id | None = None


class TheModel(Shape, frozen=True, kw_only=True):
    model_id: Id


class TheRepair(Shape, frozen=True, kw_only=True):
    """A suspect goes with all that are suspected at its place: they are one question."""

    repair_id: Id


def _list(doing: Doing, _: Everything) -> ModelsShown:
    rows = list_models(doing.connection)
    return ModelsShown(data=[_shown(row) for row in rows], shipped=sorted(doing.tools.known_models()))


def _add(doing: Doing, taken: AddedModel) -> ModelShown:
    name = taken.model.lower()
    prefixes = tuple(dict.fromkeys(part.strip() for part in taken.prefixes.split(",") if part.strip()))
    limits = (taken.context_window, taken.max_output, taken.bedrock_key_id)
    new = NewModel(name, taken.bedrock, taken.like or name, prefixes, *limits)
    row = add_model(doing.connection, new, doing.tools.known_models(), doing.now)
    doing.note("model.create", row.id, {}, asdict(row.new))
    return _shown(row)


def _remove(doing: Doing, taken: TheModel) -> Nothing:
    row = next((each for each in list_models(doing.connection) if each.id == taken.model_id), None)
    if row is None:
        raise NotFound(f"there is no model row {taken.model_id}")
    remove_model(doing.connection, row.id)
    doing.note("model.remove", row.id, asdict(row.new), {})
    return Nothing()


def _repairs(doing: Doing, taken: FindRepairs) -> Listed[RepairShown]:
    page = repairs_page(doing.connection, _SHOWN, doing.now, taken.limit, after_of(doing, taken))
    return listed(doing, taken, page, _repair)


def _one_repair(doing: Doing, taken: TheRepair) -> RepairShown:
    return _repair(_found(doing, taken))


def _export(doing: Doing, _: Everything) -> ExportedRepairs:
    rows = [row for row in list_repairs(doing.connection, doing.now) if row.standing == REFUSED]
    return msgspec.convert(export_of(rows, doing.now), ExportedRepairs)


def _clear(doing: Doing, taken: TheRepair) -> Cleared:
    row = _found(doing, taken)
    cleared = clear_repairs(doing.connection, row.id)
    doing.note("repair.clear", row.id, _noted(row), {})
    return Cleared(cleared=cleared)


def _clear_all(doing: Doing, _: Everything) -> Cleared:
    cleared = clear_repairs(doing.connection)
    doing.note("repair.clear_all", "repairs", {"cleared": cleared}, {})
    return Cleared(cleared=cleared)


def _found(doing: Doing, taken: TheRepair) -> RepairRow:
    """Raises NotFound."""
    row = next((each for each in list_repairs(doing.connection, doing.now) if each.id == taken.repair_id), None)
    if row is None:
        raise NotFound(f"there is no learned repair {taken.repair_id}")
    return row


def _shown(row: ModelRow) -> ModelShown:
    return ModelShown(id=row.id, created_at=row.created_at, **asdict(row.new))


def _repair(row: RepairRow) -> RepairShown:
    return msgspec.convert(row, RepairShown, from_attributes=True)


def _noted(row: RepairRow) -> dict[str, Any]:
    return {"bedrock_key_id": row.bedrock_key_id, "region": row.region, "model": row.model, "kind": row.kind, "name": row.name}


LIST = Operation("listModels", "Models that admins added", Role.VIEWER, Everything, ModelsShown, asks(_list))
ADD = Operation("addModel", "Add a model, or say how one is reached", Role.EDITOR, AddedModel, ModelShown, changes(_add))
REMOVE = Operation("removeModel", "Remove an added model", Role.EDITOR, TheModel, Nothing, changes(_remove))
REPAIRS = Operation(
    "listRepairs", "What Bedrock was found to refuse", Role.VIEWER, FindRepairs, Listed[RepairShown], asks(_repairs)
)
REPAIR = Operation("getRepair", "One of them", Role.VIEWER, TheRepair, RepairShown, asks(_one_repair))  # for pages
EXPORT = Operation("exportRepairs", "The same for the capability file", Role.VIEWER, Everything, ExportedRepairs, asks(_export))
CLEAR = Operation("clearRepair", "Forget one of them", Role.EDITOR, TheRepair, Cleared, changes(_clear))
CLEAR_ALL = Operation("clearRepairs", "Forget all of them", Role.EDITOR, Everything, Cleared, changes(_clear_all))

OFFERS = (
    Offer("GET", "/models", LIST, tag="Models"),
    Offer("POST", "/models", ADD, 201, tag="Models"),
    Offer("DELETE", "/models/{model_id}", REMOVE, 204, tag="Models"),
    Offer("GET", "/repairs", REPAIRS, tag="Models"),
    Offer("GET", "/repairs/export", EXPORT, tag="Models"),
    Offer("DELETE", "/repairs/{repair_id}", CLEAR, tag="Models"),
    Offer("DELETE", "/repairs", CLEAR_ALL, tag="Models"),
)
