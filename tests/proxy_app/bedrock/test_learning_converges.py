"""Learning against the strict sandbox: random allow-sets of betas and fields that nothing in the product's data knows."""

from __future__ import annotations

from math import ceil, log2
from typing import Any

import pytest

from proxy_app.bedrock.betas import holds
from proxy_app.bedrock.lessons import BETA, FIELD, Fact, Lessons, Verdict
from proxy_app.bedrock.models import ModelCatalogue
from tests.proxy_app.bedrock.strict_upstream import BY_NAME, NAMED, UNNAMED, Strict, rich_body

SEEDS = [str(seed) for seed in range(10)]
ENOUGH = 60
CONTEXT = "context-management-2025-06-27"
SYSTEM = "mid-conversation-system-2026-04-07"
OPUS = "claude-opus-5-5"


def strict(catalogue: ModelCatalogue, model: str, seed: str | None = None) -> Strict:
    return Strict(catalogue, BY_NAME[model], seed)


def learned(catalogue: ModelCatalogue, model: str, seed: str) -> Strict:
    account = strict(catalogue, model, seed)
    account.ask_often(ENOUGH)
    return account


def lost_features(account: Strict) -> set[str]:
    """What this account refuses: by name, or because it takes none of the betas that open it; what is inside that goes too."""
    gated = account.able.features - account.able.ga
    closed = {feature for feature in gated if openers(account, feature) and not openers(account, feature) & account.part.betas}
    lost = closed | account.lessons.refused.fields
    inner = {"thinking.display.updates": "thinking.display"}
    return lost | {goes for feature, goes in inner.items() if feature in lost}


def openers(account: Strict, feature: str) -> set[str]:
    return {name for name, row in account.able.rules.betas.items() if feature in row.opens}


def accepted_betas(account: Strict) -> set[str]:
    """What this account takes of what an unlimited one is sent, but for betas whose every field it refuses."""
    unlimited = strict(account.catalogue, account.model.name)
    unlimited.ask()
    lost = lost_features(account) | (account.able.rules.features - account.able.features)
    rows = {name: account.able.rules.betas[name] for name in unlimited.sent_betas & account.part.betas}
    return {name for name, row in rows.items() if not row.opens or (row.opens | row.serves) - lost}


def used_features(account: Strict) -> set[str]:
    return {name for name in account.able.rules.features if holds(account.bodies[-1], name)}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("model", NAMED)
def test_named_refusals_cost_at_most_one_request_an_item(catalogue: ModelCatalogue, model: str, seed: str) -> None:
    account = learned(catalogue, model, seed)
    assert account.corrected <= account.refused_names
    assert account.statuses[-10:] == [[200]] * 10
    assert account.sent_betas == accepted_betas(account)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("model", UNNAMED)
def test_unnamed_refusals_are_found_by_halving(catalogue: ModelCatalogue, model: str, seed: str) -> None:
    account = learned(catalogue, model, seed)
    names = len(account.able.betas)
    assert account.corrected <= account.refused_names * (ceil(log2(names)) + 1)
    assert account.statuses[-10:] == [[200]] * 10
    assert account.sent_betas == accepted_betas(account)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("model", [*NAMED, *UNNAMED])
def test_every_accepted_field_is_sent_again(catalogue: ModelCatalogue, model: str, seed: str) -> None:
    account, unlimited = learned(catalogue, model, seed), strict(catalogue, model)
    unlimited.ask()
    assert used_features(unlimited) - used_features(account) <= lost_features(account)


@pytest.mark.parametrize("model", [*NAMED, *UNNAMED])
def test_every_request_is_answered_while_learning_and_corrected_at_most_once_a_class(
    catalogue: ModelCatalogue, model: str
) -> None:
    requests = [statuses for seed in SEEDS for statuses in learned(catalogue, model, seed).statuses]
    assert {statuses[-1] for statuses in requests} == {200}
    assert max(map(len, requests)) <= 3  # betas and fields are two classes; thinking, the third, is at stake nowhere here


@pytest.mark.parametrize("model", [*NAMED, *UNNAMED])
def test_an_account_without_limits_teaches_nothing(catalogue: ModelCatalogue, model: str) -> None:
    account = strict(catalogue, model)
    account.ask_often(3)
    assert (account.statuses, account.lessons) == ([[200]] * 3, Lessons.none())


# --- both halves of a pair


def without_fields(body: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name not in names}


def plain_talk(model: str) -> dict[str, Any]:
    messages = [{"role": "user", "content": "hello"}]
    return {"model": model, "max_tokens": 100, "stream": False, "messages": messages}


def refusing(catalogue: ModelCatalogue, model: str, *betas: str) -> Strict:
    account = strict(catalogue, model)
    account.refuse(*betas)
    return account


def test_a_beta_that_was_refused_without_its_field_is_corrected_and_not_remembered(catalogue: ModelCatalogue) -> None:
    account = refusing(catalogue, OPUS, SYSTEM)
    account.ask(plain_talk(OPUS), (SYSTEM, "afk-mode-2026-01-31"))
    assert account.statuses == [[400, 200]]
    assert account.lessons == Lessons.none()


def test_the_same_beta_refused_with_its_field_is_remembered(catalogue: ModelCatalogue) -> None:
    account = refusing(catalogue, OPUS, SYSTEM)
    account.ask()
    assert account.lessons.refused.betas == {SYSTEM}


def test_of_two_names_in_one_refusal_only_the_whole_pair_is_remembered(catalogue: ModelCatalogue) -> None:
    account = refusing(catalogue, OPUS, SYSTEM, CONTEXT)
    body = plain_talk(OPUS) | {"context_management": rich_body(BY_NAME[OPUS])["context_management"]}
    account.ask(body, (SYSTEM, CONTEXT))
    assert account.lessons.refused.betas == {CONTEXT}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("model", [*NAMED, *UNNAMED])
def test_nothing_is_ever_remembered_of_requests_that_lack_the_fields(catalogue: ModelCatalogue, model: str, seed: str) -> None:
    account = strict(catalogue, model, seed)
    account.ask(plain_talk(model))
    halves = {name for name in account.able.betas if account.able.partners(name)}
    assert {name for kind, name in account.lessons.marks if kind == FIELD} == set()
    assert {name for kind, name in account.lessons.marks if kind == BETA} & halves == set()


def test_nothing_is_remembered_when_the_corrected_request_fails_too(catalogue: ModelCatalogue) -> None:
    account = refusing(catalogue, OPUS, SYSTEM)
    body = rich_body(BY_NAME[OPUS])
    account.ask(body | {"tools": [*body["tools"], body["tools"][0]]})
    assert account.statuses == [[400, 400]]
    assert account.lessons == Lessons.none()


# --- thinking


def with_foreign_thinking(model: str) -> dict[str, Any]:
    body = plain_talk(model)
    thought = [{"type": "thinking", "thinking": "hm", "signature": "bedrock-forged"}, {"type": "text", "text": "yes"}]
    return body | {"messages": [*body["messages"], {"role": "assistant", "content": thought}, *body["messages"]]}


@pytest.mark.parametrize("model", [OPUS, "claude-sonnet-4-6"])
def test_thinking_that_is_refused_is_stripped_once_and_teaches_nothing(catalogue: ModelCatalogue, model: str) -> None:
    account = strict(catalogue, model)
    account.ask(with_foreign_thinking(model))
    assert (account.statuses, account.lessons) == ([[400, 200]], Lessons.none())


def test_a_refused_mode_of_thinking_is_remembered_only_while_another_is_left(catalogue: ModelCatalogue) -> None:
    both, one = strict(catalogue, "claude-sonnet-4-6"), strict(catalogue, OPUS)
    assert both.fact_of("adaptive thinking is not supported on this model") == named_field("thinking.adaptive")
    assert one.fact_of("adaptive thinking is not supported on this model") is None


def test_two_modes_learned_apart_do_not_end_thinking(catalogue: ModelCatalogue) -> None:
    account = strict(catalogue, "claude-sonnet-4-6")
    account.lessons = account.lessons.after(named_field("thinking.adaptive"), 1.0).after(named_field("thinking.enabled"), 1.0)
    account.ask()
    assert account.bodies[-1]["thinking"]["type"] == "adaptive"


def named_field(name: str) -> Fact:
    return Fact(Verdict.NAMED, frozenset({(FIELD, name)}))


# --- nothing leaks from one place to another


def test_a_stale_lesson_costs_an_optional_thing_and_never_the_answer(catalogue: ModelCatalogue) -> None:
    taught, free = learned(catalogue, OPUS, "1"), strict(catalogue, OPUS)
    free.lessons = taught.lessons
    free.ask()
    assert free.statuses == [[200]]


def test_lessons_of_an_older_state_are_sound(catalogue: ModelCatalogue) -> None:
    """Ten requests that were built before any of them was answered."""
    accounts = [strict(catalogue, "claude-sonnet-4-6", "3") for _ in range(10)]
    facts = [fact for account in accounts for fact in account.asked().facts]
    merged = strict(catalogue, "claude-sonnet-4-6", "3")
    merged.take(facts)
    merged.ask_often(ENOUGH)
    assert merged.sent_betas == accepted_betas(merged)
    assert merged.statuses[-1] == [200]
