"""How the answer is asked for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from proxy_app.bedrock.repair import repair

NEWEST, OLD = "claude-opus-5-5", "claude-sonnet-4-5"


@pytest.mark.parametrize(
    ("model", "effort", "sent"),
    [
        (NEWEST, "xhigh", "xhigh"),
        ("claude-opus-4-6", "xhigh", "max"),
        ("claude-opus-4-5", "max", "high"),
        ("claude-opus-4-5", "low", "low"),
        ("claude-sonnet-4-6", "medium", "medium"),
    ],
)
def test_effort_stays_within_the_models_range(bench: Any, model: str, effort: str, sent: str) -> None:
    assert bench.body(model, output_config={"effort": effort, "task_budget": {}})["output_config"] == {"effort": sent}


def test_effort_brings_its_beta_only_where_it_is_needed(bench: Any) -> None:
    assert bench("claude-opus-4-5", output_config={"effort": "low"}).betas == ("effort-2025-11-24",)
    assert bench(NEWEST, output_config={"effort": "low"}).betas == ()
    assert "output_config" not in bench.body(OLD, output_config={"effort": "low"})


@pytest.mark.parametrize("asked", ["output_config", "output_format"])
def test_a_json_schema_becomes_an_instruction_where_it_is_refused(bench: Any, asked: str) -> None:
    form = {"type": "json_schema", "schema": {"type": "object", "required": ["title"]}}
    field = {"output_config": {"format": form}} if asked == "output_config" else {"output_format": form}
    body = bench.body(system="Name it.", **field)
    assert "output_config" not in body and '{"type":"object","required":["title"]}' in body["system"][-1]["text"]
    assert bench.body(OLD, **field)["output_config"] == {"format": form}


def test_sampling_goes_where_it_is_deprecated(bench: Any) -> None:
    body = bench.body(temperature=0.5, top_p=0.9, top_k=5)
    assert not {"temperature", "top_p", "top_k"} & body.keys()
    assert bench.body(temperature=1)["temperature"] == 1, "the default is accepted"
    assert bench.body(OLD, temperature=0.5)["temperature"] == 0.5


def test_max_tokens_stays_within_the_models_output(bench: Any) -> None:
    assert bench.body(OLD, max_tokens=128_000)["max_tokens"] == 64_000
    assert bench.body(max_tokens=128_000)["max_tokens"] == 128_000


@pytest.mark.parametrize(
    ("model", "thinking", "sent"),
    [
        (NEWEST, {"type": "adaptive"}, 8000),
        (OLD, None, 8000),
        (OLD, {"type": "enabled", "budget_tokens": 2000}, 8000),
        (OLD, {"type": "enabled", "budget_tokens": 20000}, 21024),
        (OLD, {"type": "enabled", "budget_tokens": 31999}, 32000),
        (OLD, {"type": "adaptive"}, 16384 + 1024),
    ],
)
def test_the_operators_cap_holds_as_far_as_thinking_leaves_room_for_an_answer(
    bench: Any, model: str, thinking: Any, sent: int
) -> None:
    able = replace(bench.catalogue.capabilities(model), length_cap=8000)
    body = {"max_tokens": 32000, "messages": bench.hi} | ({"thinking": thinking} if thinking else {})
    repaired = repair(body, (), able)
    assert repaired.body["max_tokens"] == sent
    assert (f"capped max_tokens at {sent}" in repaired.notes) is (sent < 32000)
    assert repaired.body.get("thinking", {}).get("budget_tokens", 0) < sent


def test_without_a_cap_and_below_it_the_length_stays_as_it_was_asked(bench: Any) -> None:
    able = replace(bench.catalogue.capabilities(NEWEST), length_cap=8000)
    assert repair({"max_tokens": 7999, "messages": bench.hi}, (), able).body["max_tokens"] == 7999
    assert bench.body()["max_tokens"] == 32000


def test_with_thinking_on_no_temperature_and_no_top_k_goes_out(bench: Any) -> None:
    thinking = {"type": "enabled", "budget_tokens": 2000}
    body = bench.body(OLD, thinking=thinking, temperature=0.5, top_k=5, top_p=0.97)
    assert (body["thinking"], body.keys() & {"temperature", "top_k", "top_p"}) == (thinking, {"top_p"})


def test_an_effort_that_nobody_knows_is_left_to_the_model(bench: Any) -> None:
    assert "output_config" not in bench.body(output_config={"effort": "gigantic"})


@pytest.mark.parametrize("betas", [(), ("context-management-2025-06-27",)])
def test_a_field_that_says_null_is_a_field_too(bench: Any, betas: tuple[str, ...]) -> None:
    assert ("context_management" in bench.body(betas=betas, context_management=None)) is bool(betas)


def test_the_older_name_of_the_format_counts_beside_an_empty_setting(bench: Any) -> None:
    asked = {"type": "json_schema", "schema": {"type": "object"}}
    assert bench.body("claude-sonnet-4-6", output_config=None, output_format=asked)["output_config"] == {"format": asked}


def test_a_schema_that_only_a_patient_writer_can_write_is_told_as_well(bench: Any) -> None:
    schema = {"type": "object", "const": 2**70, "title": "\ud83d"}
    told = bench.body(output_config={"format": {"type": "json_schema", "schema": schema}})["system"][-1]["text"]
    assert str(2**70) in told
    assert "\\ud83d" in told
