"""`serve`, from the first start on, and the real program (SPEC sections 11 and 16)."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

import pytest

from admin_app.__main__ import PROJECT, serve
from core.access import load_grant
from core.crypto import hash_access_key
from core.db import open_database, schema_is_current
from core.settings import Settings

ANY_PORT = "127.0.0.1:0"  # whoever runs the tests may run a proxy, too


class Became(Exception):
    """The process would be gunicorn now, with this environment."""


def become(environ: dict[str, str]) -> NoReturn:
    raise Became(environ)


def test_serving_an_unmigrated_database_is_refused_and_the_command_named(settings: Any, capsys: Any) -> None:
    assert serve(settings(bind=ANY_PORT), False, become) == 1

    shown = capsys.readouterr()
    assert "python -m admin_app migrate" in shown.err
    assert shown.out == ""


def first_run(make_settings: Callable[..., Settings], capsys: Any) -> str:
    with pytest.raises(Became):
        serve(make_settings(bind=ANY_PORT), True, become)
    return str(capsys.readouterr().out)


def test_the_very_first_start_migrates_and_shows_all_that_one_needs(settings: Any, capsys: Any, tmp_path: Path) -> None:
    shown = first_run(settings, capsys)

    assert "http://127.0.0.1:0/admin" in shown
    assert re.search(r"User name: admin\n  Password:  \S{20}", shown)
    key = re.search(r"export ANTHROPIC_BASE_URL=http://127\.0\.0\.1:0/ak/(ak_\w{44})\n", shown)
    assert key is not None
    hashed = hash_access_key((tmp_path / "var" / "server_secret").read_text(), key[1])
    database = open_database(settings(), pool_size=1)
    assert schema_is_current(database)
    assert database.read(lambda c: load_grant(c, hashed, datetime.now(UTC))) is not None
    database.close()
    assert "-m admin_app bedrock-key add --user developer --region us-east-1 --key-stdin" in shown


def test_later_starts_show_no_secret_and_how_to_issue_a_key(settings: Any, capsys: Any) -> None:
    first_run(settings, capsys)

    shown = first_run(settings, capsys)
    assert "http://127.0.0.1:0/admin" in shown
    assert "-m admin_app key issue --user NAME" in shown
    assert "Password" not in shown
    assert "ak_" not in shown


def test_the_server_keeps_using_the_callers_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(Became) as caught:
        serve(Settings(data_dir=Path("here"), bind=ANY_PORT), True, become)
    assert caught.value.args[0]["PROXY_DATA_DIR"] == str(tmp_path / "here")


def test_the_real_program_works_from_any_folder(tmp_path: Path) -> None:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PROXY_")}
    environ |= {"PYTHONPATH": str(PROJECT), "PROXY_BIND": ANY_PORT}

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "admin_app", *arguments]
        return subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=180)

    refused = call("serve")
    assert (refused.returncode, "python -m admin_app migrate" in refused.stderr) == (1, True)
    assert call("migrate").returncode == 0
    added = call("user", "add", "ann", "--json")
    assert (json.loads(added.stdout)["id"][:4], added.stderr) == ("usr_", "")
    assert (tmp_path / "var" / "proxy.sqlite").exists()
