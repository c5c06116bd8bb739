"""A reload that cannot be: the stand-in for gunicorn's arbiter does as it does, in its order. Live: test_reload_settings."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest

from core.reload import survive_bad_settings


@dataclass
class Configuration:
    """`trouble`: what happens to who builds a worker with it."""

    address: str
    trouble: Callable[[], object] = bool

    def post_fork(self, server: Any, worker: Any) -> None:
        worker.app.trouble = self.trouble

    def worker_exit(self, server: Any, worker: Any) -> None:
        pass


class Application:
    def __init__(self, following: list[object]) -> None:
        self.cfg = Configuration("127.0.0.1:1")
        self.following = following
        self.trouble: Callable[[], object] = bool

    def wsgi(self) -> object:
        return self.trouble()

    def reload(self) -> None:
        self.cfg = Configuration("")  # as gunicorn: the defaults first
        found = self.following.pop(0)
        if not isinstance(found, Configuration):
            raise SystemExit(found)
        self.cfg = found


@dataclass
class Log:
    said: list[str] = field(default_factory=list)

    def error(self, text: str, *values: object) -> None:
        self.said.append(text % values)


class Arbiter:
    """`forked`: a worker's end passes through here."""

    def __init__(self, *following: object, forked: bool = False) -> None:
        self.app, self.log, self.forked = Application(list(following)), Log(), forked
        self.cfg = self.app.cfg
        survive_bad_settings(self)

    def reload(self) -> None:
        self.app.reload()
        self.cfg = self.app.cfg
        if self.forked:
            raise SystemExit(0)


def test_unusable_settings_change_nothing_and_are_told_in_one_line() -> None:
    server = Arbiter("The settings cannot be used:\nPROXY_A: wrong\nPROXY_B: wrong", Configuration("127.0.0.1:1"))
    before = server.cfg
    server.reload()

    assert server.cfg is server.app.cfg is before
    [line] = server.log.said
    assert line.endswith("The settings cannot be used:; PROXY_A: wrong; PROXY_B: wrong")
    server.reload()
    assert server.cfg is server.app.cfg is not before


def test_a_configuration_that_gunicorn_cannot_read_changes_nothing() -> None:
    server = Arbiter(1)
    server.reload()

    assert "the configuration cannot be read" in server.log.said[0]


def test_another_address_is_refused_before_the_one_in_use_is_closed() -> None:
    server = Arbiter(Configuration("127.0.0.1:2"))
    server.reload()

    assert server.cfg.address == "127.0.0.1:1"
    assert "PROXY_BIND: cannot change" in server.log.said[0]


def test_a_worker_forked_in_a_reload_ends_as_it_wants_to() -> None:
    with pytest.raises(SystemExit):
        Arbiter(Configuration("127.0.0.1:1"), forked=True).reload()


class AppImportError(Exception):
    """As gunicorn's, which is printed as it is."""


def refuse() -> None:
    raise AppImportError("The server cannot start:\nPROXY_C: no worker can use it")


def stumble() -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize(
    ("trouble", "told"),
    [
        (refuse, "cannot start:; PROXY_C: no worker can use it"),
        (stumble, "a worker cannot be built: OSError: [Errno 28] No space left on device"),
        (partial(os._exit, 1), "ended without a word"),
    ],
    ids=["refused", "stumbled", "died"],
)
def test_settings_with_which_no_worker_can_be_built_change_nothing(trouble: Callable[[], object], told: str) -> None:
    server = Arbiter(Configuration("127.0.0.1:1", trouble), Configuration("127.0.0.1:1"))
    before = server.cfg
    server.reload()

    assert server.cfg is server.app.cfg is before
    assert told in server.log.said[0]
    server.reload()
    assert server.cfg is server.app.cfg is not before
