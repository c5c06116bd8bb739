"""What Bedrock cannot read of a conversation is said in words."""

from __future__ import annotations

from typing import Any

import pytest

EPHEMERAL = {"type": "ephemeral"}
LATER = {"name": "Later", "input_schema": {"type": "object"}}


@pytest.mark.parametrize(
    ("block", "words"),
    [
        ({"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "x"}}, 'web_search with {"query":"x"}'),
        (
            {
                "type": "web_search_tool_result",
                "tool_use_id": "s",
                "content": [{"title": "A", "url": "u", "encrypted_content": "ENC"}],
            },
            "[Result of web_search]\nA - u",
        ),
        ({"type": "web_search_tool_result", "content": {"error_code": "max_uses_exceeded"}}, "error: max_uses_exceeded"),
        ({"type": "code_execution_tool_result", "content": {"stdout": "42", "stderr": ""}}, "42"),
        (
            {"type": "web_fetch_tool_result", "content": {"url": "u", "content": {"source": {"type": "text", "data": "page"}}}},
            "u\npage",
        ),
        ({"type": "advisor_tool_result", "content": {"encrypted_content": "ENC"}}, "not available here"),
        ({"type": "mcp_tool_use", "name": "find", "input": {}}, "find with {}"),
        ({"type": "compaction", "content": "we did x", "encrypted_content": "ENC"}, "we did x"),
        ({"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}, "https://example.com/a.png"),
        ({"type": "document", "title": "Plan", "source": {"type": "file", "file_id": "file_1"}}, "Plan"),
    ],
)
def test_what_bedrock_cannot_read_is_said_in_words(bench: Any, block: dict[str, Any], words: str) -> None:
    (text,) = bench.content({**block, "cache_control": EPHEMERAL}, role="assistant")
    assert text["type"] == "text" and words in text["text"] and "ENC" not in text["text"]
    assert text["cache_control"] == EPHEMERAL


def test_a_picture_in_the_request_stays(bench: Any) -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}
    assert bench.content(image) == [image]


def test_an_address_inside_a_tool_result_is_said_in_words_too(bench: Any) -> None:
    inner = {"type": "image", "source": {"type": "url", "url": "https://example.com"}}
    (result,) = bench.content({"type": "tool_result", "tool_use_id": "t", "content": [inner]})
    assert result["content"][0]["type"] == "text"


def test_a_message_is_never_left_empty(bench: Any) -> None:
    assert bench.content({"type": "container_upload", "file_id": "f"}) == [{"type": "text", "text": "(empty)"}]


def test_tool_references_need_tool_search(bench: Any) -> None:
    result = {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "tool_reference", "tool_name": "Later"}]}
    messages = [{"role": "user", "content": [result]}]
    assert bench.body(tools=[LATER], messages=messages)["messages"] == messages
    assert "Later" in bench.content(result)[0]["content"][0]["text"], "a tool that is not declared cannot be referred to"
    assert "Later" in bench.content(result, model="claude-fable-5-1")[0]["content"][0]["text"]


def test_a_block_of_a_kind_that_nobody_knows_is_said_in_words_or_goes(bench: Any) -> None:
    text = {"type": "text", "text": "x"}
    assert bench.content(text, {"type": "new_kind", "text": "of next year"})[1]["text"] == "of next year"
    assert bench.content(text, {"type": "new_kind"}) == [text]


def test_a_field_of_a_block_that_bedrock_does_not_know_goes(bench: Any) -> None:
    call = {"type": "tool_use", "id": "t", "name": "Bash", "input": {}}
    assert bench.content({**call, "caller": {"type": "direct"}}, role="assistant") == [call]


def test_thinking_is_never_touched(bench: Any) -> None:
    thought = {"type": "thinking", "thinking": "hm", "signature": "s", "new": 1}
    assert bench.content(thought, role="assistant") == [thought]


def test_a_search_that_found_a_tool_which_has_gone_found_nothing(bench: Any) -> None:
    found = {"type": "tool_search_tool_search_result", "tool_references": [{"type": "tool_reference", "tool_name": "Later"}]}
    result = {"type": "tool_search_tool_result", "tool_use_id": "s", "content": found}
    messages = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": [result]}]
    assert bench.body(tools=[LATER], messages=messages)["messages"] == messages
    assert bench.body(messages=messages)["messages"][1]["content"][0]["content"]["tool_references"] == []


def test_a_compaction_stays_where_the_model_compacts(bench: Any) -> None:
    block = {"type": "compaction", "content": "we did x"}
    repaired = bench("claude-sonnet-5", ("compact-2026-01-12",), messages=[{"role": "user", "content": [block]}])
    assert (repaired.body["messages"][0]["content"], repaired.betas) == ([block], ("compact-2026-01-12",))


@pytest.mark.parametrize("model", ["claude-opus-5-5", "claude-sonnet-4-5"])
def test_a_block_of_the_system_prompt_keeps_what_bedrock_reads_of_it(bench: Any, model: str) -> None:
    known = {"type": "text", "text": "You", "cache_control": EPHEMERAL}
    assert bench.body(model, system=[{**known, "of_next_year": 1}])["system"] == [known]
    assert bench.body(model, system=[known, {"type": "of_next_year", "text": "news"}])["system"][1:] == [
        {"type": "text", "text": "news"}
    ]
    assert "system" not in bench.body(model, system=[{"type": "of_next_year"}])
