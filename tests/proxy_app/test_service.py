"""The life of a worker: started once, drained in this order, and closed within seconds whatever the database does."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest

from proxy_app import service
from proxy_app.service import Parts, Service
from tests import machine


@dataclass
class Diary:
    """What happened to every part, in order. `silent`: what never answers, as a database that is frozen."""

    lines: list[str] = field(default_factory=list)
    moments: dict[str, float] = field(default_factory=dict)  # of the last time, however late a test looks
    silent: frozenset[str] = frozenset()
    listener: Callable[[Any], None] = lambda kind: None
    over: threading.Event = field(default_factory=threading.Event)

    def note(self, name: str, gives: Any = None) -> Callable[..., Any]:
        def noted(*arguments: Any) -> Any:
            if name in self.silent:
                self.over.wait(30)
            self.moments[name] = time.monotonic()
            self.lines.append(name)
            if name == "tick.listen":
                self.listener = arguments[0]
            return gives

        return noted

    def part(self, name: str, *methods: str) -> Any:
        return SimpleNamespace(**{method: self.note(f"{name}.{method}") for method in methods})

    def happened(self, name: str) -> bool:
        deadline = time.monotonic() + 60
        while name not in self.lines and time.monotonic() < deadline:
            time.sleep(0.005)
        return name in self.lines


class Live:
    """Calls under way, of which the drain ends all but one."""

    def __init__(self, diary: Diary) -> None:
        self.drain = diary.note("live.drain", gives=3)
        self.abandon = diary.note("live.abandon", gives=1)

    def __len__(self) -> int:
        return 0


def service_of(diary: Diary, drain_s: float = 0.05) -> Service:
    parts = Parts(
        directory=diary.part("directory", "refresh"),
        sharing=diary.part("sharing", "publish", "absorb"),
        learning=diary.part("learning", "publish", "absorb", "changed"),
        spending=diary.part("spending", "publish", "absorb"),
        windows=diary.part("windows", "publish", "absorb"),
        recorder=diary.part("recorder", "start", "close"),
        live=cast(Any, Live(diary)),
        pool=diary.part("pool", "close"),
        tick=diary.part("tick", "listen", "start", "stop"),
        database=diary.part("database", "close"),
        readiness=diary.part("readiness", "started", "draining"),
        heartbeat=diary.part("heartbeat", "start", "stop"),
        housekeeper=diary.part("housekeeper", "start", "stop"),
        reprice=diary.note("reprice"),
        close_admin=diary.note("admin.close"),
        unreadable=diary.note("unreadable"),
        beside=(diary.part("beside", "start", "stop"),),
    )
    return Service(lambda environ, start_response: [], parts, drain_s, tick_s=30)


def test_building_it_starts_nothing() -> None:
    diary = Diary()
    service_of(diary)
    assert diary.lines == []


def heard_all(diary: Diary) -> bool:
    """What other workers know has come in, all of it once."""
    return all(diary.happened(f"{each}.absorb") for each in ("sharing", "windows", "learning", "spending"))


def test_it_is_not_ready_before_the_database_was_seen() -> None:
    diary = Diary()
    service_of(diary).start(is_alive=lambda: True)
    assert heard_all(diary)
    assert "readiness.started" not in diary.lines
    diary.listener("circuits")
    assert diary.happened("readiness.started")


@pytest.mark.parametrize("last", ["windows.absorb", "learning.absorb", "spending.absorb"])
def test_it_is_not_ready_before_it_has_heard_what_its_predecessors_knew(last: str) -> None:
    diary = Diary(silent=frozenset({last}))
    service_of(diary).start(is_alive=lambda: True)
    diary.listener("circuits")
    assert diary.happened("sharing.absorb") and "readiness.started" not in diary.lines
    diary.over.set()
    assert diary.happened("readiness.started")


def test_what_changed_reaches_whom_it_concerns() -> None:
    diary = Diary()
    service_of(diary).start(is_alive=lambda: True)
    diary.listener("circuits")
    assert "directory.refresh" not in diary.lines
    diary.listener("grants")
    assert "directory.refresh" in diary.lines
    assert "reprice" not in diary.lines
    diary.listener("prices")
    assert "reprice" in diary.lines


def test_a_worker_that_is_to_end_says_so_then_drains_then_lets_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "_LAST_WORDS_S", 0.05)
    diary, alive = Diary(), threading.Event()
    service_of(diary).start(is_alive=lambda: not alive.is_set())
    assert "readiness.draining" not in diary.lines
    alive.set()
    assert diary.happened("live.abandon")
    order = [line for line in diary.lines if line in ("readiness.draining", "live.drain", "live.abandon")]
    assert order == ["readiness.draining", "live.drain", "live.abandon"]


def test_nothing_is_cut_before_the_drain_is_over() -> None:
    diary = Diary()
    service_of(diary, drain_s=0.4).start(is_alive=lambda: False)
    assert diary.happened("live.drain")
    assert diary.moments["live.drain"] - diary.moments["readiness.draining"] > 0.39


def test_the_books_are_closed_before_the_database() -> None:
    diary = Diary()
    service_of(diary).close()
    assert diary.lines.index("recorder.close") < diary.lines.index("database.close")
    assert diary.lines[-1] == "database.close"


def test_circuits_that_cannot_be_published_do_not_keep_it_from_closing() -> None:
    diary = Diary(silent=frozenset({"sharing.publish"}))
    began = machine.now()
    service_of(diary).close()
    assert diary.lines[-1] == "database.close"
    assert machine.now().since(began) < 3
    diary.over.set()
