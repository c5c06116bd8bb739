"""What travels in a benchmark: requests as Claude Code sends them, answers as Anthropic and Bedrock send them.

Pure: bytes out, no socket, no clock (a stamp is handed in). Knows only as much of either wire as the product looks at: the
first event, usage, the end. Invariant: the same arguments give the same bytes, of exactly the size asked for.
"""

from __future__ import annotations

import base64
import json
import struct
import zlib
from collections.abc import Mapping
from functools import cache
from typing import Any

EVENTS_HEADER = "x-bench-events"
INTERVAL_HEADER = "x-bench-interval-ms"
PLAN_HEADER = "x-bench-plan"

MODEL = "claude-sonnet-4-5"
MESSAGES_PATH = "/v1/messages?beta=true"
BEDROCK_EVENTS = 5

_USAGE = {
    "input_tokens": 1200,
    "cache_creation_input_tokens": 300,
    "cache_read_input_tokens": 24000,
    "cache_creation": {"ephemeral_5m_input_tokens": 300, "ephemeral_1h_input_tokens": 0},
    "output_tokens": 1,
    "service_tier": "standard",
}
_STAINLESS = {"lang": "js", "package-version": "0.128.0", "os": "Linux", "arch": "x64", "runtime": "node", "retry-count": "0"}
_CLIENT_HEADERS = {
    "accept": "application/json",
    "content-type": "application/json",
    "user-agent": "claude-cli/2.1.330 (external, bench)",
    "authorization": "Bearer bench",
    "anthropic-version": "2023-06-01",
    "anthropic-beta": "claude-code-20250219,interleaved-thinking-2025-05-14,context-management-2025-06-27",
    "x-app": "cli",
    "x-claude-code-session-id": "00000000-0000-4000-8000-000000000000",
    **{f"x-stainless-{name}": value for name, value in _STAINLESS.items()},
}
_ANSWER_HEADERS = (
    "request-id: req_bench\r\n"
    "anthropic-organization-id: bench\r\n"
    "anthropic-ratelimit-unified-status: allowed\r\n"
    "anthropic-ratelimit-unified-5h-status: allowed\r\n"
    "anthropic-ratelimit-unified-5h-utilization: 0.25\r\n"
    "anthropic-ratelimit-unified-reset: 4102444800\r\n"
)
_REFUSAL = b'{"type":"error","error":{"type":"rate_limit_error","message":"Extra usage is required for long context requests."}}'


def request_bytes(authority: str, target: str, body: bytes, extra: Mapping[str, str]) -> bytes:
    """A whole POST, keep-alive."""
    headers = {"host": authority, **_CLIENT_HEADERS, **extra, "content-length": str(len(body))}
    lines = [f"POST {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii") + body


@cache
def body_bytes(size: int, *, streamed: bool) -> bytes:
    """A conversation of Claude Code's build and exactly `size` bytes: system blocks, tools with schemas, turns."""
    body: dict[str, Any] = {
        "model": MODEL,
        "max_tokens": 32_000,
        "stream": streamed,
        "system": [{"type": "text", "text": _prose(size // 8), "cache_control": {"type": "ephemeral"}}],
        "tools": [_tool(index) for index in range(size // 5000)],
        "messages": [{"role": "user", "content": "Begin."}],
    }
    turns = body["messages"]
    while len(_json(body)) < size - 3000:
        role = "assistant" if turns[-1]["role"] == "user" else "user"
        turns.append({"role": role, "content": [{"type": "text", "text": _prose(900)}]})
    if turns[-1]["role"] == "user":
        turns.append({"role": "assistant", "content": "Go on."})
    turns.append({"role": "user", "content": ""})
    turns[-1]["content"] = "x" * (size - len(_json(body)))
    return _json(body)


def bedrock_body(size: int) -> bytes:
    """What a client of InvokeModel itself would send, for the direct call that the fallback is compared with."""
    body = json.loads(body_bytes(size - 40, streamed=False))
    del body["model"], body["stream"]
    return _json({"anthropic_version": "bedrock-2023-05-31", **body})


def stream_opening() -> bytes:
    """Head, message_start and content_block_start of a streamed answer."""
    head = f"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\n{_ANSWER_HEADERS}"
    start = {"id": "msg_bench", "type": "message", "role": "assistant", "model": MODEL, "content": [], "usage": _USAGE}
    block = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    framed = http_chunk(event({"type": "message_start", "message": start})) + http_chunk(event(block))
    return f"{head}transfer-encoding: chunked\r\n\r\n".encode("ascii") + framed


def stream_delta(stamp_ns: int) -> bytes:
    """One content_block_delta, framed, whose text is the moment it was made."""
    text = b'{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"%d"}}' % stamp_ns
    return http_chunk(b"event: content_block_delta\ndata: " + text + b"\n\n")


def stream_end(output_tokens: int) -> bytes:
    """content_block_stop, message_delta with usage, message_stop, and the body's end."""
    closing = event({"type": "content_block_stop", "index": 0}) + event(
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": output_tokens},
        }
    )
    return http_chunk(closing + event({"type": "message_stop"})) + b"0\r\n\r\n"


@cache
def json_answer() -> bytes:
    return _whole(200, "OK", _message())


@cache
def plan_refusal() -> bytes:
    """A 429 that falls back without any effect on the circuit, so that every request takes the whole way."""
    return _whole(429, "Too Many Requests", _REFUSAL)


@cache
def bedrock_json_answer() -> bytes:
    return _whole(200, "OK", _message())


@cache
def bedrock_stream_answer() -> bytes:
    """A whole InvokeModelWithResponseStream answer, all frames at once."""
    start = {"id": "msg_bdrk_bench", "type": "message", "role": "assistant", "model": MODEL, "content": [], "usage": _USAGE}
    delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "bench "}}
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": start},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *[delta] * BEDROCK_EVENTS,
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": {"output_tokens": 9}},
        {"type": "message_stop", "amazon-bedrock-invocationMetrics": {"inputTokenCount": 1200, "outputTokenCount": 9}},
    ]
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/vnd.amazon.eventstream\r\ntransfer-encoding: chunked\r\n\r\n"
    return head + b"".join(http_chunk(frame(_json(each))) for each in events) + b"0\r\n\r\n"


def frame(event_json: bytes) -> bytes:
    """One event-stream frame around one event of the model."""
    payload = b'{"bytes":"%s","p":"abcdefgh"}' % base64.b64encode(event_json)
    named = ((":event-type", "chunk"), (":content-type", "application/json"), (":message-type", "event"))
    headers = b"".join(_frame_header(name.encode(), value.encode()) for name, value in named)
    prelude = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    message = prelude + struct.pack(">I", zlib.crc32(prelude)) + headers + payload
    return message + struct.pack(">I", zlib.crc32(message))


def event(payload: Mapping[str, Any]) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (str(payload["type"]).encode(), _json(payload))


def http_chunk(content: bytes) -> bytes:
    return b"%X\r\n%b\r\n" % (len(content), content)


def _frame_header(name: bytes, value: bytes) -> bytes:
    return struct.pack(">B", len(name)) + name + struct.pack(">BH", 7, len(value)) + value


def _message() -> bytes:
    message = {"id": "msg_bench", "type": "message", "role": "assistant", "model": MODEL, "stop_reason": "end_turn"}
    return _json({**message, "content": [{"type": "text", "text": "Done."}], "stop_sequence": None, "usage": _USAGE})


def _whole(status: int, reason: str, content: bytes) -> bytes:
    head = f"HTTP/1.1 {status} {reason}\r\ncontent-type: application/json\r\n{_ANSWER_HEADERS}"
    return f"{head}content-length: {len(content)}\r\n\r\n".encode("ascii") + content


def _tool(index: int) -> dict[str, Any]:
    properties = {f"field_{number}": {"type": "string", "description": _prose(120)} for number in range(6)}
    schema = {"type": "object", "properties": properties, "required": ["field_0"], "additionalProperties": False}
    return {"name": f"Tool{index}", "description": _prose(900), "input_schema": schema}


def _prose(length: int) -> str:
    sentence = 'Read the file, change what is asked, run the tests; say "done" when they pass.\n'
    return (sentence * (length // len(sentence) + 1))[:length]


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode("ascii")
