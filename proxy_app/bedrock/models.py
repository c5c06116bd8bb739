"""Anthropic model ids and Bedrock model ids: which stands for which, where, and in which order to try them.

Reads `data/models.json` once (`load_catalogue`) and is pure after that. It knows regions and residency, and nothing of
requests or HTTP; of a key only where it is and its id. Invariant: every id it hands out is safe inside a URL path once quoted
(`path_segment`), and with `Residency.GEO` no candidate leaves the region's own geography.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

import orjson

from core.model_ids import ARN, OPAQUE_KINDS, PROFILE_ID, NewModel, is_region
from core.types import BedrockKey, Residency
from proxy_app.bedrock.added import Added, AddedModels
from proxy_app.bedrock.capabilities import Capabilities, CapabilityTable, load_capabilities
from proxy_app.bedrock.model_names import bare, family_of, spellings, stripped
from proxy_app.bedrock.places import Places

_FILE = Path(__file__).parent / "data" / "models.json"
_CLAUDE = re.compile(r"claude-[a-z0-9][a-z0-9.-]{0,100}")


def path_segment(model_id: str) -> str:
    """A candidate as one URL path segment. Raises ValueError for anything that `candidates` would not return.

    The `/` of an ARN must be quoted: raw, it reaches another route that answers JSON where frames are expected.
    """
    if not (ARN.fullmatch(model_id) or PROFILE_ID.fullmatch(model_id)):
        raise ValueError("not a Bedrock model id")
    return quote(model_id, safe=":")


@dataclass(frozen=True, slots=True)
class Model:
    """One row of the catalogue. `prefixes` are the inference profiles in which the model is offered.

    Not `confirmed`: Bedrock was never seen to have it; its id is by the naming rule.
    """

    anthropic_id: str
    name: str
    bedrock: str
    prefixes: frozenset[str]
    profile_required: bool
    count_tokens: bool
    listed: bool
    confirmed: bool


@dataclass(frozen=True, slots=True)
class Route:
    """One id to try, and what the model behind it accepts. `instead`: the model's name when it is not the one asked for."""

    id: str
    capabilities: Capabilities
    instead: str = ""


class Models(Protocol):
    """Where the catalogue of the moment is to be had: one is taken for each request, and kept until its end."""

    def current(self) -> ModelCatalogue: ...


class ModelCatalogue:
    """Look-ups over the rows; immutable, shared by all greenlets of a worker."""

    def __init__(
        self,
        models: Mapping[str, Model],
        aliases: Mapping[str, str],
        places: Places,
        table: CapabilityTable,
        added: AddedModels | None = None,
    ) -> None:
        self._models = models
        self._aliases = aliases
        self._places = places
        self._table = table
        self._added = added or AddedModels()
        self._by_bedrock = {model.bedrock: model for model in models.values()}

    def current(self) -> ModelCatalogue:
        """As `Models`: one that never changes."""
        return self

    def known_models(self) -> frozenset[str]:
        """The Anthropic ids that are shipped."""
        return frozenset(self._models)

    def known_regions(self) -> tuple[str, ...]:
        """Those that are shipped, where Claude is offered; a key of another one may be attached all the same."""
        return self._places.offering()

    def with_rows(self, rows: Iterable[NewModel]) -> ModelCatalogue:
        """The same catalogue under these rows. Whoever is like a model that is not known (any more) is left out."""
        able = [(row, self.capabilities(row.like)) for row in rows if row.like in self._models]
        return ModelCatalogue(self._models, self._aliases, self._places, self._table, AddedModels(able))

    def routes(self, model: str, key: BedrockKey) -> tuple[Route, ...]:
        """What to try with this key, best first; at the end, for a model that is only believed to exist, another one.

        A route with `instead` may be tried only when Bedrock does not know the ids before it.
        """
        added = self._find_added(model, key.region, key.residency, key.id)
        if added:
            return tuple(Route(each, added.capabilities) for each in added.ids)
        able = self.capabilities(model)
        routes = tuple(Route(each, able) for each in self._shipped(model, key.region, key.residency))
        return (*routes, *self._instead(model, key)) if routes else ()

    def candidates(self, model: str, region: str, residency: Residency, key_id: str = "") -> tuple[str, ...]:
        """Bedrock ids of the model itself, best first; empty when it cannot be served from there."""
        added = self._find_added(model, region, residency, key_id)
        return added.ids if added else self._shipped(model, region, residency)

    def why_unserved(self, model: str, region: str, residency: Residency) -> str:
        """Why `candidates` is empty, for people."""
        if not self._known(model) and not _CLAUDE.fullmatch(bare(model)):
            return "it is no Claude model and no administrator has added it"
        return self._places.why_none(region, residency)

    def family(self, model: str) -> str:
        """The name under which circuits count this model."""
        return family_of(model)

    def canonical(self, model: str) -> str:
        """The Anthropic id that the price list knows, else the bare id itself."""
        known = self._known(model)
        return known.anthropic_id if known else bare(model)

    def capabilities(self, model: str, key: BedrockKey | None = None) -> Capabilities:
        """What the model accepts. The answer for an id never seen is that of the newest model of its family."""
        added = self._find_added(model, key.region, key.residency, key.id) if key else None
        return added.capabilities if added else self._table.of(self.canonical(model), self.family(model))

    def served_by(self, region: str, residency: Residency, key_id: str = "") -> tuple[tuple[str, str], ...]:
        """(id, display name) of the models that a key of this region reaches, for GET /v1/models."""
        shipped = [model for model in self._models.values() if model.listed]
        names = {
            each.anthropic_id: each.name for each in shipped if self.candidates(each.anthropic_id, region, residency, key_id)
        }
        for name in self._added.names(key_id):
            if self._find_added(name, region, residency, key_id):
                names[name] = self._models[name].name if name in self._models else name
        return tuple(names.items())

    def count_tokens_model(self, model: str, region: str, key: BedrockKey | None = None) -> str | None:
        """The id to ask CountTokens in `region` with (a foundation model: profiles are refused), or None where it cannot be."""
        added = self._find_added(model, key.region, key.residency, key.id) if key else None
        known = self._by_bedrock.get(added.row.bedrock) if added else self._known(model)
        return known.bedrock if known and known.count_tokens and region in self._places.counts_tokens else None

    def may_count_elsewhere(self, region: str) -> bool:
        """It cannot count itself, and its keys are good in other regions: those of us-gov and of China are not."""
        return region not in self._places.counts_tokens and self._places.geography(region) not in ("us-gov", "")

    def _find_added(self, model: str, region: str, residency: Residency, key_id: str) -> Added | None:
        if not is_region(region):
            return None
        return self._added.find(model, region, self._places.profile_prefixes(region, residency), key_id)

    def _shipped(self, model: str, region: str, residency: Residency) -> tuple[str, ...]:
        if not is_region(region):
            return ()
        text = stripped(model)
        prefixes = self._places.profile_prefixes(region, residency)
        arn = ARN.fullmatch(text)
        if arn:
            return (text,) if residency is Residency.GLOBAL or _stays(arn, region, prefixes) else ()
        full = PROFILE_ID.fullmatch(text.lower())
        if full and full["prefix"] and (residency is Residency.GLOBAL or full["prefix"] in prefixes):
            return (text.lower(),)
        return self._by_name(text, prefixes)

    def _by_name(self, text: str, prefixes: tuple[str, ...]) -> tuple[str, ...]:
        known = self._known(text)
        if known:
            base = known.bedrock
            offered = tuple(f"{prefix}.{base}" for prefix in prefixes if prefix in known.prefixes)
            on_demand = bool(prefixes) and not known.profile_required
            return (*offered, base) if on_demand else offered
        name = bare(text)
        if not _CLAUDE.fullmatch(name):
            return ()
        full = PROFILE_ID.fullmatch(text.lower())
        base = full["base"] if full else f"anthropic.{name}"
        return tuple(f"{prefix}.{base}" for prefix in prefixes if prefix != "apac")

    def _instead(self, model: str, key: BedrockKey) -> tuple[Route, ...]:
        """The newest model of the family that the key reaches, for an id that may not exist on Bedrock."""
        known = self._known(model)
        if (known and known.confirmed) or ARN.fullmatch(stripped(model)):
            return ()
        family = self.family(model)
        for other in self._models.values():
            if not other.confirmed or self.family(other.anthropic_id) != family:
                continue
            found = self.candidates(other.anthropic_id, key.region, key.residency, key.id)
            ids = [each for each in found if not each.startswith("apac.")]
            if ids:
                able = self.capabilities(other.anthropic_id, key)
                return tuple(Route(each, able, other.anthropic_id) for each in ids)
        return ()

    def _known(self, model: str) -> Model | None:
        """By exact id, alias, Bedrock id, then without `-latest`, then without a date."""
        text = stripped(model).lower()
        arn = ARN.fullmatch(text)
        full = PROFILE_ID.fullmatch(arn["name"] if arn else text)
        if full and full["base"] in self._by_bedrock:
            return self._by_bedrock[full["base"]]
        for name in spellings(model):
            found = self._models.get(self._aliases.get(name, name))
            if found:
                return found
        return None


def load_catalogue() -> ModelCatalogue:
    """Reads the two JSON files; called once, by the composition root. Raises OSError or KeyError when they are not whole."""
    raw: dict[str, Any] = orjson.loads(_FILE.read_bytes())
    models = {anthropic_id: _model(anthropic_id, row) for anthropic_id, row in raw["models"].items()}
    aliases = {alias: anthropic_id for anthropic_id, row in raw["models"].items() for alias in row["aliases"]}
    rules = tuple((start, geo) for start, geo in raw["region_rules"])
    places = Places(raw["regions"], rules, frozenset(raw["count_tokens_regions"]))
    return ModelCatalogue(models, aliases, places, load_capabilities())


def _model(anthropic_id: str, row: Mapping[str, Any]) -> Model:
    return Model(
        anthropic_id=anthropic_id,
        name=row["name"],
        bedrock=row["bedrock"],
        prefixes=frozenset(row["prefixes"]),
        profile_required=row["profile_required"],
        count_tokens=row["count_tokens"],
        listed=row["listed"],
        confirmed=row.get("confirmed", True),
    )


def _stays(arn: re.Match[str], region: str, prefixes: tuple[str, ...]) -> bool:
    """Whether what an ARN names is answered inside the geography. Of some kinds nobody can tell, unless a row says it."""
    if arn["region"] not in (None, region) or arn["kind"] in OPAQUE_KINDS:
        return False
    profile = PROFILE_ID.fullmatch(arn["name"])
    return not arn["name"].startswith("global.") and (profile is None or profile["prefix"] in (None, *prefixes))
