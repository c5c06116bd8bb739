"""One server for one SQLite file. With real servers: tests/live/test_one_server.py."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from core.server_lock import lock_database
from core.settings import BadSettings


def test_a_second_server_is_refused_and_told_by_whom(settings: Any) -> None:
    first = lock_database(settings())

    with pytest.raises(BadSettings, match=f"Another server \\(process {os.getpid()} on .*PROXY_DATA_DIR of its own"):
        lock_database(settings())
    first.let_go()
    lock_database(settings()).let_go()


def test_one_file_is_one_file_by_whatever_settings_it_is_named(settings: Any, tmp_path: Path) -> None:
    first = lock_database(settings())

    with pytest.raises(BadSettings, match="Another server"):
        lock_database(settings(data_dir=tmp_path / "other", database_url=f"sqlite:///{settings().sqlite_file}?timeout=9"))
    first.let_go()


def test_folder_and_file_are_private(settings: Any) -> None:
    held = lock_database(settings())
    paths = [settings().data_dir, *settings().data_dir.iterdir()]

    assert [(path.name, stat.S_IMODE(path.stat().st_mode)) for path in paths] == [("var", 0o700), ("proxy.sqlite.server", 0o600)]
    held.let_go()


@pytest.mark.parametrize("url", ["postgresql://user@host/name", "sqlite://", "sqlite:///:memory:"])
def test_a_database_that_is_no_file_is_for_as_many_as_come(settings: Any, url: str) -> None:
    held = [lock_database(settings(database_url=url)) for _ in range(2)]

    assert [lock.path for lock in held] == [None, None]
    assert not settings().data_dir.exists()


def test_a_child_that_lets_go_leaves_the_lock_to_its_parent(settings: Any) -> None:
    held = lock_database(settings())
    if (child := os.fork()) == 0:
        held.let_go()
        os._exit(0)
    os.waitpid(child, 0)

    with pytest.raises(BadSettings, match="Another server"):
        lock_database(settings())
    held.let_go()


def test_another_file_than_the_locked_one_is_refused_and_another_kind_of_database_is_not(settings: Any, tmp_path: Path) -> None:
    held = lock_database(settings())
    held.check(settings())
    held.check(settings(database_url="postgresql://user@host/name"))

    with pytest.raises(BadSettings, match="cannot change while the server runs"):
        held.check(settings(data_dir=tmp_path / "other"))
    held.let_go()


def test_a_folder_that_cannot_be_used_is_told_as_a_setting_that_is_wrong(settings: Any, tmp_path: Path) -> None:
    (tmp_path / "var").touch()

    with pytest.raises(BadSettings, match=r"PROXY_DATA_DIR: .* cannot be written"):
        lock_database(settings())
