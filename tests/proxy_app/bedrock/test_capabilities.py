"""The capability file is whole, and pairs stay pairs."""

from __future__ import annotations

from proxy_app.bedrock.capabilities import load_capabilities
from proxy_app.bedrock.learned import Learned
from proxy_app.bedrock.models import ModelCatalogue


def test_every_name_in_a_profile_is_in_the_closed_lists() -> None:
    table = load_capabilities()
    for able in table.models.values():
        assert able.betas <= able.rules.betas.keys()
        assert able.ga <= able.features <= able.rules.features


def test_every_alias_leads_to_a_known_beta_and_every_family_to_a_known_model() -> None:
    table = load_capabilities()
    assert set(table.unknown.rules.beta_aliases.values()) <= table.unknown.rules.betas.keys()
    assert set(table.families.values()) <= table.models.keys()


def test_a_beta_that_goes_takes_what_it_opens(catalogue: ModelCatalogue) -> None:
    able = catalogue.capabilities("claude-opus-5-5").without(Learned().with_dropped("beta", "context-management-2025-06-27"))
    assert "context_management" not in able.features


def test_a_feature_that_goes_takes_the_betas_that_only_open_it(catalogue: ModelCatalogue) -> None:
    able = catalogue.capabilities("claude-opus-5-5").without(Learned().with_dropped("field", "messages.output_config"))
    assert not {"per-turn-control-2026-07-01", "mid-conversation-output-config-2026-07-01"} & able.betas


def test_a_feature_that_needs_no_beta_survives_its_beta(catalogue: ModelCatalogue) -> None:
    able = catalogue.capabilities("claude-opus-5-5").without(Learned().with_dropped("beta", "effort-2025-11-24"))
    assert "output_config.effort" in able.features
    assert "effort-2025-11-24" not in able.betas


def test_plain_capabilities_need_no_beta_at_all(catalogue: ModelCatalogue) -> None:
    able = catalogue.capabilities("claude-opus-5-5").plain()
    assert not able.betas
    assert not {"messages.system", "context_management", "tools.defer_loading"} & able.features
