"""The product under test, run the way a user runs it: through its command line, as processes of its own.

Used by the demo, the live tests and nothing else. Imports nothing of the product, so that it can only do what a user can.
Invariants: everything it started is gone when it is closed; until then its port is nobody else's, whether it runs or not.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import weakref
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from sandbox.held_port import hold_port, port_of

ROOT = Path(__file__).resolve().parent.parent
AS_IN_THE_IMAGE = ("gunicorn", "-c", "gunicorn.conf.py", "wsgi:create_app()")  # nothing is checked first: ready a second sooner
_PORTS = range(15_000, 32_768)
_START_S = 120.0  # it ends at once when the server does, so this is for machines with much else to do


class NotStarted(Exception):
    """The product did not get ready. The text is what it printed."""


def free_port() -> int:
    """None of those that the kernel gives to outgoing connections: such a one may be taken before a server has it, or while the
    server is being started again."""
    while True:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", secrets.choice(_PORTS)))
            return int(probe.getsockname()[1])


class Product:
    """One installation: a data directory, settings, and a server that can be started, killed and started again."""

    serving: tuple[str, ...] = ("admin_app", "serve")  # the module that serves, and its arguments

    def __init__(self, data_dir: Path, settings: Mapping[str, str], port: int = 0) -> None:
        self.data_dir = data_dir
        held = hold_port(port)
        self._let_go = weakref.finalize(self, held.close)
        self.port = port_of(held)
        self.url = f"http://127.0.0.1:{self.port}"
        self.log_path = data_dir / "server.log"
        self._environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(data_dir),
            "PROXY_DATA_DIR": str(data_dir / "var"),
            "PROXY_BIND": f"127.0.0.1:{self.port}",
            **settings,
        }
        self._server: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None
        data_dir.mkdir(parents=True, exist_ok=True)

    def cli(self, *arguments: str, given: str = "", check: bool = True) -> Any:
        """One command with `--json`; its parsed output."""
        done = subprocess.run(
            [sys.executable, "-m", "admin_app", *arguments, "--json"],
            cwd=ROOT,
            env=self._environ,
            input=given.encode(),
            capture_output=True,
            timeout=_START_S,
            check=False,
        )
        if check and done.returncode != 0:
            raise NotStarted(f"{arguments}: {done.stderr.decode()}")
        return json.loads(done.stdout) if done.stdout.strip() else None

    def add_developer(self, name: str, *, strategy: str = "plan_first", bedrock_secret: str = "bedrock-sandbox") -> str:
        """A user with one access key and, unless the secret is empty, a Bedrock key. Returns the access key."""
        self.cli("user", "add", name, "--strategy", strategy)
        issued: str = self.cli("key", "issue", "--user", name)["access_key"]
        if bedrock_secret:
            self.cli("bedrock-key", "add", "--user", name, "--region", "us-east-1", "--key-stdin", given=bedrock_secret)
        return issued

    def start(self) -> None:
        """Returns when it is ready. Raises NotStarted."""
        self._log = self.log_path.open("ab")
        self._server = subprocess.Popen(
            [sys.executable, "-m", *self.serving],
            cwd=ROOT,
            env=self._environ,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._await_ready()

    def _await_ready(self) -> None:
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError, urllib.error.URLError):
                urllib.request.urlopen(f"{self.url}/ready", timeout=2).close()
                return
            if self._server is not None and self._server.poll() is not None:
                break
            time.sleep(0.05)
        raise NotStarted(self.log_path.read_text(errors="replace")[-4000:])

    @property
    def pid(self) -> int:
        if self._server is None:
            raise NotStarted("not running")
        return self._server.pid

    @property
    def is_running(self) -> bool:
        return self._server is not None and self._server.poll() is None

    def worker_pids(self) -> list[int]:
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return [int(child) for child in children]

    def wait(self, timeout_s: float) -> int:
        """The server's exit code."""
        assert self._server is not None
        return self._server.wait(timeout_s)

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def stop(self) -> None:
        """Ends the server and everything it started. Idempotent."""
        if self._server is not None and self._server.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._server.pid, signal.SIGTERM)
            try:
                self._server.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(self._server.pid, signal.SIGKILL)
                self._server.wait(10)
        self._server = None
        if self._log is not None:
            self._log.close()
            self._log = None

    def logs(self) -> list[dict[str, Any]]:
        """Every JSON line the server has written; one that it is writing at this moment has no end yet."""
        *lines, _ = self.log_path.read_text(errors="replace").split("\n")
        return [json.loads(line) for line in lines if line.startswith("{")]

    def access_lines(self) -> list[dict[str, Any]]:
        return [line for line in self.logs() if line.get("context", {}).get("log") == "access"]

    def base_url(self, access_key: str) -> str:
        return f"{self.url}/ak/{access_key}"

    def __enter__(self) -> Product:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._let_go()


@contextlib.contextmanager
def temporary_product(settings: Mapping[str, str], port: int = 0) -> Iterator[Product]:
    """A migrated installation in a folder of its own, not yet started. Port 0: a free one."""
    with tempfile.TemporaryDirectory(prefix="claude-code-proxy-") as folder, Product(Path(folder), settings, port) as product:
        product.cli("migrate")
        yield product
