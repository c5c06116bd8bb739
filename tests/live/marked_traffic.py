"""Traffic that carries marked secrets along every path, and where they are looked for afterwards, in every form."""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import sqlite3
import time
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from sandbox.client import Sandbox
from sandbox.product import Product, temporary_product
from tests.live.wire import CLOSE, talk, until_closed

# Unlike anything that a pattern could know for a credential: what is not written cannot leak, whatever it looks like.
SECRETS = {
    "authorization": "Quokka7authorization/Zx9",
    "x-api-key": "Quokka7apikey/Zx9",
    "cookie": "Quokka7cookie/Zx9",
    "another header": "Quokka7header/Zx9",
    "query": "Quokka7query-Zx9",
    "Bedrock key": "Quokka7bedrock/Zx9=",
    "system prompt": 'Quokka7system "Zürich"/Zx9',
    "prompt": 'Quokka7prompt "Zürich"/Zx9',
    "tool result": 'Quokka7result "Zürich"/Zx9',
    "answer": "Quokka7answer/Zx9",
    "user id in the metadata": "Quokka7metadata/Zx9",
    "upstream": "Quokka7upstream/Zx9",
    "garbage": "Quokka7garbage/Zx9",
}


WORDS = SECRETS["upstream"]
PLAN_FAULTS: list[tuple[str, dict[str, object]]] = [
    ("ok", {}),
    ("plan_exhausted", {"reset": 1}),
    ("throttle", {"message": WORDS}),
    ("long_context", {}),
    ("overloaded", {"message": WORDS}),
    ("error_500", {"message": WORDS}),
    ("error_502", {}),
    ("http_400", {"message": f"Invalid signature in thinking block: {WORDS}"}),
    ("http_401", {"message": WORDS}),
    ("http_403", {"message": WORDS}),
    ("http_404", {"message": WORDS}),
    ("first_event_error", {}),
    ("error_midstream", {}),
    ("cut_midstream", {"how": "rst"}),
    ("ends_early", {}),
    ("empty_200", {}),
    ("html_200", {}),
    ("gzip", {}),
    ("reset_before_headers", {}),
    ("one_byte_writes", {}),
]


BEDROCK_FAULTS: list[tuple[str, dict[str, object]]] = [
    ("ok", {}),
    ("throttle", {"message": WORDS}),
    ("exception_first_frame", {"message": WORDS}),
    ("exception_midstream", {"message": WORDS}),
    ("internal", {"message": WORDS}),
    ("model_error_424", {"message": WORDS}),
    ("validation", {"message": f"{WORDS}: Extra inputs are not permitted"}),
    ("quota_day", {}),
    ("access_denied", {"message": WORDS}),
    ("wrong_crc", {}),
    ("truncated_frame", {}),
    ("cut_midstream", {}),
    ("reset_before_headers", {}),
    ("html_200", {}),
]


PATHS = ("/v1/messages", "/v1/messages/count_tokens", "/v1/complete")


@dataclass
class Evidence:
    """What the traffic left behind."""

    product: Product
    access_keys: list[str]
    answers: list[bytes]
    spools: dict[str, bytes]
    cli: str

    @property
    def files(self) -> dict[str, bytes]:
        """What is on disk at the end, what the spools were when a worker was killed, and what the command line lists."""
        found = (path for path in self.product.data_dir.rglob("*") if path.is_file())
        on_disk = {str(path.relative_to(self.product.data_dir)): path.read_bytes() for path in found}
        return {**on_disk, **self.spools, "the command line's lists": self.cli.encode()}


def body(stream: bool) -> bytes:
    """The stand-ins repeat a tool's result in their answer."""
    call = {"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {"command": SECRETS["prompt"]}}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": f"{SECRETS['tool result']} {SECRETS['answer']}"}
    said = {"type": "text", "text": SECRETS["prompt"]}
    whole = {
        "model": "claude-sonnet-4-5",
        "max_tokens": 500,
        "stream": stream,
        "system": SECRETS["system prompt"],
        "metadata": {"user_id": SECRETS["user id in the metadata"]},
        "tools": [{"name": "Bash", "description": SECRETS["system prompt"], "input_schema": {"type": "object"}}],
        "messages": [
            {"role": "user", "content": SECRETS["prompt"]},
            {"role": "assistant", "content": [call]},
            {"role": "user", "content": [result, said]},
        ],
    }
    return json.dumps(whole, ensure_ascii=False).encode()


def request(target: str, content: bytes, method: str = "POST") -> bytes:
    head = (
        f"{method} {target}?token={SECRETS['query']} HTTP/1.1\r\nHost: a\r\nanthropic-version: 2023-06-01\r\n"
        f"authorization: Bearer {SECRETS['authorization']}\r\nx-api-key: {SECRETS['x-api-key']}\r\n"
        f"cookie: session={SECRETS['cookie']}\r\nx-own: {SECRETS['another header']}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(content)}\r\n"
    )
    return head.encode() + CLOSE + b"\r\n" + content


class Traffic:
    """Everything that can happen to a request, with secrets in all of it."""

    def __init__(self, product: Product, anthropic: Sandbox, bedrock: Sandbox) -> None:
        self.product, self.anthropic, self.bedrock = product, anthropic, bedrock
        self.database = product.data_dir / "var" / "proxy.sqlite"
        self.access_keys: list[str] = []
        self.answers: list[bytes] = []
        self.spools: dict[str, bytes] = {}

    def developer(self, strategy: str) -> str:
        name = f"dev{len(self.access_keys)}"
        self.access_keys.append(self.product.add_developer(name, strategy=strategy, bedrock_secret=SECRETS["Bedrock key"]))
        return f"/ak/{self.access_keys[-1]}"

    def say(self, sent: bytes, hang_up: bool = False) -> None:
        self.answers.append(until_closed(self.product.port, sent, hang_up=hang_up))

    def faults(self) -> None:
        plan_first, bedrock_only, plan_only = map(self.developer, ("plan_first", "bedrock_only", "plan_only"))
        for fault, arguments in PLAN_FAULTS:
            self.anthropic.reset()
            self.anthropic.fault(fault, **arguments)
            for stream in (False, True):
                self.say(request(f"{plan_first}/v1/messages", body(stream)))
                self.say(request(f"{plan_only}/v1/messages", body(stream)))
            self.say(request(f"{plan_first}{PATHS[1]}", body(False)))
            self.say(request(f"{plan_first}{PATHS[2]}", body(False)))
        for fault, arguments in BEDROCK_FAULTS:
            self.bedrock.reset()
            self.bedrock.fault(fault, **arguments)
            for path in PATHS:
                self.say(request(f"{bedrock_only}{path}", body(True)))
            self.say(request(f"{bedrock_only}/v1/messages", body(False)))
            self.say(request(f"{plan_first}/v1/messages", body(True)))  # the Plan still fails: both do
        self.anthropic.reset()
        self.bedrock.reset()

    def refusals(self) -> None:
        key = self.developer("plan_first")
        for wrong in (key[:-1] + "-", key + "x", "/ak/" + SECRETS["garbage"], ""):
            self.say(request(f"{wrong}/v1/messages", body(True)))
        self.say(request(f"{key}/v1/messages", b"{" + body(False)))
        self.say(request(f"{key}/v1/messages", body(False)).replace(b"content-length: ", b"content-length: 9999999"))
        self.say(request(f"{key}/v1/messages", body(False)).replace(b"content-length: ", b"content-length: 1"), hang_up=True)

    def no_requests(self) -> None:
        """What gunicorn itself refuses. Its own words repeat what was sent; the key stands there raw and encoded."""
        key = self.developer("plan_first")
        garbage = SECRETS["garbage"].encode()
        line = b"POST %b/v1/messages?token=%b HTTP/1.1\r\n" % (key.encode(), SECRETS["query"].encode())
        secret = b"authorization: Bearer %b\r\nx-own: %b\r\n" % (SECRETS["authorization"].encode(), garbage)
        for sent in (
            b"%b %b\r\n\r\n" % (garbage, line),
            b"%b%b" % (line.replace(b"HTTP/1.1", b"HTTP/9"), secret),
            b"%bHost: a\r\nHost: b\r\n%b\r\n" % (line, secret),
            b"%b%b: x\r\n\r\n" % (line, garbage.replace(b"7", b" ")),
            b"%b%b\r\n folded %b\r\n\r\n" % (line, secret, garbage),
            b"%bHost: a\r\n%btransfer-encoding: %b\r\n\r\n" % (line, secret, garbage),
            b"%bHost: a\r\n%bexpect: %b\r\n\r\n" % (line, secret, garbage),
            b"%bHost: a\r\n%btransfer-encoding: chunked\r\n\r\n%b\r\n" % (line, secret, garbage),
            b"GET /%b%b HTTP/1.1\r\n\r\n" % (garbage, b"x" * 9000),
            b"%bHost: a\r\ncontent-length: 2\r\n\r\n{}%b %b\r\n\r\n" % (line, body(False), line),
            b"%b\r\n\r\n" % b"/ak/%61k_" + key[7:].encode(),
        ):
            self.say(sent, hang_up=True)

    def hang_ups(self) -> None:
        key = self.developer("plan_first")
        for upstream_faults in (("hang", {}), ("silent_midstream", {}), ("slow_stream", {})):
            self.anthropic.reset()
            self.anthropic.fault(upstream_faults[0])
            with socket.create_connection(("127.0.0.1", self.product.port)) as sock:
                sock.sendall(request(f"{key}/v1/messages", body(True)))
                _until(lambda: bool(self.anthropic.requests()))
        self.anthropic.reset()

    def kill(self) -> None:
        """A worker dies in the middle of an answer, its records still in the spool; its successor takes them over."""
        key = self.developer("plan_first")
        with sqlite3.connect(self.database, isolation_level=None) as connection:
            connection.execute("BEGIN IMMEDIATE")  # nothing gets into the ledger
            self.say(request(f"{key}/v1/messages", body(True)))
            self.anthropic.fault("silent_midstream")
            with socket.create_connection(("127.0.0.1", self.product.port)) as sock:
                sock.sendall(request(f"{key}/v1/messages", body(True)))
                sock.recv(100)
                [worker] = self.product.worker_pids()
                os.kill(worker, signal.SIGKILL)
                _until(lambda: self.product.worker_pids() not in ([], [worker]))
            self.spools = {path.name: path.read_bytes() for path in self.product.data_dir.rglob("*.spool")}
            connection.execute("ROLLBACK")
        self.anthropic.reset()
        _until(lambda: self._is_ready())
        self.say(request(f"{key}/v1/messages", body(True)))
        _until(lambda: "took over a spool" in self.product.log_path.read_text())

    def poison(self) -> None:
        """A record that the ledger refuses: it goes into a file of its own."""
        key = self.developer("plan_first")
        trigger = "CREATE TRIGGER poison BEFORE INSERT ON requests WHEN NEW.user_id = (SELECT max(id) FROM users)"
        with sqlite3.connect(self.database) as connection:
            connection.execute(f"{trigger} BEGIN SELECT RAISE(ABORT, 'poison'); END")
        self.say(request(f"{key}/v1/messages", body(True)))
        _until(lambda: any(self.product.data_dir.rglob("dead-letters*")))
        with sqlite3.connect(self.database) as connection:
            connection.execute("DROP TRIGGER poison")

    def crash(self) -> None:
        """The tables are not what the code expects: an error that nobody foresaw, with a traceback."""
        key = self.developer("plan_first")
        with sqlite3.connect(self.database) as connection:
            connection.execute("ALTER TABLE access_keys RENAME COLUMN secret_hash TO gone")
        self.say(request(f"{key}/v1/messages", body(True)))
        with sqlite3.connect(self.database) as connection:
            connection.execute("ALTER TABLE access_keys RENAME COLUMN gone TO secret_hash")
        self.say(request(f"{key}/v1/messages", body(False)))

    def _is_ready(self) -> bool:
        try:
            return talk(self.product.port, b"GET /ready HTTP/1.1\r\nHost: a\r\n" + CLOSE + b"\r\n").only.status == 200
        except ConnectionError:
            return False


def _until(condition: Any) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture(scope="module")
def evidence() -> Iterator[Evidence]:
    with Sandbox("anthropic", ("--keep-bodies",)) as anthropic, Sandbox("bedrock", ("--keep-bodies",)) as bedrock:
        upstreams = {"PROXY_PLAN_URL": anthropic.url, "PROXY_BEDROCK_URL": bedrock.url}
        settings = {**upstreams, "PROXY_LOG_LEVEL": "DEBUG", "PROXY_SILENCE_TIMEOUT_S": "1"}
        with temporary_product(settings) as product:
            product.start()
            traffic = Traffic(product, anthropic, bedrock)
            for act in (
                traffic.faults, traffic.refusals, traffic.no_requests, traffic.hang_ups, traffic.kill, traffic.poison,
                traffic.crash,
            ):  # fmt: skip
                act()
            listed = [product.cli(*command) for command in (("user", "list"), ("key", "list"), ("bedrock-key", "list"))]
            product.stop()
            yield Evidence(product, traffic.access_keys, traffic.answers, traffic.spools, json.dumps(listed))


def forms(secret: str) -> set[bytes]:
    """A secret as somebody might have written it down."""
    raw = secret.encode()
    pieces = {raw, json.dumps(secret)[1:-1].encode(), urllib.parse.quote(secret, safe="").encode(), raw.hex().encode()}
    pieces |= {secret.encode("utf-16-le"), secret.encode("latin-1", "replace"), repr(raw)[2:-1].encode()}
    for before in range(3):  # base64 looks different at each offset; the letters at the edges mix with what is beside
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            encoded = encode(b"\0" * before + raw).rstrip(b"=")
            pieces.add(encoded[4 if before else 0 : -2])
    return pieces


def finds(secret: str, files: dict[str, bytes]) -> list[str]:
    return [f"{name}: {form!r}" for name, content in files.items() for form in forms(secret) if form in content]
