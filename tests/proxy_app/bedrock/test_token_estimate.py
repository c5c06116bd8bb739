"""The estimate against what a reconstruction of Claude's tokenizers counts (`python -m benchmarks.tokens` wrote the counts)."""

from __future__ import annotations

import json
import statistics
from typing import Any

import pytest

from benchmarks.tokens import COUNTS, FILLINGS, RECORDED, TEXTS, filled
from proxy_app.bedrock.estimate import estimate_input_tokens
from proxy_app.bedrock.text_weight import weigh

FLOOR = 0.85
# Runs of digits, blank lines and drawn boxes are merged by tokenizers as no count of characters can know.
MOST_ON_A_TEXT, MOST_ON_A_REQUEST = 3.2, 1.75
KINDS = json.loads(TEXTS.read_text())
COUNTED: dict[str, Any] = json.loads(COUNTS.read_text())
REQUESTS = {name: each["body"] for name, each in json.loads(RECORDED.read_text()).items()}


def ratio(kind: str, generation: str = "newer") -> float:
    return float(weigh(KINDS[kind].encode()) / COUNTED["texts"][kind][generation])


def request_ratio(name: str, kind: str, generation: str = "newer") -> float:
    estimated = estimate_input_tokens(filled(REQUESTS[name], KINDS[kind]))
    return float(estimated / COUNTED["requests"][name][kind][generation])


@pytest.mark.parametrize("kind", KINDS)
def test_no_kind_of_text_is_estimated_under_85_percent_of_the_newest_tokenizer_or_far_over_it(kind: str) -> None:
    assert FLOOR <= ratio(kind) <= MOST_ON_A_TEXT


@pytest.mark.parametrize("kind", KINDS)
def test_no_kind_of_text_is_estimated_under_85_percent_of_the_older_tokenizer(kind: str) -> None:
    assert ratio(kind, "older") >= FLOOR


@pytest.mark.parametrize("kind", FILLINGS)
@pytest.mark.parametrize("name", REQUESTS)
def test_a_recorded_request_is_estimated_between_85_and_175_percent_of_the_truth(name: str, kind: str) -> None:
    small = COUNTED["requests"][name][kind]["newer"] < 200
    assert FLOOR <= request_ratio(name, kind) <= (3.0 if small else MOST_ON_A_REQUEST)


def test_half_of_all_texts_are_estimated_within_a_tenth() -> None:
    assert 0.95 <= statistics.median(ratio(kind) for kind in KINDS) <= 1.12
    assert 0.95 <= statistics.median(request_ratio(name, kind) for name in REQUESTS for kind in FILLINGS) <= 1.25


def test_a_text_of_many_pieces_weighs_as_much_as_its_pieces() -> None:
    text = KINDS["python"] * 400
    whole = estimate_input_tokens({"messages": [{"role": "user", "content": text}]})
    assert whole == pytest.approx(weigh(text.encode()), rel=0.01)


def test_others_get_a_turn_while_a_long_text_is_weighed() -> None:
    rests: list[None] = []
    estimate_input_tokens({"messages": [{"role": "user", "content": "word " * 200_000}]}, lambda: rests.append(None))
    assert len(rests) >= 1_000_000 // 131_072
