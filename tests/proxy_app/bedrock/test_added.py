"""Rows that administrators added, over the shipped catalogue; and the model that stands in for one Bedrock does not know."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from core.model_ids import NewModel
from core.types import BedrockKey, KeyHealth, Residency
from proxy_app.bedrock.models import ModelCatalogue

KEY = BedrockKey("bdk-1", "us-east-1", Residency.GLOBAL, KeyHealth.HEALTHY, "secret")
GEO_KEY = replace(KEY, residency=Residency.GEO)
OTHER = replace(KEY, id="bdk-2")
ARN = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123"
OPUS = "anthropic.claude-opus-5-5"
NEXT = NewModel("claude-opus-6", "anthropic.claude-opus-6-v1", "claude-opus-5-5")
BY_ARN = NewModel("claude-opus-5-5", ARN, "claude-opus-5-5", bedrock_key_id="bdk-1")


def ids(catalogue: ModelCatalogue, model: str, key: BedrockKey = KEY) -> list[str]:
    return [route.id for route in catalogue.routes(model, key)]


def test_a_row_names_a_model_that_is_not_shipped(catalogue: ModelCatalogue) -> None:
    over = catalogue.with_rows([NEXT])
    assert ids(over, "claude-opus-6[1m]") == [f"{prefix}.anthropic.claude-opus-6-v1" for prefix in ("global", "us")]
    assert ids(over, "claude-opus-6-20270101", GEO_KEY) == ["us.anthropic.claude-opus-6-v1"]
    assert ids(over, "claude-opus-6", replace(KEY, region="us-gov-west-1")) == ["us-gov.anthropic.claude-opus-6-v1"]


def test_the_catalogue_it_was_laid_over_stays_as_it_was(catalogue: ModelCatalogue) -> None:
    before = catalogue.routes("claude-opus-5-5", KEY)
    over = catalogue.with_rows([BY_ARN])
    assert ids(over, "claude-opus-5-5") == [ARN]
    assert catalogue.routes("claude-opus-5-5", KEY) == before
    assert over.with_rows([]).routes("claude-opus-5-5", KEY) == before


def test_a_row_for_one_key_is_for_no_other_and_wins_over_the_row_for_all(catalogue: ModelCatalogue) -> None:
    for_all = NewModel("claude-opus-5-5", OPUS, "claude-opus-5-5", ("us",))
    over = catalogue.with_rows([for_all, BY_ARN])
    assert (ids(over, "opus"), ids(over, "claude-opus-5-5")) == ([f"global.{OPUS}", f"us.{OPUS}"], [ARN])
    assert ids(over, "claude-opus-5-5", OTHER) == [f"us.{OPUS}"]


@pytest.mark.parametrize(
    ("row", "key"),
    [
        pytest.param(replace(BY_ARN, bedrock_key_id=None), replace(OTHER, region="us-west-2"), id="an ARN of another region"),
        pytest.param(NewModel("claude-opus-5-5", OPUS, "claude-opus-5-5", ("eu",)), KEY, id="a profile of another geography"),
        pytest.param(NewModel("claude-opus-5-5", OPUS, "claude-opus-5-5", ("global",)), GEO_KEY, id="global under geo"),
        pytest.param(
            NewModel("claude-opus-5-5", f"arn:aws:bedrock:us-east-1::inference-profile/global.{OPUS}", "claude-opus-5-5"),
            GEO_KEY,
            id="an ARN of a global profile under geo",
        ),
    ],
)
def test_a_row_that_the_key_cannot_use_is_as_if_it_were_not_there(catalogue: ModelCatalogue, row: NewModel, key: Any) -> None:
    assert catalogue.with_rows([row]).routes("claude-opus-5-5", key) == catalogue.routes("claude-opus-5-5", key)


def test_a_row_has_the_capabilities_of_what_it_is_like_within_its_own_limits(catalogue: ModelCatalogue) -> None:
    row = NewModel("team-model", ARN, "claude-sonnet-4-5-20250929", context_window=500_000, max_output=9_000)
    [route] = catalogue.with_rows([row]).routes("team-model", KEY)
    like = catalogue.capabilities("claude-sonnet-4-5")
    assert route.capabilities == replace(like, context_window=500_000, max_output=9_000)


def test_who_names_the_arn_itself_gets_the_capabilities_that_were_stored_with_it(catalogue: ModelCatalogue) -> None:
    over = catalogue.with_rows([BY_ARN])
    assert [(route.id, route.capabilities) for route in over.routes(ARN, GEO_KEY)] == [
        (ARN, catalogue.capabilities("claude-opus-5-5"))
    ]
    assert over.routes(ARN, replace(GEO_KEY, id="bdk-2")) == ()
    assert over.capabilities(ARN, KEY) == catalogue.capabilities("claude-opus-5-5")


def test_who_names_a_profile_means_that_profile(catalogue: ModelCatalogue) -> None:
    assert ids(catalogue.with_rows([BY_ARN]), f"us.{OPUS}") == [f"us.{OPUS}"]


def test_a_model_can_be_asked_through_no_profile_at_all(catalogue: ModelCatalogue) -> None:
    row = NewModel("claude-opus-6", "anthropic.claude-opus-6", "claude-opus-5-5", ("none",))
    assert ids(catalogue.with_rows([row]), "claude-opus-6", GEO_KEY) == ["anthropic.claude-opus-6"]
    assert ids(catalogue.with_rows([row]), "claude-opus-6", replace(KEY, region="cn-north-1")) == []


def test_a_row_that_is_like_no_shipped_model_is_left_out_and_the_others_hold(catalogue: ModelCatalogue) -> None:
    over = catalogue.with_rows([NewModel("claude-opus-7", ARN, "claude-gone"), NEXT])
    assert ids(over, "claude-opus-6")[0] == "global.anthropic.claude-opus-6-v1"
    assert ids(over, "claude-opus-7")[0] == "global.anthropic.claude-opus-7"


def test_the_list_of_models_has_the_rows_that_the_key_reaches(catalogue: ModelCatalogue) -> None:
    over = catalogue.with_rows([NEXT, NewModel("team-model", ARN, "claude-opus-5-5", bedrock_key_id="bdk-1")])
    mine = dict(over.served_by("us-east-1", Residency.GLOBAL, "bdk-1"))
    assert {"claude-opus-6", "team-model", "claude-opus-5-5"} <= set(mine)
    assert "team-model" not in dict(over.served_by("us-east-1", Residency.GLOBAL, "bdk-2"))
    assert "team-model" not in dict(over.served_by("us-west-2", Residency.GLOBAL, "bdk-1"))
    elsewhere = catalogue.with_rows([replace(NEXT, bedrock=ARN)])  # there is an id by rule, which nobody has confirmed
    assert "claude-opus-6" not in dict(elsewhere.served_by("us-west-2", Residency.GLOBAL, "bdk-1"))
    assert dict(over.served_by("ap-northeast-2", Residency.GEO, "bdk-2")) == {}


def test_tokens_are_counted_with_the_model_that_the_row_says(catalogue: ModelCatalogue) -> None:
    counted = NewModel("team-model", "anthropic.claude-sonnet-4-6", "claude-sonnet-4-6")
    over = catalogue.with_rows([counted, NewModel("claude-sonnet-4-6", ARN, "claude-sonnet-4-6")])
    assert over.count_tokens_model("team-model", "us-east-1", KEY) == "anthropic.claude-sonnet-4-6"
    assert over.count_tokens_model("claude-sonnet-4-6", "us-east-1", KEY) is None


# --- another model of the family


@pytest.mark.parametrize(
    ("model", "key", "instead"),
    [
        ("claude-opus-9", KEY, ["global", "us"]),
        ("claude-opus-9", GEO_KEY, ["us"]),
        ("claude-opus-9", replace(KEY, region="us-gov-west-1"), ["us-gov"]),
        ("claude-opus-9", replace(KEY, region="ap-northeast-2"), ["global"]),
    ],
)
def test_after_the_ids_by_rule_comes_the_newest_of_the_family(
    catalogue: ModelCatalogue, model: str, key: BedrockKey, instead: list[str]
) -> None:
    routes = [route for route in catalogue.routes(model, key) if route.instead]
    assert [(route.id, route.instead) for route in routes] == [(f"{prefix}.{OPUS}", "claude-opus-5-5") for prefix in instead]
    assert [route.capabilities for route in routes] == [catalogue.capabilities("claude-opus-5-5")] * len(instead)


def test_it_is_one_that_the_key_reaches(catalogue: ModelCatalogue) -> None:
    routes = catalogue.routes("claude-fable-9", replace(GEO_KEY, region="ap-southeast-2"))
    assert [(route.id, route.instead) for route in routes] == [
        ("au.anthropic.claude-fable-9", ""),
        ("au.anthropic.claude-fable-5", "claude-fable-5"),
    ]


def test_a_model_that_was_never_seen_on_bedrock_has_one_too(catalogue: ModelCatalogue) -> None:
    assert [route.instead for route in catalogue.routes("claude-fable-5-2", GEO_KEY)] == ["", "claude-fable-5-1"]


@pytest.mark.parametrize("model", ["claude-opus-5-5", "claude-opus-4-1", "claude-nova-1", ARN, f"us.{OPUS}"])
def test_nothing_stands_in_for_a_known_model_an_unknown_family_or_an_arn(catalogue: ModelCatalogue, model: str) -> None:
    assert {route.instead for route in catalogue.routes(model, KEY)} == {""}


@pytest.mark.parametrize(
    ("model", "region", "residency", "why"),
    [
        (
            "claude-opus-5-5",
            "ap-northeast-2",
            Residency.GEO,
            "only through global profiles, and the Bedrock key's residency is geo",
        ),
        ("claude-fable-5-1", "ap-northeast-1", Residency.GEO, "no jp profile, and the Bedrock key's residency is geo"),
        ("claude-opus-4-1", "sa-east-1", Residency.GLOBAL, "no profile of sa-east-1 offers it"),
        ("claude-opus-5-5", "cn-north-1", Residency.GLOBAL, "not offered in cn-north-1"),
        ("gpt-9", "us-east-1", Residency.GLOBAL, "no Claude model"),
    ],
)
def test_there_is_a_reason_why_a_model_cannot_be_served(
    catalogue: ModelCatalogue, model: str, region: str, residency: Residency, why: str
) -> None:
    assert catalogue.routes(model, replace(KEY, region=region, residency=residency)) == ()
    assert why in catalogue.why_unserved(model, region, residency)
