"""Anthropic model ids and Bedrock model ids: which stands for which, where, and in which order to try them.

Reads `data/models.json` once (`load_catalogue`) and is pure after that. It knows regions and residency, and nothing of
requests, keys or HTTP. Invariant: every id it hands out is safe inside a URL path once quoted (`path_segment`), and with
`Residency.GEO` no candidate leaves the region's own geography.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson

from core.types import Residency
from proxy_app.bedrock.capabilities import Capabilities, CapabilityTable, load_capabilities

_FILE = Path(__file__).parent / "data" / "models.json"
FAMILIES = ("opus", "sonnet", "haiku", "fable", "mythos")
LONGEST_FAMILY = 60

_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-\d")
_ARN = re.compile(
    r"arn:aws(?:-[a-z]+)*:bedrock:(?P<region>[a-z]{2}(?:-[a-z]+)+-\d)?:(?:\d{12})?:"
    r"(?:inference-profile|application-inference-profile|foundation-model|provisioned-model|custom-model-deployment"
    r"|imported-model|default-prompt-router|prompt-router)/(?P<name>[A-Za-z0-9._:-]{1,200})"
)
_PROFILE_ID = re.compile(r"(?:(?P<prefix>[a-z]{2,8}(?:-[a-z]{2,8})?)\.)?(?P<base>anthropic\.claude-[a-z0-9][a-z0-9.:-]{0,100})")
_CLAUDE = re.compile(r"claude-[a-z0-9][a-z0-9.-]{0,100}")
_BRACKETS = re.compile(r"\s*\[[^\]]*\]\s*$")  # "[1m]", "[200k]"
_WINDOW = re.compile(r":\d+k$")  # ":51k", seen from Claude Code
_DATE = re.compile(r"-20\d{6}$")
_VERSION = re.compile(r"-v\d+(?::\d+)?(?::\d+k)?$")
_LONGEST_NAME = 400  # what is longer names no model; bounds the work on hostile input
_NO_PLACE = ""  # a region in which Claude is not offered


def is_region(text: str) -> bool:
    """Whether this may stand in a host name as an AWS region: anything else would choose where a key is sent."""
    return len(text) <= 30 and _REGION.fullmatch(text) is not None


def path_segment(model_id: str) -> str:
    """A candidate as one URL path segment. Raises ValueError for anything that `candidates` would not return.

    The `/` of an ARN must be quoted: raw, it reaches another route that answers JSON where frames are expected.
    """
    if not (_ARN.fullmatch(model_id) or _PROFILE_ID.fullmatch(model_id)):
        raise ValueError("not a Bedrock model id")
    return quote(model_id, safe=":")


@dataclass(frozen=True, slots=True)
class Model:
    """One row of the catalogue. `prefixes` are the inference profiles in which the model is offered."""

    anthropic_id: str
    name: str
    bedrock: str
    prefixes: frozenset[str]
    profile_required: bool
    count_tokens: bool
    listed: bool


@dataclass(frozen=True, slots=True)
class Places:
    """The geography of each region (None: only `global.` profiles), and of regions opened after this was written."""

    regions: Mapping[str, str | None]
    rules: tuple[tuple[str, str], ...]
    counts_tokens: frozenset[str]

    def geography(self, region: str) -> str | None:
        if region in self.regions:
            return self.regions[region]
        return next((geo for start, geo in self.rules if region.startswith(start)), None)

    def profile_prefixes(self, region: str, residency: Residency) -> tuple[str, ...]:
        """The inference-profile prefixes that a key of this region may use, in the order to try them."""
        geo = self.geography(region)
        if geo == _NO_PLACE:
            return ()
        if geo == "us-gov":
            return ("us-gov",)
        asia = ("apac",) if region.startswith("ap-") else ()
        own = (geo,) if geo else ()
        if residency is Residency.GEO:
            return own or asia
        return ("global", *own, *asia)


class ModelCatalogue:
    """Look-ups over the rows; immutable, shared by all greenlets of a worker."""

    def __init__(self, models: Mapping[str, Model], aliases: Mapping[str, str], places: Places, table: CapabilityTable) -> None:
        self._models = models
        self._aliases = aliases
        self._places = places
        self._table = table
        self._by_bedrock = {model.bedrock: model for model in models.values()}

    def candidates(self, model: str, region: str, residency: Residency) -> tuple[str, ...]:
        """Bedrock ids to try, best first; empty when the model cannot be served from there."""
        if not is_region(region):
            return ()
        text = _stripped(model)
        arn = _ARN.fullmatch(text)
        if arn:
            stays = arn["region"] in (None, region) and not arn["name"].startswith("global.")
            return (text,) if stays or residency is Residency.GLOBAL else ()
        prefixes = self._places.profile_prefixes(region, residency)
        full = _PROFILE_ID.fullmatch(text.lower())
        if full and full["prefix"] and (residency is Residency.GLOBAL or full["prefix"] in prefixes):
            return (text.lower(),)
        return self._by_name(text, prefixes)

    def family(self, model: str) -> str:
        """The name under which circuits count this model."""
        bare = _bare(model)
        words = re.split(r"[^a-z0-9]+", bare)
        return next((family for family in FAMILIES if family in words), bare[:LONGEST_FAMILY])

    def canonical(self, model: str) -> str:
        """The Anthropic id that the price list knows, else the bare id itself."""
        known = self._known(model)
        return known.anthropic_id if known else _bare(model)

    def capabilities(self, model: str) -> Capabilities:
        """What the model accepts. The answer for an id never seen is that of the newest model of its family."""
        return self._table.of(self.canonical(model), self.family(model))

    def served_by(self, region: str, residency: Residency) -> tuple[tuple[str, str], ...]:
        """(Anthropic id, display name) of the models that a key of this region reaches, for GET /v1/models."""
        return tuple(
            (model.anthropic_id, model.name)
            for model in self._models.values()
            if model.listed and self.candidates(model.anthropic_id, region, residency)
        )

    def count_tokens_model(self, model: str, region: str) -> str | None:
        """The id to ask CountTokens with (a foundation model: profiles are refused), or None where it cannot be asked."""
        known = self._known(model)
        return known.bedrock if known and known.count_tokens and region in self._places.counts_tokens else None

    def _by_name(self, text: str, prefixes: tuple[str, ...]) -> tuple[str, ...]:
        known = self._known(text)
        if known:
            base = known.bedrock
            offered = tuple(f"{prefix}.{base}" for prefix in prefixes if prefix in known.prefixes)
            on_demand = bool(prefixes) and not known.profile_required
            return (*offered, base) if on_demand else offered
        bare = _bare(text)
        if not _CLAUDE.fullmatch(bare):
            return ()
        full = _PROFILE_ID.fullmatch(text.lower())
        base = full["base"] if full else f"anthropic.{bare}"
        return tuple(f"{prefix}.{base}" for prefix in prefixes if prefix != "apac")

    def _known(self, model: str) -> Model | None:
        """By exact id, alias, Bedrock id, then without `-latest`, then without a date."""
        text = _stripped(model).lower()
        arn = _ARN.fullmatch(text)
        full = _PROFILE_ID.fullmatch(arn["name"] if arn else text)
        if full and full["base"] in self._by_bedrock:
            return self._by_bedrock[full["base"]]
        bare = _bare(model)
        for name in (bare, bare.removesuffix("-latest"), _DATE.sub("", bare)):
            found = self._models.get(self._aliases.get(name, name))
            if found:
                return found
        return None


def load_catalogue(path: Path = _FILE) -> ModelCatalogue:
    """Reads the two JSON files; called once, by the composition root. Raises OSError or KeyError when they are not whole."""
    raw: dict[str, Any] = orjson.loads(path.read_bytes())
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
    )


def _stripped(model: str) -> str:
    text = model[:_LONGEST_NAME].strip()
    while _BRACKETS.search(text):
        text = _BRACKETS.sub("", text)
    return _WINDOW.sub("", text).removeprefix("anthropic/")


def _bare(model: str) -> str:
    """The id without brackets, case, ARN, profile prefix, vendor and Bedrock's version."""
    text = _stripped(model).lower()
    arn = _ARN.fullmatch(text)
    text = (arn["name"] if arn else text).replace("@", "-")
    full = _PROFILE_ID.fullmatch(text)
    return _VERSION.sub("", full["base"].removeprefix("anthropic.")) if full else text
