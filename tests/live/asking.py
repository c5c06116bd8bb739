"""Whole questions and whole answers through the proxy, for tests about who answered and why.

Knows HTTP, our headers and Anthropic's events; refuses to know what happens inside a connection.
"""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

from tests import machine

T = TypeVar("T")

MODEL = "claude-sonnet-5-5"
OPUS = "claude-opus-5-5"
CREDENTIAL = "sk-ant-sandbox"
PLAN_SAYS, BEDROCK_SAYS = b"Hello from Anthropic", b"Hello from Bedrock"


@dataclass(frozen=True)
class Answer:
    """`headers` have lower-case names; `seconds` is from the first request byte to the last answer byte."""

    status: int
    headers: dict[str, str]
    body: bytes
    seconds: float

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def provider(self) -> str:
        return self.headers.get("x-proxy-provider", "")

    @property
    def fallback(self) -> str:
        return self.headers.get("x-proxy-fallback", "")

    @property
    def request_id(self) -> str:
        return self.headers["x-proxy-request-id"]

    @property
    def error_type(self) -> str:
        return str(self.json["error"]["type"])

    @property
    def events(self) -> list[tuple[str, dict[str, Any]]]:
        """Every event of a stream; fails on a block that is not exactly `event:` and `data:` with JSON."""
        return [_event(block) for block in self.body.decode().removesuffix("\n\n").split("\n\n")]

    @property
    def came_from_plan(self) -> bool:
        return (self.status, self.provider, self.fallback) == (200, "plan", "") and _says(self, PLAN_SAYS)

    def came_from_bedrock(self, because: str) -> bool:
        return (self.status, self.provider, self.fallback) == (200, "bedrock", because) and _says(self, BEDROCK_SAYS)


def question(stream: bool = True, **changes: Any) -> dict[str, Any]:
    asked = {"model": MODEL, "max_tokens": 100, "stream": stream, "messages": [{"role": "user", "content": "hello"}]}
    return {**asked, **changes}


def ask(developer: Any, *, credential: str = CREDENTIAL, headers: dict[str, str] | None = None, **changes: Any) -> Answer:
    """The standard question, changed, to /v1/messages."""
    return post(developer, "/v1/messages", question(**changes), credential=credential, headers=headers)


def post(developer: Any, path: str, body: Any, *, credential: str = CREDENTIAL, headers: dict[str, str] | None = None) -> Answer:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    sent = {"content-type": "application/json", "x-api-key": credential, "anthropic-version": "2023-06-01", **(headers or {})}
    return exchange(developer.base_url + path, "POST", content, sent)


def get(developer: Any, path: str) -> Answer:
    return exchange(developer.base_url + path, "GET", None, {"x-api-key": CREDENTIAL, "anthropic-version": "2023-06-01"})


def exchange(url: str, method: str, content: bytes | None, headers: dict[str, str]) -> Answer:
    address = urlsplit(url)
    began = time.monotonic()
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=60)
    try:
        connection.request(method, address.path + (f"?{address.query}" if address.query else ""), content, headers)
        response = connection.getresponse()
        body = response.read()
        found = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, found, body, time.monotonic() - began)
    finally:
        connection.close()


@contextmanager
def abandoned(developer: Any, **changes: Any) -> Iterator[None]:
    """The standard question, sent and not waited for; at the end of the block the client is gone."""
    address, content = urlsplit(developer.base_url), json.dumps(question(**changes)).encode()
    head = f"POST {address.path}/v1/messages HTTP/1.1\r\nhost: proxy\r\nx-api-key: {CREDENTIAL}\r\n"
    head += f"anthropic-version: 2023-06-01\r\ncontent-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n"
    with socket.create_connection((address.hostname or "", address.port or 80)) as connection:
        connection.sendall(head.encode() + content)
        yield


def at_once(count: int, work: Callable[[], T]) -> list[T]:
    """`work` that many times beside each other; raises what one of them raised."""
    done: list[T] = []
    failed: list[Exception] = []

    def one() -> None:
        try:
            done.append(work())
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=one) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]
    return done


def await_true(found: Callable[[], T], timeout_s: float = 60.0) -> T:
    """The first true value, for what happens beside the test; fails after `timeout_s` that the machine was not held up in."""
    began = machine.now()
    while not (value := found()):
        assert machine.now().since(began) < timeout_s, f"not within {timeout_s} s; last seen: {value!r}"
        time.sleep(0.05)
    return value


def line_of(stack: Any, answer: Answer) -> dict[str, Any]:
    """The context of an answer's access line; waits for it."""

    def found() -> dict[str, Any] | None:
        lines = (line for line in stack.product.access_lines() if line["request_id"] == answer.request_id)
        return next((line["context"] for line in lines), None)

    context = await_true(found)
    assert context is not None
    return context


def trace_of(stack: Any, answer: Answer) -> list[str]:
    return list(line_of(stack, answer)["trace"])


def calmed(stack: Any) -> Any:
    """Five keys that cannot reach the Plan within 30 s close it to the whole worker; a request that is served disproves that."""
    assert ask(stack.developer()).came_from_plan
    stack.anthropic.reset()
    return stack


def was_skipped(stack: Any, answer: Answer) -> bool:
    """Whether the Plan was not asked because of an open circuit."""
    return any(reason.startswith("plan:skipped(") for reason in trace_of(stack, answer))


def _says(answer: Answer, text: bytes) -> bool:
    if "event-stream" not in answer.headers.get("content-type", ""):
        return text in answer.body
    deltas = (event.get("delta", {}).get("text", "") for _, event in answer.events)
    return text in "".join(deltas).encode()


def _event(block: str) -> tuple[str, dict[str, Any]]:
    lines = [line for line in block.split("\n") if line]
    assert len(lines) == 2, f"not an event: {block!r}"
    assert lines[0].startswith("event: ")
    assert lines[1].startswith("data: ")
    return lines[0][7:], json.loads(lines[1][6:])
