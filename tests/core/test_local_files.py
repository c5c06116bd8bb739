"""Local secrets are made once, are private, and are the same for everyone who starts."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from core.crypto import check_password, hash_password
from core.local_files import ensure_local, make_admin_password
from core.settings import BadSettings
from tests.mounts import small_disk

quick_hash = partial(hash_password, rounds=4)


def test_folder_and_files_are_private(settings: Any, tmp_path: Path) -> None:
    ensure_local(settings())
    make_admin_password(settings(), quick_hash)

    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in [tmp_path / "var", *(tmp_path / "var").iterdir()]}
    files = {"server_secret": 0o600, "jwt_secret": 0o600, "vault_key": 0o600, "admin_password_hash": 0o600}
    assert modes == {"var": 0o700, **files}


def test_the_next_start_finds_the_same_secrets(settings: Any) -> None:
    first = ensure_local(settings())

    assert ensure_local(settings()) == first
    assert len({first.server_secret, first.jwt_secret}) == 2
    assert (len(first.server_secret), len(first.vault_key or b"")) == (64, 32)


def test_all_who_start_at_once_use_the_same_secrets(settings: Any, tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as starters:
        found = set(starters.map(lambda _: ensure_local(settings()), range(64)))

    assert len(found) == 1
    assert sorted(path.name for path in (tmp_path / "var").iterdir()) == ["jwt_secret", "server_secret", "vault_key"]


def test_a_file_that_others_could_read_is_made_private(settings: Any, tmp_path: Path) -> None:
    ensure_local(settings())
    path = tmp_path / "var" / "server_secret"
    path.chmod(0o644)

    ensure_local(settings())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_clear_password_goes_to_the_one_who_made_it_and_is_kept_nowhere(settings: Any, tmp_path: Path) -> None:
    assert ensure_local(settings()).admin_password_hash == ""

    password = make_admin_password(settings(), quick_hash)
    assert password is not None
    assert make_admin_password(settings(), quick_hash) is None
    assert check_password(password, ensure_local(settings()).admin_password_hash)
    assert all(password.encode() not in path.read_bytes() for path in (tmp_path / "var").iterdir())


def test_what_the_settings_say_wins_and_makes_no_file(settings: Any, tmp_path: Path) -> None:
    given = settings(server_secret="s" * 32, jwt_secret="j" * 32, admin_password_hash="$2b$04$x")

    found = ensure_local(given)
    assert (found.server_secret, found.jwt_secret, found.admin_password_hash) == ("s" * 32, "j" * 32, "$2b$04$x")
    assert make_admin_password(given) is None
    assert [path.name for path in (tmp_path / "var").iterdir()] == ["vault_key"]


def test_production_makes_nothing(settings: Any, tmp_path: Path) -> None:
    given = settings(environment="production", server_secret="s" * 32)

    assert ensure_local(given).vault_key is None
    assert make_admin_password(given) is None
    assert not (tmp_path / "var").exists()


@pytest.mark.parametrize("name", ["vault_key", "server_secret"])
def test_a_damaged_file_is_named_and_not_replaced(settings: Any, tmp_path: Path, name: str) -> None:
    ensure_local(settings())
    (tmp_path / "var" / name).write_bytes(b"short")

    with pytest.raises(BadSettings, match=name):
        ensure_local(settings())
    assert (tmp_path / "var" / name).read_bytes() == b"short"


def test_no_secret_is_in_the_repr(settings: Any) -> None:
    found = ensure_local(settings())

    assert found.server_secret not in repr(found)
    assert repr(found.vault_key) not in repr(found)


def test_with_kms_no_vault_key_is_made_and_one_that_is_there_is_used(settings: Any) -> None:
    with_kms = settings(kms_key_id="a-key")
    assert ensure_local(with_kms).vault_key is None
    made = ensure_local(settings()).vault_key

    assert ensure_local(with_kms).vault_key == made is not None


def test_a_data_folder_that_is_a_file_is_told_as_a_setting_that_is_wrong(settings: Any, tmp_path: Path) -> None:
    (tmp_path / "var").touch()

    with pytest.raises(BadSettings, match=r"PROXY_DATA_DIR: .*var is no folder"):
        ensure_local(settings())


def test_a_folder_without_room_is_told_as_a_setting_that_is_wrong(settings: Any, tmp_path: Path) -> None:
    with small_disk(tmp_path / "var", 4) as folder:
        (folder / "filler").write_bytes(b"x" * 4096)
        with pytest.raises(BadSettings, match=r"PROXY_DATA_DIR: .*server_secret cannot be written \(No space"):
            ensure_local(settings())
        assert [path.name for path in folder.iterdir()] == ["filler"]
