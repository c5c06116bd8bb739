"""What the pretended model says: content blocks, stop reason and token counts, the same for both stand-ins.

Knows Anthropic's message and event shapes; refuses to know transports, headers and faults. Pure: no clock, no chance.
Invariant: the same request body always gives the same answer and the same counts, and different bodies differ.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from sandbox.binding import sign
from sandbox.script import Tokens

Json = dict[str, Any]
TOOL_ORDER = re.compile(r"use-tool:(\w+):([^\n]*)")
WORDS = re.compile(r"\s*\S+\s*")
PIECES_OF_TOOL_INPUT = 3


@dataclass(frozen=True, slots=True)
class Speaker:
    """Whose words these are. `infix` marks ids and signatures by platform."""

    text: str
    infix: str
    signature_prefix: str
    usage_in_delta: bool


@dataclass(frozen=True, slots=True)
class Speech:
    message_id: str
    model: str
    blocks: tuple[Json, ...]
    stop_reason: str
    tokens: Tokens


def compose(speaker: Speaker, model: str, body: Json, digest: bytes, deltas: int = 0) -> Speech:
    """An answer to a valid body. `deltas` asks for a text of so many pieces instead of the usual one."""
    name = digest.hex()[:22]
    message_id = f"msg_{speaker.infix}01{name}"
    if _is_quota_probe(body):
        return Speech(message_id, model, ({"type": "text", "text": "#"},), "max_tokens", Tokens(input=8, output=1))
    blocks: list[Json] = []
    if thinking_is_on(body):
        blocks.append(_thinking(speaker, model, body))
    if _searches_the_web(body):
        blocks += _search(name, _words_of(body))
    order = _ordered_tool(body)
    if order is not None and not deltas:
        blocks.append({"type": "tool_use", "id": f"toolu_{speaker.infix}01{name}", "name": order[0], "input": order[1]})
        return Speech(message_id, model, tuple(blocks), "tool_use", tokens_of(body, digest))
    text = "token " * deltas if deltas else _text(speaker, body)
    blocks.append({"type": "text", "text": text})
    return Speech(message_id, model, tuple(blocks), "end_turn", tokens_of(body, digest, deltas))


def tokens_of(body: Json, digest: bytes, deltas: int = 0) -> Tokens:
    """Counts that vary with every byte of the request, so that sums over many requests prove something."""
    output = max(deltas, 20 + digest[0])
    most = body.get("max_tokens")
    return Tokens(
        input=5 + int.from_bytes(digest[1:3], "big") % 500,
        output=min(output, most) if isinstance(most, int) else output,
        cache_write_5m=int.from_bytes(digest[3:5], "big") % 3000,
        cache_write_1h=int.from_bytes(digest[5:7], "big") % 1000,
        cache_read=int.from_bytes(digest[7:10], "big") % 40_000,
    )


def count_of(request_body: bytes) -> int:
    """What a token counter answers: about four bytes a token."""
    return max(1, len(request_body) // 4)


def message_of(speech: Speech) -> Json:
    """The answer as one JSON object."""
    return {
        "id": speech.message_id,
        "type": "message",
        "role": "assistant",
        "model": speech.model,
        "content": list(speech.blocks),
        "stop_reason": speech.stop_reason,
        "stop_sequence": None,
        "usage": usage_of(speech.tokens),
    }


def events_of(speech: Speech, speaker: Speaker) -> Iterator[tuple[Json, Tokens | None]]:
    """The answer as a stream's events, each with what a reader knows of the bill after it."""
    opening = Tokens(speech.tokens.input, 1, speech.tokens.cache_write_5m, speech.tokens.cache_write_1h, speech.tokens.cache_read)
    start = message_of(speech) | {"content": [], "stop_reason": None, "usage": usage_of(opening)}
    yield {"type": "message_start", "message": start}, opening
    for index, block in enumerate(speech.blocks):
        for event in _block_events(index, block):
            yield event, None
    usage = usage_of(speech.tokens) if speaker.usage_in_delta else {"output_tokens": speech.tokens.output}
    usage.pop("cache_creation", None)
    ending = {"stop_reason": speech.stop_reason, "stop_sequence": None}
    yield {"type": "message_delta", "delta": ending, "usage": usage}, speech.tokens
    yield {"type": "message_stop"}, None


def usage_of(tokens: Tokens) -> Json:
    return {
        "input_tokens": tokens.input,
        "cache_creation_input_tokens": tokens.cache_write_5m + tokens.cache_write_1h,
        "cache_read_input_tokens": tokens.cache_read,
        "cache_creation": {
            "ephemeral_5m_input_tokens": tokens.cache_write_5m,
            "ephemeral_1h_input_tokens": tokens.cache_write_1h,
        },
        "output_tokens": tokens.output,
        "service_tier": "standard",
    }


def thinking_is_on(body: Json) -> bool:
    thinking = body.get("thinking")
    return isinstance(thinking, dict) and thinking.get("type") in ("enabled", "adaptive", "between_tools")


def _block_events(index: int, block: Json) -> Iterator[Json]:
    empty, deltas = _opened(block)
    yield {"type": "content_block_start", "index": index, "content_block": empty}
    for delta in deltas:
        yield {"type": "content_block_delta", "index": index, "delta": delta}
    yield {"type": "content_block_stop", "index": index}


def _opened(block: Json) -> tuple[Json, list[Json]]:
    """A block as it is announced, and the deltas that fill it."""
    if block["type"] == "text":
        return {"type": "text", "text": ""}, [{"type": "text_delta", "text": piece} for piece in WORDS.findall(block["text"])]
    if block["type"] == "web_search_tool_result":
        return block, []
    if block["type"] in ("tool_use", "server_tool_use"):
        written = orjson.dumps(block["input"]).decode()
        size = max(1, -(-len(written) // PIECES_OF_TOOL_INPUT))
        pieces = ["", *(written[at : at + size] for at in range(0, len(written), size))]
        return block | {"input": {}}, [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
    words = [{"type": "thinking_delta", "thinking": piece} for piece in WORDS.findall(block["thinking"])]
    signature = {"type": "signature_delta", "signature": block["signature"]}
    return {"type": "thinking", "thinking": "", "signature": ""}, [*words, signature]


def _thinking(speaker: Speaker, model: str, body: Json) -> Json:
    omitted = body["thinking"].get("display") == "omitted"
    thought = "" if omitted else "The request is plain, and so is the answer."
    signature = sign(speaker.signature_prefix, model, body, len(body["messages"]), thought)
    return {"type": "thinking", "thinking": thought, "signature": signature}


def _text(speaker: Speaker, body: Json) -> str:
    schema = _asked_schema(body)
    if schema is not None:
        return orjson.dumps(_instance_of(schema)).decode()
    results = _tool_results(body)
    return f"{speaker.text} The tool said: {results}" if results else speaker.text


def _asked_schema(body: Json) -> Json | None:
    config = body.get("output_config")
    wanted = config.get("format") if isinstance(config, dict) else None
    schema = wanted.get("schema") if isinstance(wanted, dict) else None
    return schema if isinstance(schema, dict) else None


def _instance_of(schema: Json) -> Any:
    """The smallest value that a schema of a structured answer allows."""
    kind = schema.get("type")
    if kind == "object":
        properties = schema.get("properties", {})
        return {name: _instance_of(properties.get(name, {})) for name in schema.get("required", [])}
    if "enum" in schema:
        return schema["enum"][0]
    plain: dict[Any, Any] = {"array": [], "integer": 0, "number": 0, "boolean": False, "null": None}
    return plain.get(kind, "Sandbox")


def _is_quota_probe(body: Json) -> bool:
    return body.get("max_tokens") == 1 and [m.get("content") for m in body["messages"]] == ["quota"]


def _spoken(body: Json) -> list[Json]:
    """The conversation without the system entries that Claude Code puts between its turns."""
    return [message for message in body["messages"] if message.get("role") != "system"]


def _blocks(content: Any) -> list[Json]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []


def _results(message: Json) -> list[Json]:
    return [block for block in _blocks(message.get("content")) if block.get("type") == "tool_result"]


def _tool_results(body: Json) -> str:
    spoken = _spoken(body)
    told = [block.get("content") for block in _results(spoken[-1])] if spoken else []
    return " ".join(str(block.get("text", "")) for content in told for block in _blocks(content))


def _searches_the_web(body: Json) -> bool:
    """Whether searching is all that the client offers: the request that Claude Code's own WebSearch makes."""
    kinds = [str(tool.get("type")) for tool in body.get("tools") or [] if isinstance(tool, dict)]
    return bool(kinds) and all(kind.startswith("web_search_") for kind in kinds)


def _search(name: str, words: str) -> list[Json]:
    """A search as Anthropic's servers run it: its call and its result, in one answer."""
    call = f"srvtoolu_01{name}"
    found = {"title": "Tide tables", "url": "https://tides.example/", "encrypted_content": "c2FuZGJveA==", "page_age": None}
    return [
        {"type": "server_tool_use", "id": call, "name": "web_search", "input": {"query": words}},
        {"type": "web_search_tool_result", "tool_use_id": call, "content": [{"type": "web_search_result", **found}]},
    ]


def _words_of(body: Json) -> str:
    spoken = _spoken(body)
    return "\n".join(str(block.get("text", "")) for block in _blocks(spoken[-1].get("content"))) if spoken else ""


def _ordered_tool(body: Json) -> tuple[str, Json] | None:
    """What the latest words of the user order with `use-tool:Name:argument`, one order a round, if the client offers it."""
    spoken = _spoken(body)
    rounds = 0
    while rounds < len(spoken) // 2 and _results(spoken[-1 - 2 * rounds]):
        rounds += 1
    words = _blocks(spoken[-1 - 2 * rounds].get("content")) if spoken else []
    orders = TOOL_ORDER.findall("\n".join(str(block.get("text", "")) for block in words))
    offered = {tool.get("name") for tool in body.get("tools") or [] if isinstance(tool, dict)}
    if rounds >= len(orders) or orders[rounds][0] not in offered:
        return None
    name, argument = orders[rounds]
    return name, _tool_input(name, argument.strip())


def _tool_input(tool: str, argument: str) -> Json:
    """A JSON object is the input itself; anything else is Bash's command."""
    if argument.startswith("{"):
        try:
            parsed = orjson.loads(argument)
            return parsed if isinstance(parsed, dict) else {}
        except orjson.JSONDecodeError:
            return {"command": argument}
    return {"command": argument, "description": f"Ordered from {tool} by the sandbox"}
