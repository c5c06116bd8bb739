"""What a developer's Claude Code does meanwhile: one question through the product, and what came of it."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from urllib.parse import urlsplit

MODEL = "claude-sonnet-5-5"


@dataclass(frozen=True)
class Answered:
    status: int
    provider: str
    request_id: str


def ask(base_url: str) -> Answered:
    """`base_url` is what ANTHROPIC_BASE_URL is set to."""
    address = urlsplit(base_url)
    body = {"model": MODEL, "max_tokens": 50, "messages": [{"role": "user", "content": "hello"}]}
    headers = {"content-type": "application/json", "authorization": "Bearer sk-ant-oat01-x", "anthropic-version": "2023-06-01"}
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=60)
    try:
        sent = {**headers, "anthropic-beta": "oauth-2025-04-20"}
        connection.request("POST", f"{address.path}/v1/messages", json.dumps(body), sent)
        answer = connection.getresponse()
        answer.read()
        told = answer.headers
        return Answered(answer.status, told.get("x-proxy-provider", ""), told.get("x-proxy-request-id", ""))
    finally:
        connection.close()
