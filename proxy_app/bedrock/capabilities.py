"""What each model on Bedrock accepts, read once from `data/capabilities.json`.

Values only: it knows names of betas, features and fields, and no request. A *feature* is one thing that a request may use
("messages.system", "tools.defer_loading", "thinking.adaptive"); a beta *opens* features that the API refuses without it.
Invariant: the names in the file are a closed list (`Rules.features`, `Rules.betas`), and a pair is whole: taking away a
beta takes away what only it opens, taking away a feature takes away the betas that open nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson

from proxy_app.bedrock.learned import Learned

_FILE = Path(__file__).parent / "data" / "capabilities.json"
UNKNOWN_PROFILE = "unknown"


@dataclass(frozen=True, slots=True)
class Beta:
    """A row of the beta table: see "about" in the file."""

    opens: frozenset[str] = frozenset()
    serves: frozenset[str] = frozenset()
    only_with: bool = False
    add: bool = False
    instead_of: str = ""


@dataclass(frozen=True, slots=True)
class Block:
    """A kind of content block: the feature it needs, and the fields it may have (None: never touched)."""

    needs: str
    fields: frozenset[str] | None


@dataclass(frozen=True, slots=True)
class Mode:
    """A mode of thinking: the fields it may have, and the modes to try where a model lacks it."""

    fields: frozenset[str]
    instead: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rules:
    """What holds for every model: the allowlists (name -> the feature it needs, or ""), the beta table, and the features."""

    top_level: Mapping[str, str]
    message_fields: Mapping[str, str]
    output_fields: frozenset[str]
    sampling_defaults: Mapping[str, float | None]
    thinking: Mapping[str, Mode]
    tool_fields: Mapping[str, str]
    refused_tool_fields: frozenset[str]
    client_tools: Mapping[str, str]
    blocks: Mapping[str, Block]
    edits: Mapping[str, tuple[str, ...]]
    core: frozenset[str]
    effort_order: tuple[str, ...]
    effort_budgets: Mapping[str, int]
    beta_aliases: Mapping[str, str]
    betas: Mapping[str, Beta]
    features: frozenset[str]


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What one model accepts. `ga` are the features that need no beta there; sizes are tokens.

    `length_cap` is the operator's, not the model's: more `max_tokens` are not asked for (0: no cap).
    """

    rules: Rules
    features: frozenset[str]
    betas: frozenset[str]
    ga: frozenset[str]
    lone_betas: bool
    effort_ceiling: str | None
    max_output: int | None
    context_window: int | None
    length_cap: int = 0

    def without(self, learned: Learned) -> Capabilities:
        """The same model, less what it was found to refuse, each in pair with its other half."""
        if not (learned.betas or learned.fields):
            return self
        opened = {name for beta in learned.betas for name in self.partners(beta)}
        still = {name for beta in self.betas - learned.betas for name in self._beta(beta).opens}
        features = self.features - learned.fields - (opened - still)
        betas = frozenset(name for name in self.betas - learned.betas if self._still_opens(name, features))
        return replace(self, features=features, betas=betas)

    def partners(self, beta: str) -> frozenset[str]:
        """The features that the API refuses without this beta: the other half of the pair."""
        return self._beta(beta).opens - self.ga

    def openers(self, feature: str) -> frozenset[str]:
        """The betas of which one must go along with this feature; none where it needs none."""
        rows = self.rules.betas.items()
        return frozenset(name for name, row in rows if feature in row.opens) if feature not in self.ga else frozenset()

    def plain(self) -> Capabilities:
        """The same model with nothing that needs a beta: for requests that may hold core fields only."""
        opened = {name for beta in self.rules.betas.values() for name in beta.opens}
        return replace(self, betas=frozenset(), features=self.features - (opened - self.ga) - {"tools.defer_loading"})

    def _beta(self, name: str) -> Beta:
        return self.rules.betas.get(name, _NO_BETA)

    def _still_opens(self, beta: str, features: frozenset[str]) -> bool:
        row = self._beta(beta)
        return not row.opens or bool((row.opens | row.serves) & features)


_NO_BETA = Beta()


@dataclass(frozen=True, slots=True)
class CapabilityTable:
    """Capabilities by Anthropic id. A model nobody has described is treated as the newest of its family."""

    models: Mapping[str, Capabilities]
    families: Mapping[str, str]
    unknown: Capabilities

    def of(self, model: str, family: str) -> Capabilities:
        """`model` is a canonical id; `family` decides when the id is not in the table. Never raises."""
        known = self.models.get(model)
        if known is not None:
            return known
        newest = self.families.get(family)
        return self.models[newest] if newest else self.unknown


def load_capabilities(path: Path = _FILE) -> CapabilityTable:
    """Reads the file; called once, by the composition root. Raises OSError or KeyError when the file is not whole."""
    raw: dict[str, Any] = orjson.loads(path.read_bytes())
    profiles = {name: _profile(raw["profiles"], name) for name in raw["profiles"]}
    rules = _rules(raw, frozenset().union(*(profile["features"] for profile in profiles.values())))
    models = {name: _capabilities(rules, profiles[row["profile"]], row) for name, row in raw["models"].items()}
    return CapabilityTable(models, raw["families"], _capabilities(rules, profiles[UNKNOWN_PROFILE], {}))


def _rules(raw: Mapping[str, Any], features: frozenset[str]) -> Rules:
    return Rules(
        top_level=raw["top_level"],
        message_fields=raw["message_fields"],
        output_fields=frozenset(raw["output_fields"]),
        sampling_defaults=raw["sampling_defaults"],
        tool_fields=raw["tool_fields"],
        refused_tool_fields=frozenset(raw["refused_tool_fields"]),
        client_tools=raw["client_tools"],
        core=frozenset(raw["core"]),
        thinking={name: Mode(frozenset(row["fields"]), tuple(row["instead"])) for name, row in raw["thinking"].items()},
        blocks={name: _block(row) for name, row in raw["blocks"].items()},
        edits={name: tuple(needs) for name, needs in raw["edits"].items()},
        effort_order=tuple(raw["effort_order"]),
        effort_budgets=raw["effort_budgets"],
        beta_aliases=raw["beta_aliases"],
        betas={name: _beta_row(row) for name, row in raw["betas"].items()},
        features=features,
    )


def _block(row: Mapping[str, Any]) -> Block:
    return Block(row.get("needs", ""), None if row["fields"] is None else frozenset(row["fields"]))


def _beta_row(row: Mapping[str, Any]) -> Beta:
    return Beta(
        opens=frozenset(row.get("opens", ())),
        serves=frozenset(row.get("serves", ())),
        only_with=row.get("only_with", False),
        add=row.get("add", False),
        instead_of=row.get("instead_of", ""),
    )


def _profile(rows: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A profile with what it inherits: sets are added to and taken from, single values replaced."""
    row = rows[name]
    base = _profile(rows, row["like"]) if "like" in row else {}
    return {
        "features": _inherit(base, row, "features", ""),
        "betas": _inherit(base, row, "betas", "_betas"),
        "ga": _inherit(base, row, "ga", "_ga"),
        "lone_betas": row.get("lone_betas", base.get("lone_betas", False)),
        "effort_ceiling": row.get("effort_ceiling", base.get("effort_ceiling")),
    }


def _inherit(base: Mapping[str, Any], row: Mapping[str, Any], key: str, suffix: str) -> frozenset[str]:
    start = frozenset(row.get(key, base.get(key, ())))
    return (start | set(row.get(f"with{suffix}", ()))) - set(row.get(f"without{suffix}", ()))


def _capabilities(rules: Rules, profile: Mapping[str, Any], row: Mapping[str, Any]) -> Capabilities:
    """A model is its profile; its own row may add and take away, too: `repairs export` writes such rows."""
    features = _inherit(profile, row, "features", "")
    return Capabilities(
        rules=rules,
        features=features,
        betas=_inherit(profile, row, "betas", "_betas"),
        ga=profile["ga"] & features,
        lone_betas=profile["lone_betas"],
        effort_ceiling=profile["effort_ceiling"],
        max_output=row.get("max_output"),
        context_window=row.get("context_window"),
    )
