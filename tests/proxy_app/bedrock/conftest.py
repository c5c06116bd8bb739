"""What the tests of the Bedrock translation share: the catalogue, recorded requests, and a writer of event-stream frames."""

from __future__ import annotations

import json
import struct
from base64 import b64encode
from binascii import crc32
from collections.abc import Callable
from typing import Any, ClassVar

import pytest

from proxy_app.bedrock.models import ModelCatalogue, load_catalogue
from proxy_app.bedrock.repair import Repaired, repair
from tests.proxy_app.bedrock.recorded import recorded_requests


class Bench:
    """Repairs small requests: `bench(model, betas, **body)`, `.body()` for the body, `.content()` for one message's blocks."""

    newest, old = "claude-opus-5-5", "claude-sonnet-4-5"
    hi: ClassVar[list[dict[str, Any]]] = [{"role": "user", "content": "hi"}]

    def __init__(self, catalogue: ModelCatalogue) -> None:
        self.catalogue = catalogue

    def __call__(self, model: str = newest, betas: tuple[str, ...] = (), **body: Any) -> Repaired:
        return repair({"max_tokens": 32000, "messages": self.hi, **body}, betas, self.catalogue.capabilities(model))

    def body(self, model: str = newest, betas: tuple[str, ...] = (), **body: Any) -> dict[str, Any]:
        return self(model, betas, **body).body

    def content(self, *blocks: dict[str, Any], model: str = newest, betas: tuple[str, ...] = (), role: str = "user") -> Any:
        return self.body(model, betas, messages=[{"role": role, "content": list(blocks)}])["messages"][0]["content"]


@pytest.fixture(scope="session")
def catalogue() -> ModelCatalogue:
    return load_catalogue()


@pytest.fixture(scope="session")
def recorded() -> dict[str, Any]:
    """Bodies and betas of the real CLI, by name; the texts that were cut out are filled to their length again."""
    return recorded_requests()


@pytest.fixture(scope="session")
def bench(catalogue: ModelCatalogue) -> Bench:
    return Bench(catalogue)


@pytest.fixture(scope="session")
def frame() -> Callable[..., bytes]:
    return _frame


@pytest.fixture(scope="session")
def chunk() -> Callable[..., bytes]:
    return _chunk


def _frame(payload: bytes, **headers: str) -> bytes:
    """One message of the event stream; `message_type="exception"` is the header `:message-type`."""
    head = b"".join(_header(":" + name.replace("_", "-"), value) for name, value in headers.items())
    prelude = struct.pack("!II", 16 + len(head) + len(payload), len(head))
    message = prelude + struct.pack("!I", crc32(prelude)) + head + payload
    return message + struct.pack("!I", crc32(message))


def _header(name: str, value: str) -> bytes:
    return struct.pack("!B", len(name)) + name.encode() + b"\x07" + struct.pack("!H", len(value)) + value.encode()


def _chunk(event: bytes | dict[str, Any]) -> bytes:
    """A frame that carries one event of the Messages API, padded as Bedrock pads."""
    raw = event if isinstance(event, bytes) else json.dumps(event, separators=(",", ":")).encode()
    payload = json.dumps({"bytes": b64encode(raw).decode(), "p": "abcdefgh"}).encode()
    return _frame(payload, message_type="event", event_type="chunk", content_type="application/json")
