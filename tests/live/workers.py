"""A connection to each worker of a server, and how soon each of them answers in a new way.

A connection that is kept stays with the worker that took it, so what is asked over it is asked of that worker. Which one that
is, the kernel tells: the socket's inode among the worker's open files.
"""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg2

from sandbox.product import Product
from tests import machine
from tests.live.asking import CREDENTIAL, question

_PAUSE_S = 0.02
_REACHED_S = 60.0
_GIVE_UP_S = 30.0
_HEAVY = (
    "INSERT INTO {table} SELECT n, md5(n::text) FROM generate_series(1, 3000) AS n",
    "SELECT count(*), max(digest) FROM {table}",
    "UPDATE {table} SET digest = md5(digest) WHERE number < 500",
    "DELETE FROM {table} WHERE number > 100",
)


@dataclass(frozen=True)
class Seen:
    """What a worker answered. Two answers of the same kind are equal."""

    status: int
    provider: str
    request_id: str = field(default="", compare=False)


@dataclass
class AtWorker:
    """One worker, over one connection."""

    connection: http.client.HTTPConnection
    pid: int

    def ask(self, access_key: str, **changes: Any) -> Seen:
        """One small message, changed, answered whole."""
        headers = {"content-type": "application/json", "x-api-key": CREDENTIAL, "anthropic-version": "2023-06-01"}
        self.connection.request(
            "POST", f"/ak/{access_key}/v1/messages", json.dumps(question(**{"stream": False, **changes})), headers
        )
        answer = self.connection.getresponse()
        answer.read()
        return Seen(answer.status, answer.headers.get("x-proxy-provider", ""), answer.headers.get("x-proxy-request-id", ""))


def at_every_worker(products: Iterable[Product]) -> list[AtWorker]:
    """Exactly one connection to each worker of these servers. Waits for one that is still starting, and while another takes
    every connection."""
    return [each for product in products for each in _pinned(product).values()]


def seconds_until(
    workers: list[AtWorker], access_key: str, change: Callable[[], Any], is_new: Callable[[Seen], bool]
) -> list[float]:
    """From the change's commit until each worker answers in the new way, without what the machine was held up meanwhile. All
    are asked without a break from before it."""
    first_new: dict[int, machine.Moment] = {}
    asked = {worker.pid: 0 for worker in workers}

    def watch(worker: AtWorker) -> None:
        deadline = time.monotonic() + _GIVE_UP_S
        while time.monotonic() < deadline:
            seen = worker.ask(access_key)
            if is_new(seen):
                first_new[worker.pid] = machine.now()
                return
            assert seen.status == 200, seen
            asked[worker.pid] += 1
            time.sleep(_PAUSE_S)

    watchers = [threading.Thread(target=watch, args=(worker,)) for worker in workers]
    for watcher in watchers:
        watcher.start()
    while min(asked.values()) < 3:
        assert any(watcher.is_alive() for watcher in watchers), "the answers were new before the change"
        time.sleep(_PAUSE_S)
    change()
    committed = machine.now()
    for watcher in watchers:
        watcher.join()
    assert first_new.keys() == asked.keys(), "not all have noticed"
    return sorted(moment.since(committed) for moment in first_new.values())


@contextmanager
def database_under_load(url: str, connections: int = 4) -> Iterator[None]:
    """So many sessions that write and read without a break, each a table of its own."""
    stop, rounds = threading.Event(), [0] * connections

    def work(number: int) -> None:
        table = f"load_{number}"
        with _session(url) as session:
            session.execute(f"CREATE TABLE {table} (number integer, digest text)")
            while not stop.is_set():
                session.execute(_HEAVY[rounds[number] % len(_HEAVY)].format(table=table))
                rounds[number] += 1

    threads = [threading.Thread(target=work, args=(number,)) for number in range(connections)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert min(rounds) > 0, "the load did not happen"


@contextmanager
def _session(url: str) -> Iterator[Any]:
    connection = psycopg2.connect(url)
    connection.autocommit = True
    try:
        yield connection.cursor()
    finally:
        connection.close()


def _pinned(product: Product) -> dict[int, AtWorker]:
    found: dict[int, AtWorker] = {}
    began, wanted = machine.now(), set(product.worker_pids())
    while missing := wanted - found.keys():
        assert machine.now().since(began) < _REACHED_S, f"no connection to {missing}"
        connection = http.client.HTTPConnection("127.0.0.1", product.port, timeout=60)
        connection.request("GET", "/health")
        connection.getresponse().read()
        pid = _owner(connection, product.port, missing)
        if pid is None:
            connection.close()
            time.sleep(_PAUSE_S)
        else:
            found[pid] = AtWorker(connection, pid)
        wanted = set(product.worker_pids())
    return {pid: found[pid] for pid in wanted}


def _owner(connection: http.client.HTTPConnection, port: int, pids: set[int]) -> int | None:
    """Which of these has it; None when another has."""
    ours = connection.sock.getsockname()[1]
    rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    inodes = [row[9] for row in rows if row[1].endswith(f":{port:04X}") and row[2].endswith(f":{ours:04X}")]
    return next((pid for pid in pids for inode in inodes if f"socket:[{inode}]" in _open_files(pid)), None)


def _open_files(pid: int) -> set[str]:
    """None of one that has just ended."""
    names = set[str]()
    with suppress(OSError):
        for file in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                names.add(str(file.readlink()))
    return names
