"""A message in bare bytes, as a client of the Messages API sends it, and what makes its answer a whole one."""

from __future__ import annotations

import json

from tests.live.bare import Got, Pairs, RawClient

LOGIN: Pairs = [("host", "h"), ("x-api-key", "sk-ant-sandbox"), ("anthropic-version", "2023-06-01")]
LOGIN += [("content-type", "application/json")]


def message(stream: bool) -> bytes:
    said = [{"role": "user", "content": "hi"}]
    return json.dumps({"model": "claude-sonnet-5-5", "max_tokens": 50, "stream": stream, "messages": said}).encode()


def asked(client: RawClient, target: str, stream: bool) -> Got:
    return client.ask(target, LOGIN, message(stream))


def is_whole(got: Got, stream: bool) -> bool:
    """An answer in the asked form, from its beginning to its end."""
    if stream:
        return got.whole and got.body.startswith(b"event: message_start") and b"event: message_stop" in got.body
    return got.whole and json.loads(got.body)["type"] == "message"
