"""The catalogue against a table of its own: what AWS and Anthropic document of ids, inference profiles and regions."""

from __future__ import annotations

import pytest

from core.types import Residency
from proxy_app.bedrock.models import ModelCatalogue

# Anthropic id, what Bedrock adds to it, the profiles that offer it. AWS lists no `apac.` since 4.5.
TABLE = """
claude-fable-5-1           -       global us eu us-gov
claude-fable-5             -       global us eu au
claude-mythos-5-1          -       global us
claude-mythos-5            -       us
claude-opus-5-5            -       global us eu jp au us-gov
claude-opus-5              -       global us eu jp au us-gov in
claude-opus-4-8            -       global us eu jp au us-gov
claude-opus-4-7            -       global us eu jp au
claude-opus-4-6            -v1     global us eu jp au
claude-opus-4-5-20251101   -v1:0   global us eu
claude-opus-4-1-20250805   -v1:0   us eu
claude-opus-4-20250514     -v1:0   us eu
claude-sonnet-5-5          -       global us eu jp au us-gov
claude-sonnet-5            -       global us eu jp au us-gov in
claude-sonnet-4-6          -       global us eu jp au
claude-sonnet-4-5-20250929 -v1:0   global us eu jp au us-gov
claude-sonnet-4-20250514   -v1:0   global us eu apac
claude-3-7-sonnet-20250219 -v1:0   us eu
claude-3-5-sonnet-20241022 -v2:0   us eu
claude-haiku-5-5           -       global us eu jp au us-gov
claude-haiku-4-5-20251001  -v1:0   global us eu jp au in
claude-3-5-haiku-20241022  -v1:0   us eu
"""
ROWS = [(name, name + suffix.removesuffix("-"), set(rest)) for name, suffix, *rest in map(str.split, TABLE.split("\n")[1:-1])]
# One region for each geography.
PLACES = {
    "us-east-1": {"global", "us"},
    "eu-west-1": {"global", "eu"},
    "ap-northeast-1": {"global", "jp", "apac"},
    "ap-southeast-2": {"global", "au", "apac"},
    "ap-south-1": {"global", "in", "apac"},
    "ap-northeast-2": {"global", "apac"},
    "sa-east-1": {"global"},
    "us-gov-west-1": {"us-gov"},
}
ALIASES = {
    "claude-opus-4-7-20260416": "claude-opus-4-7",
    "claude-opus-4-6-20260205": "claude-opus-4-6",
    "claude-opus-4-5": "claude-opus-4-5-20251101",
    "claude-opus-4-1": "claude-opus-4-1-20250805",
    "claude-opus-4-0": "claude-opus-4-20250514",
    "claude-opus-4": "claude-opus-4-20250514",
    "claude-4-opus-20250514": "claude-opus-4-20250514",
    "claude-sonnet-4-5": "claude-sonnet-4-5-20250929",
    "claude-sonnet-4-0": "claude-sonnet-4-20250514",
    "claude-4-sonnet-20250514": "claude-sonnet-4-20250514",
    "claude-3-7-sonnet-latest": "claude-3-7-sonnet-20250219",
    "claude-3-5-sonnet-latest": "claude-3-5-sonnet-20241022",
    "claude-haiku-4-5": "claude-haiku-4-5-20251001",
    "claude-3-5-haiku-latest": "claude-3-5-haiku-20241022",
    "claude-3-haiku": "claude-3-haiku-20240307",
}


@pytest.mark.parametrize("region", PLACES)
@pytest.mark.parametrize(("name", "bedrock", "prefixes"), ROWS, ids=[row[0] for row in ROWS])
def test_a_model_is_reached_through_the_profiles_that_it_and_the_region_have(
    catalogue: ModelCatalogue, name: str, bedrock: str, prefixes: set[str], region: str
) -> None:
    ids = catalogue.candidates(name, region, Residency.GLOBAL)
    assert set(ids) == {f"{prefix}.anthropic.{bedrock}" for prefix in prefixes & PLACES[region]}
    assert len(set(ids)) == len(ids)
    assert [each.startswith("global.") for each in ids] == sorted((each.startswith("global.") for each in ids), reverse=True)


@pytest.mark.parametrize("region", PLACES)
@pytest.mark.parametrize("name", [row[0] for row in ROWS] + ["claude-opus-9", "claude-fable-5-2"])
def test_geo_is_what_global_is_less_the_global_profile(catalogue: ModelCatalogue, name: str, region: str) -> None:
    own = [each for each in catalogue.candidates(name, region, Residency.GLOBAL) if not each.startswith("global.")]
    geo = catalogue.candidates(name, region, Residency.GEO)
    assert set(geo) <= set(own)
    assert {each.partition(".")[0] for each in own} - {each.partition(".")[0] for each in geo} <= {"apac"}


@pytest.mark.parametrize(("alias", "name"), ALIASES.items())
@pytest.mark.parametrize("suffix", ["", "[1m]", "[200k]", ":51k", " [1M]"])
def test_an_alias_means_its_model_whatever_window_is_asked_for(
    catalogue: ModelCatalogue, alias: str, name: str, suffix: str
) -> None:
    assert catalogue.canonical(alias + suffix) == name


def test_the_short_names_of_the_families_mean_their_newest_model(catalogue: ModelCatalogue) -> None:
    newest = ["claude-fable-5-1", "claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-5-5"]
    assert [catalogue.canonical(name) for name in ("fable", "opus", "sonnet", "haiku")] == newest
