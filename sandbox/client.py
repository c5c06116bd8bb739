"""Starts a stand-in as a process of its own and speaks with its control endpoint: for tests, demo and benchmarks.

Knows the command line and the control paths; refuses to import anything else of the sandbox (it runs elsewhere).
Invariant: the process ends with its `Sandbox`, or with the process that started it.
"""

from __future__ import annotations

import base64
import http.client
import json
import select
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import urlsplit

START_TIMEOUT_S = 60.0
END_TIMEOUT_S = 10.0
ROOT = Path(__file__).resolve().parent.parent
UpstreamName = Literal["anthropic", "bedrock"]


class SandboxError(Exception):
    """The stand-in did not start, or refused an order."""


@dataclass(frozen=True, slots=True)
class RecordedAnswer:
    """An answer to be played back; `chunks` are the sizes of the pieces in which the body is written."""

    body: bytes
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    chunks: tuple[int, ...] = ()
    framing: Literal["chunked", "length", "close"] = "chunked"
    times: int = 1


@dataclass(slots=True)
class Sandbox:
    """One stand-in. Use it as a context manager, or call `start` and `stop`; `options` are those of the command line."""

    upstream: UpstreamName
    options: tuple[str, ...] = ()
    url: str = ""
    control_url: str = ""
    _process: subprocess.Popen[str] | None = field(default=None, repr=False)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def start(self) -> Self:
        """Blocks until the ports are open. Raises SandboxError."""
        command = [sys.executable, "-m", "sandbox", self.upstream, "--control-port", "0", "--with-parent", *self.options]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        line = self._first_line()
        if not line:
            self.stop()
            raise SandboxError(f"did not start: {' '.join(command)}")
        addresses = json.loads(line)
        self.url, self.control_url = addresses["listening"], addresses["control"]
        return self

    def stop(self) -> None:
        """End the process; harmless when it has ended."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()

    @property
    def port(self) -> int:
        return urlsplit(self.url).port or 0

    def fault(self, name: str, times: int | None = None, match: dict[str, str] | None = None, **args: object) -> None:
        """Order a fault: for the next `times` requests that match, or until cleared."""
        self._call("POST", "faults", {"fault": name, "times": times, "match": match or {}, "args": args})

    def clear_faults(self) -> None:
        """Forget all orders; the port is opened again if it was shut."""
        self._call("DELETE", "faults")

    def listen(self, is_open: bool) -> None:
        """Shut the port (connections are refused from now on) or open it again."""
        self._call("POST", "listen", {"open": is_open})

    def record(self, answer: RecordedAnswer) -> str:
        """Have this answer played back; its id, for the header `x-sandbox-answer`."""
        wanted = {
            "status": answer.status,
            "headers": [list(pair) for pair in answer.headers],
            "body_b64": base64.b64encode(answer.body).decode(),
            "chunks": list(answer.chunks),
            "framing": answer.framing,
            "times": answer.times,
        }
        return str(self._call("POST", "answers", wanted)["id"])

    def requests(self, since: int = 0) -> list[dict[str, Any]]:
        """What arrived, oldest first."""
        received: list[dict[str, Any]] = self._call("GET", f"requests?since={since}")
        return received

    def totals(self) -> dict[str, Any]:
        """Requests, and tokens sent in complete and in partial answers, in all and by model."""
        counted: dict[str, Any] = self._call("GET", "totals")
        return counted

    def reset(self) -> None:
        """Forget orders, recorded answers, requests and totals."""
        self._call("POST", "reset")

    def close_idle(self) -> int:
        """Close all idle connections now; how many there were."""
        return int(self._call("POST", "close-idle")["closed"])

    def _call(self, method: str, path: str, wanted: object = None) -> Any:
        address = urlsplit(self.control_url)
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=START_TIMEOUT_S)
        try:
            body = None if wanted is None else json.dumps(wanted)
            connection.request(method, f"/_sandbox/{path}", body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
        if response.status != 200:
            raise SandboxError(content.decode("utf-8", "replace"))
        return json.loads(content)

    def _first_line(self) -> str:
        stdout = self._process.stdout if self._process else None
        if stdout is None or not select.select([stdout], [], [], START_TIMEOUT_S)[0]:
            return ""
        return stdout.readline()
