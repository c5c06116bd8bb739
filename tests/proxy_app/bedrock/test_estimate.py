"""Counting input tokens without the model: errs upwards, never raises."""

from __future__ import annotations

import json
import struct
from base64 import b64decode, b64encode
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy_app.bedrock.estimate import count_tokens_body, estimate_input_tokens
from proxy_app.bedrock.models import ModelCatalogue
from proxy_app.bedrock.pictures import CHEAPEST, DEAREST, picture_tokens

PROSE = "The proxy sits between the client and the service and forwards each request with care. "
PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack("!II", 1000, 750)
GIF = b"GIF89a" + struct.pack("<HH", 1000, 750)
JPEG = b"\xff\xd8\xff\xe0\0\x10JFIF" + b"\0" * 10 + b"\xff\xc0\0\x11\x08" + struct.pack("!HH", 750, 1000) + b"\0" * 20


def asked(content: Any, **more: Any) -> int:
    return estimate_input_tokens({"messages": [{"role": "user", "content": content}], **more})


def base64(raw: bytes) -> str:
    return b64encode(raw).decode()


def test_prose_is_estimated_between_the_truth_and_half_as_much_again() -> None:
    # 15 words and a full stop: 16 tokens a sentence, as a tokenizer that splits no word would count.
    assert 0.85 * 16 * 100 <= asked(PROSE * 100) <= 2 * 16 * 100


def test_json_weighs_more_than_prose_of_the_same_length() -> None:
    text = json.dumps([{"id": n, "ok": True} for n in range(300)])
    assert asked(text) > 1.3 * asked((PROSE * 200)[: len(text)])


def test_digests_weigh_more_than_words() -> None:
    assert asked("deadbeefcafe0123" * 100) >= 1600 / 1.6


def test_other_scripts_count_more_than_their_characters_suggest() -> None:
    assert asked("東京都庁の展望室" * 100) >= 800


def test_tools_system_and_results_all_count() -> None:
    bare = asked("hi")
    assert asked("hi", system=PROSE * 10) > bare + 100
    assert asked("hi", tools=[{"name": "Bash", "description": PROSE * 10, "input_schema": {}}]) > bare + 600
    assert asked([{"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": PROSE * 10}]}]) > bare + 100


def test_sealed_thinking_counts_by_its_length() -> None:
    assert asked([{"type": "thinking", "thinking": "", "signature": "s" * 5500}]) >= 1000


@pytest.mark.parametrize("picture", [PNG, GIF, JPEG], ids=["png", "gif", "jpeg"])
def test_a_picture_costs_by_its_size(picture: bytes) -> None:
    assert picture_tokens(base64(picture)) == 1001


def test_a_picture_of_unknown_size_is_taken_as_dear_and_a_tiny_one_is_not_free() -> None:
    assert picture_tokens(base64(b"RIFF....WEBP")) == DEAREST
    assert picture_tokens(base64(GIF[:6] + struct.pack("<HH", 1, 1))) == CHEAPEST
    assert picture_tokens("!" * 80) == DEAREST


def test_pictures_and_documents_count_inside_a_request() -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": base64(PNG)}}
    assert 1001 <= asked([image]) < 1100
    pdf = {"type": "document", "source": {"type": "base64", "data": base64(b"%PDF /Type /Pages /Type /Page /Type/Page ")}}
    assert asked([pdf]) > 2 * 2500


@settings(max_examples=80, deadline=None)
@given(
    st.recursive(
        st.none()
        | st.integers()
        | st.text(max_size=9)
        | st.sampled_from(["text", "image", "document", "thinking", "tool_result"]),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["type", "content", "messages", "system", "tools", "source", "data", "text"]), inner, max_size=4
            )
        ),
        max_leaves=20,
    )
)
def test_no_body_makes_it_raise(content: Any) -> None:
    assert asked(content, system=content, tools=content) >= 1


def test_the_body_of_count_tokens_is_an_invoke_body_of_core_fields(catalogue: ModelCatalogue, recorded: dict[str, Any]) -> None:
    able = catalogue.capabilities("claude-sonnet-4-5")
    outer = json.loads(count_tokens_body(recorded["sonnet_4_5"]["body"], able))
    inner = json.loads(b64decode(outer["input"]["invokeModel"]["body"]))
    assert inner.keys() == {"anthropic_version", "max_tokens", "messages", "system", "tools"}
    assert not any("defer_loading" in tool for tool in inner["tools"])


def test_a_request_of_server_tools_only_can_still_be_counted(catalogue: ModelCatalogue, recorded: dict[str, Any]) -> None:
    outer = json.loads(count_tokens_body(recorded["web_search"]["body"], catalogue.capabilities("claude-sonnet-4-5")))
    assert "tools" not in json.loads(b64decode(outer["input"]["invokeModel"]["body"]))


def test_a_long_body_for_count_tokens_is_sealed_in_pieces_that_fit_together(catalogue: ModelCatalogue) -> None:
    texts = [f"{n} ä€😀 {'y' * n}" for n in range(2000)]
    body = {"max_tokens": 1, "messages": [{"role": "user", "content": text} for text in texts]}
    outer = json.loads(count_tokens_body(body, catalogue.capabilities("claude-sonnet-4-5")))
    inner = json.loads(b64decode(outer["input"]["invokeModel"]["body"]))
    assert [message["content"] for message in inner["messages"]] == texts
