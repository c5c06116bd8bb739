"""HAProxy in front of several servers, set up to do what an application load balancer does, and steady load through it.

Health checks on `/ready`, idle time above five minutes, another server when one cannot be connected to; a request that was
sent is never sent again. Refuses to know what is behind it. Invariant: what it started is gone when it is closed.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from sandbox.held_port import hold_port, port_of
from tests.live.asking import ask
from tests.live.leaver import eventually

_CONFIGURATION = """
global
    stats socket {folder}/admin mode 600 level admin
defaults
    mode http
    timeout connect 2s
    timeout check 5s
    timeout client 330s
    timeout server 330s
    retries 3
    retry-on conn-failure
    option redispatch 1
frontend everybody
    bind 127.0.0.1:{port}
    default_backend tasks
backend tasks
    balance roundrobin
    option httpchk
    http-check send meth GET uri /ready hdr host proxy
    http-check expect status 200
    default-server check inter 500ms fall 2 rise 1
"""


@dataclass
class Balancer:
    """Running. `drain` and `admit` are what a deregistration and a registration are."""

    folder: Path
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def drain(self, name: str) -> None:
        self._tell(f"set server tasks/{name} state drain")

    def admit(self, name: str) -> None:
        self._tell(f"set server tasks/{name} state ready")
        self.await_state(name, "UP")

    def await_state(self, name: str, state: str) -> None:
        eventually(lambda: self._states().get(name, "").startswith(state), 30)

    @property
    def takes_orders(self) -> bool:
        """Its socket is there a moment before it listens."""
        with socket.socket(socket.AF_UNIX) as admin:
            return admin.connect_ex(str(self.folder / "admin")) == 0

    def _states(self) -> dict[str, str]:
        header, *rows = self._tell("show stat").lstrip("# ").splitlines()
        names = header.split(",")
        found = [dict(zip(names, row.split(","), strict=False)) for row in rows if row]
        return {row["svname"]: row["status"] for row in found if row["pxname"] == "tasks"}

    def _tell(self, words: str) -> str:
        with socket.socket(socket.AF_UNIX) as admin:
            admin.connect(str(self.folder / "admin"))
            admin.sendall(f"{words}\n".encode())
            return b"".join(iter(lambda: admin.recv(65_536), b"")).decode()


@contextmanager
def balancer(folder: Path, ports: dict[str, int]) -> Iterator[Balancer]:
    """In front of these servers, of which each is up. `folder` has a short path. Skips the test, by name, without HAProxy."""
    program = shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    if program is None:
        pytest.skip("HAProxy is not installed (Debian package haproxy)")
    with hold_port() as held:
        running = Balancer(folder, port_of(held))
        servers = [f"    server {name} 127.0.0.1:{port}" for name, port in ports.items()]
        (folder / "cfg").write_text(_CONFIGURATION.format(folder=folder, port=running.port) + "\n".join(servers) + "\n")
        process = subprocess.Popen(
            [program, "-db", "-f", str(folder / "cfg")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            eventually(lambda: running.takes_orders)
            for name in ports:
                running.await_state(name, "UP")
            yield running
        finally:
            process.kill()
            process.wait()


@dataclass
class Asked:
    """One request: when it began, and what was wrong with its answer; empty if nothing."""

    began: float
    trouble: str


@dataclass
class Load:
    """So many requests a second, whatever becomes of them: whole answers, quick streams, and streams of about a second."""

    developer: Any
    per_second: int
    asked: list[Asked] = field(default_factory=list)

    _KINDS = (
        {"stream": False},
        {"stream": True},
        {"stream": True, "headers": {"x-sandbox-fault": "slow_stream;events=20;delay=0.05"}},
    )

    def began_after(self, moment: float) -> list[Asked]:
        return [each for each in self.asked if each.began > moment]

    def troubles(self) -> list[str]:
        return [each.trouble for each in self.asked if each.trouble]

    def ask_one(self, number: int) -> None:
        began = time.monotonic()
        kind: dict[str, Any] = self._KINDS[number % len(self._KINDS)]
        try:
            answer = ask(self.developer, **kind)
            is_whole = b"message_stop" in answer.body if kind["stream"] else bool(json.loads(answer.body)["usage"])
            trouble = "" if answer.status == 200 and is_whole else f"{answer.status} {answer.body[-200:]!r}"
        except (OSError, ValueError, KeyError) as error:
            trouble = repr(error)
        self.asked.append(Asked(began, trouble))


@contextmanager
def load(developer: Any, per_second: int = 50) -> Iterator[Load]:
    """Runs beside the block, and is over, with every answer in, at its end."""
    made, stop = Load(developer, per_second), threading.Event()

    def send(pool: ThreadPoolExecutor) -> None:
        number, due = 0, time.monotonic()
        while not stop.wait(max(0.0, due - time.monotonic())):
            pool.submit(made.ask_one, number)
            number, due = number + 1, due + 1 / per_second

    with ThreadPoolExecutor(200) as pool:
        sender = threading.Thread(target=send, args=(pool,))
        sender.start()
        try:
            _await_more(made, per_second)
            yield made
            _await_more(made, per_second)
        finally:
            stop.set()
            sender.join()


def _await_more(made: Load, count: int) -> None:
    wanted = len(made.asked) + count
    is_reached: Callable[[], bool] = lambda: len(made.asked) >= wanted  # noqa: E731
    eventually(is_reached, 30)
