"""Where models are answered: the geography of each AWS region, and which inference profiles a key there may use.

Pure. Invariant: with `Residency.GEO` no prefix is given that leaves the region's own geography.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from core.types import Residency

_NO_PLACE = ""  # a region in which Claude is not offered


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

    def offering(self) -> tuple[str, ...]:
        """The known regions where Claude is offered at all, by name."""
        return tuple(sorted(region for region, geo in self.regions.items() if geo != _NO_PLACE))

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

    def why_none(self, region: str, residency: Residency) -> str:
        """Why a model cannot be reached from there, in words for whoever attached the key."""
        geo = self.geography(region)
        if geo == _NO_PLACE:
            return f"Claude is not offered in {region}"
        if geo is None and residency is Residency.GEO:
            return f"{region} reaches it only through global profiles, and the Bedrock key's residency is geo"
        if residency is Residency.GEO:
            return f"it has no {geo} profile, and the Bedrock key's residency is geo"
        return f"no profile of {region} offers it"
