"""Stand-ins as real processes, one of each for all tests of this folder, and a bare client that hides nothing."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from sandbox.client import Sandbox, UpstreamName

PLAN_HEADERS = {"x-api-key": "test-key", "anthropic-version": "2023-06-01"}
BEDROCK_HEADERS = {"authorization": "Bearer test-key"}
QUESTION = {"model": "claude-opus-5-5", "max_tokens": 500, "messages": [{"role": "user", "content": "hello"}]}
BEDROCK_QUESTION = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 500, "messages": QUESTION["messages"]}


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Caller:
    """One connection to a stand-in; opened again by itself when the stand-in closed it in good order."""

    def __init__(self, sandbox: Sandbox, timeout_s: float = 10.0) -> None:
        self.sandbox = sandbox
        self.connection = http.client.HTTPConnection("127.0.0.1", sandbox.port, timeout=timeout_s)
        self._standard = (PLAN_HEADERS, QUESTION) if sandbox.upstream == "anthropic" else (BEDROCK_HEADERS, BEDROCK_QUESTION)

    def begin(
        self, path: str = "", fault: str = "", headers: dict[str, str] | None = None, **changes: Any
    ) -> http.client.HTTPResponse:
        """Ask the standard question, changed; the answer with its body not yet read. A change to None removes a field."""
        standard, question = self._standard
        body = {name: value for name, value in (question | changes).items() if value is not None}
        sent = standard | ({"x-sandbox-fault": fault} if fault else {}) | (headers or {})
        self.connection.request("POST", path or self._path(body), json.dumps(body), sent)
        return self.connection.getresponse()

    def ask(self, path: str = "", fault: str = "", headers: dict[str, str] | None = None, **changes: Any) -> Reply:
        response = self.begin(path, fault, headers, **changes)
        return Reply(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())

    def get(self, path: str, method: str = "GET", headers: dict[str, str] | None = None) -> Reply:
        self.connection.request(method, path, headers=self._standard[0] if headers is None else headers)
        response = self.connection.getresponse()
        return Reply(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())

    def _path(self, body: dict[str, Any]) -> str:
        if self.sandbox.upstream == "anthropic":
            return "/v1/messages"
        operation = "invoke-with-response-stream" if body.pop("stream", False) else "invoke"
        return f"/model/us.anthropic.claude-opus-5-5/{operation}"


@pytest.fixture(scope="session")
def started() -> Iterator[Callable[..., Sandbox]]:
    """Starts stand-ins, the same one for the same command line, and ends them all."""
    running: dict[tuple[str, ...], Sandbox] = {}

    def start(upstream: UpstreamName, *options: str) -> Sandbox:
        key = (upstream, *options)
        if key not in running:
            running[key] = Sandbox(upstream, options).start()
        running[key].reset()
        return running[key]

    yield start
    for sandbox in running.values():
        sandbox.stop()


@pytest.fixture
def anthropic(started: Callable[..., Sandbox]) -> Sandbox:
    return started("anthropic")


@pytest.fixture
def bedrock(started: Callable[..., Sandbox]) -> Sandbox:
    return started("bedrock")


@pytest.fixture
def plan(anthropic: Sandbox) -> Iterator[Caller]:
    caller = Caller(anthropic)
    yield caller
    caller.connection.close()


@pytest.fixture
def cloud(bedrock: Sandbox) -> Iterator[Caller]:
    caller = Caller(bedrock)
    yield caller
    caller.connection.close()


@pytest.fixture
def caller_of() -> Callable[[Sandbox], Caller]:
    return Caller
