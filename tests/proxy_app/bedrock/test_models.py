"""Which Bedrock ids stand for a model, where, and in which order."""

from __future__ import annotations

import pytest

from core.model_ids import is_region
from core.types import Residency
from proxy_app.bedrock.models import ModelCatalogue, path_segment

GLOBAL, GEO = Residency.GLOBAL, Residency.GEO
OPUS = "anthropic.claude-opus-5-5"
SONNET_45 = "anthropic.claude-sonnet-4-5-20250929-v1:0"
PROVISIONED_ARN = "arn:aws:bedrock:us-east-1:123456789012:provisioned-model/abc123"
PROFILE_ARN = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123"


@pytest.mark.parametrize(
    ("model", "region", "residency", "ids"),
    [
        ("claude-opus-5-5", "us-east-1", GLOBAL, (f"global.{OPUS}", f"us.{OPUS}")),
        ("claude-opus-5-5", "us-east-1", GEO, (f"us.{OPUS}",)),
        ("claude-opus-5-5[1m]", "eu-central-1", GEO, (f"eu.{OPUS}",)),
        ("claude-opus-5-5:51k", "ap-southeast-2", GEO, (f"au.{OPUS}",)),
        ("CLAUDE-OPUS-5-5", "ap-northeast-1", GEO, (f"jp.{OPUS}",)),
        ("claude-opus-5-5-20260901", "ca-central-1", GEO, (f"us.{OPUS}",)),
        ("claude-opus-5-5-latest", "sa-east-1", GLOBAL, (f"global.{OPUS}",)),
        ("claude-opus-5-5", "us-gov-west-1", GLOBAL, (f"us-gov.{OPUS}",)),
        ("claude-opus-5-5", "eu-north-9", GEO, (f"eu.{OPUS}",)),
        ("claude-sonnet-4-5", "us-west-2", GLOBAL, (f"global.{SONNET_45}", f"us.{SONNET_45}")),
        ("anthropic/claude-sonnet-4-5@20250929", "us-west-2", GEO, (f"us.{SONNET_45}",)),
        ("claude-opus-4-1", "eu-west-1", GLOBAL, ("eu.anthropic.claude-opus-4-1-20250805-v1:0",)),
        ("claude-opus-4-6", "us-east-1", GEO, ("us.anthropic.claude-opus-4-6-v1",)),
        ("claude-sonnet-9-1", "eu-west-3", GLOBAL, ("global.anthropic.claude-sonnet-9-1", "eu.anthropic.claude-sonnet-9-1")),
        (
            "claude-3-5-sonnet-20240620",
            "us-east-1",
            GEO,
            tuple(p + "anthropic.claude-3-5-sonnet-20240620-v1:0" for p in ("us.", "")),
        ),
    ],
)
def test_a_model_has_its_ids_in_the_order_to_try(
    catalogue: ModelCatalogue, model: str, region: str, residency: Residency, ids: tuple[str, ...]
) -> None:
    assert catalogue.candidates(model, region, residency) == ids


def test_seoul_reaches_new_models_only_through_global_profiles(catalogue: ModelCatalogue) -> None:
    assert catalogue.candidates("claude-opus-5-5", "ap-northeast-2", GLOBAL) == (f"global.{OPUS}",)
    assert catalogue.candidates("claude-opus-5-5", "ap-northeast-2", GEO) == ()


def test_old_models_keep_the_asian_profile(catalogue: ModelCatalogue) -> None:
    assert catalogue.candidates("claude-sonnet-4-0", "ap-northeast-2", GEO) == ("apac.anthropic.claude-sonnet-4-20250514-v1:0",)


def test_geo_never_leaves_the_geography_even_when_the_client_names_a_profile(catalogue: ModelCatalogue) -> None:
    assert catalogue.candidates(f"global.{OPUS}", "eu-west-1", GEO) == (f"eu.{OPUS}",)
    assert catalogue.candidates(f"us.{OPUS}", "eu-west-1", GEO) == (f"eu.{OPUS}",)


def test_a_full_profile_id_is_passed_as_it_is(catalogue: ModelCatalogue) -> None:
    assert catalogue.candidates(f"us.{OPUS}", "us-east-1", GLOBAL) == (f"us.{OPUS}",)


def test_an_arn_is_passed_as_it_is(catalogue: ModelCatalogue) -> None:
    assert catalogue.candidates(PROFILE_ARN, "us-east-1", GLOBAL) == (PROFILE_ARN,)
    assert catalogue.candidates(PROVISIONED_ARN, "us-east-1", GEO) == (PROVISIONED_ARN,)


@pytest.mark.parametrize(
    "name",
    [
        PROFILE_ARN,
        f"arn:aws:bedrock:us-east-1:123456789012:inference-profile/eu.{OPUS}",
        PROVISIONED_ARN.replace("east-1", "east-2"),
    ],
)
def test_geo_refuses_an_arn_that_may_lead_out_of_the_geography(catalogue: ModelCatalogue, name: str) -> None:
    assert catalogue.candidates(name, "us-east-1", GEO) == ()


def test_an_arn_of_a_global_profile_is_not_used_under_geo(catalogue: ModelCatalogue) -> None:
    arn = f"arn:aws:bedrock:us-east-1:123456789012:inference-profile/global.{OPUS}"
    assert catalogue.candidates(arn, "us-east-1", GEO) == ()
    assert catalogue.candidates(arn, "us-east-1", GLOBAL) == (arn,)


@pytest.mark.parametrize(
    "model",
    [
        "gpt-5",
        "",
        "claude-",
        "../../x",
        "claude-opus-5-5/../x",
        "claude opus",
        "amazon.nova-pro-v1:0",
        "[1m]",
        "claude-é",
        "c" * 5000,
    ],
)
def test_what_names_no_claude_cannot_be_served(catalogue: ModelCatalogue, model: str) -> None:
    assert catalogue.candidates(model, "us-east-1", GLOBAL) == ()


@pytest.mark.parametrize(
    "region", ["", "evil.example", "us-east-1.evil", "us-east-1/", "US-EAST-1", "us-east-1\n", "us--1", "cn-north-1"]
)
def test_a_region_that_is_none_serves_nothing(catalogue: ModelCatalogue, region: str) -> None:
    assert catalogue.candidates("claude-opus-5-5", region, GLOBAL) == ()


@pytest.mark.parametrize(
    ("text", "expected"), [("us-gov-west-1", True), ("ap-southeast-2", True), ("us-east-1@x", False), ("x" * 99, False)]
)
def test_a_region_is_recognised_strictly(text: str, expected: bool) -> None:
    assert is_region(text) is expected


def test_a_path_segment_quotes_the_slash_of_an_arn() -> None:
    assert path_segment(PROFILE_ARN).endswith(":application-inference-profile%2Fabc123")
    assert path_segment(f"global.{SONNET_45}") == f"global.{SONNET_45}"


@pytest.mark.parametrize("text", ["..", "a/b", "anthropic.claude-x/../y", "anthropic.claude-x?y"])
def test_a_path_segment_refuses_what_is_no_model_id(text: str) -> None:
    with pytest.raises(ValueError, match="model id"):
        path_segment(text)


@pytest.mark.parametrize(
    ("model", "family"),
    [
        ("claude-opus-4-1-20250805", "opus"),
        ("us.anthropic.claude-3-5-haiku-20241022-v1:0", "haiku"),
        ("claude-fable-5-2[1m]", "fable"),
        ("claude-mythos-5", "mythos"),
        ("Sonnet", "sonnet"),
        (PROFILE_ARN, "abc123"),
        ("X" * 100, "x" * 60),
    ],
)
def test_circuits_count_models_by_family(catalogue: ModelCatalogue, model: str, family: str) -> None:
    assert catalogue.family(model) == family


@pytest.mark.parametrize(
    ("model", "canonical"),
    [
        ("claude-sonnet-4-5[1m]", "claude-sonnet-4-5-20250929"),
        (f"global.{SONNET_45}", "claude-sonnet-4-5-20250929"),
        (f"arn:aws:bedrock:us-east-1::foundation-model/{SONNET_45}", "claude-sonnet-4-5-20250929"),
        ("anthropic.claude-opus-4-6-v1", "claude-opus-4-6"),
        ("claude-opus-9", "claude-opus-9"),
    ],
)
def test_prices_are_looked_up_by_the_anthropic_id(catalogue: ModelCatalogue, model: str, canonical: str) -> None:
    assert catalogue.canonical(model) == canonical


def test_listed_models_are_those_that_the_region_reaches(catalogue: ModelCatalogue) -> None:
    listed = dict(catalogue.served_by("ap-northeast-1", GEO))
    assert listed["claude-opus-5-5"] == "Claude Opus 5.5"
    assert "claude-fable-5-1" not in listed
    assert not any(name.startswith("claude-3") for name in listed)


def test_count_tokens_is_asked_with_the_foundation_model(catalogue: ModelCatalogue) -> None:
    assert catalogue.count_tokens_model("claude-sonnet-4-5", "us-east-1") == SONNET_45


@pytest.mark.parametrize(
    ("model", "region"), [("claude-sonnet-4-5", "ap-northeast-2"), ("claude-opus-5-5", "us-east-1"), ("gpt", "us-east-1")]
)
def test_count_tokens_is_not_asked_where_it_is_not(catalogue: ModelCatalogue, model: str, region: str) -> None:
    assert catalogue.count_tokens_model(model, region) is None


def test_an_unknown_model_has_the_capabilities_of_the_newest_of_its_family(catalogue: ModelCatalogue) -> None:
    assert catalogue.capabilities("claude-opus-9") == catalogue.capabilities("claude-opus-5-5")


def test_a_profile_that_hides_its_model_gets_cautious_capabilities(catalogue: ModelCatalogue) -> None:
    able = catalogue.capabilities(PROFILE_ARN)
    assert not able.betas
    assert "messages.system" not in able.features
