"""Models that administrators added, laid over the shipped catalogue. Pure, immutable.

Invariants: a row is used only where the key can reach it (its ARN is of the key's region, its profiles are the region's),
else it is as if it were not there; of two rows the one for the key itself wins over the one for all keys. With
`Residency.GEO` no row leads to a global profile; what an application inference profile leads to, only its maker knows,
and by adding the row says.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace

from core.model_ids import ARN, ON_DEMAND, PREFIXES, PROFILE_ID, NewModel
from proxy_app.bedrock.capabilities import Capabilities
from proxy_app.bedrock.model_names import spellings, stripped

_BY_RULE = frozenset(PREFIXES) - {"apac"}  # no model since 4.5 has that one


@dataclass(frozen=True, slots=True)
class Added:
    """A row that fits, with the ids to try from where it was looked up."""

    row: NewModel
    capabilities: Capabilities
    ids: tuple[str, ...] = ()


class AddedModels:
    """`rows` with the capabilities of what each is like; its own limits are laid over them here."""

    def __init__(self, rows: Iterable[tuple[NewModel, Capabilities]] = ()) -> None:
        self._by_name: dict[tuple[str, str], Added] = {}
        self._by_arn: dict[tuple[str, str], Added] = {}
        for row, like in rows:
            added, holder = Added(row, _with_limits(row, like)), row.bedrock_key_id or ""
            self._by_name[(row.model, holder)] = added
            if ARN.fullmatch(row.bedrock):
                self._by_arn[(row.bedrock, holder)] = added

    def find(self, model: str, region: str, prefixes: Collection[str], key_id: str) -> Added | None:
        """The row for this name or ARN that a key of `region` with these profile prefixes can use."""
        for found in self._named(model, key_id):
            ids = _ids(found.row, region, prefixes)
            if ids:
                return replace(found, ids=ids)
        return None

    def names(self, key_id: str) -> list[str]:
        """What may be in the list of models of a key, in the order of the rows."""
        return list(dict.fromkeys(name for name, holder in self._by_name if holder in ("", key_id)))

    def _named(self, model: str, key_id: str) -> Iterator[Added]:
        """Who names an ARN or a profile means just that: only a row that describes this very ARN is for them."""
        text = stripped(model)
        full = PROFILE_ID.fullmatch(text.lower())
        if ARN.fullmatch(text):
            keys = [(self._by_arn, text)]
        elif full and full["prefix"]:
            return
        else:
            keys = [(self._by_name, name) for name in spellings(model)]
        for table, name in keys:
            for holder in (key_id, ""):
                found = table.get((name, holder))
                if found is not None:
                    yield found


def _ids(row: NewModel, region: str, prefixes: Collection[str]) -> tuple[str, ...]:
    """`prefixes` are in the order to try; none at all: Claude is not offered there."""
    arn = ARN.fullmatch(row.bedrock)
    if arn:
        profile = PROFILE_ID.fullmatch(arn["name"])
        stays = profile is None or profile["prefix"] in (None, *prefixes)
        return (row.bedrock,) if stays and arn["region"] in (None, region) else ()
    if row.prefixes == (ON_DEMAND,):
        return (row.bedrock,) if prefixes else ()
    wanted = row.prefixes or _BY_RULE
    return tuple(f"{prefix}.{row.bedrock}" for prefix in prefixes if prefix in wanted)


def _with_limits(row: NewModel, like: Capabilities) -> Capabilities:
    return replace(
        like,
        context_window=row.context_window or like.context_window,
        max_output=row.max_output or like.max_output,
    )
