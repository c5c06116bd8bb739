"""Two servers in one SQLite folder, workers that begin at once, and servers whose secrets were lost, as an operator meets them:
real processes."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from sandbox.product import ROOT, free_port
from tests.live.test_start import FIRST_RUN, GUNICORN, SERVE, environ, refused, started

__all__ = ["environ"]

MANY_WORKERS = 6


def command(line: str, environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "admin_app", *line.split()], cwd=ROOT, env=environ, capture_output=True, text=True, timeout=180
    )


def on_another_port(environ: dict[str, str]) -> dict[str, str]:
    return {**environ, "PROXY_BIND": f"127.0.0.1:{free_port()}"}


def ends_by_itself(arguments: tuple[str, ...], environ: dict[str, str]) -> tuple[int, str]:
    """Exit status and error output; the log goes to stdout."""
    done = subprocess.run([sys.executable, *arguments], cwd=ROOT, env=environ, capture_output=True, text=True, timeout=180)
    assert "Traceback" not in done.stdout + done.stderr
    return done.returncode, done.stderr


def test_a_second_server_of_a_folder_is_refused_by_name_and_the_first_goes_on(environ: dict[str, str], tmp_path: Path) -> None:
    with started(FIRST_RUN, environ, tmp_path / "output") as server:
        assert server.comes_to(lambda: server.get("/ready")[0] == 200)
        by_serve = refused(SERVE, on_another_port(environ))
        by_gunicorn = ends_by_itself(GUNICORN, on_another_port(environ))
        beside = command("user list", environ)

        assert f"Another server (process {server.process.pid} on " in by_serve
        assert f"Another server (process {server.process.pid} on " in by_gunicorn[1]
        assert (by_gunicorn[0], beside.returncode, "developer" in beside.stdout) == (1, 0, True)
        assert server.get("/ready")[0] == 200


def test_a_server_that_was_killed_keeps_nobody_out(environ: dict[str, str], tmp_path: Path) -> None:
    with started(FIRST_RUN, environ, tmp_path / "first") as server:
        assert server.comes_to(lambda: server.get("/ready")[0] == 200)
        server.process.send_signal(signal.SIGKILL)
        server.process.wait(20)

    with started(FIRST_RUN, on_another_port(environ), tmp_path / "second") as again:
        assert again.comes_to(lambda: again.get("/ready")[0] == 200), again.shown


def test_after_a_reload_the_folder_is_still_taken(environ: dict[str, str], tmp_path: Path) -> None:
    with started(FIRST_RUN, environ, tmp_path / "output") as server:
        assert server.comes_to(lambda: server.get("/ready")[0] == 200)
        server.process.send_signal(signal.SIGHUP)
        assert server.comes_to(lambda: server.shown.count("Booting worker") == 2)

        assert "Another server" in refused(SERVE, on_another_port(environ))


@pytest.mark.parametrize("arguments", [SERVE, FIRST_RUN, GUNICORN], ids=["serve", "first run", "gunicorn"])
def test_a_server_whose_data_folder_was_lost_does_not_start_on_its_old_database(
    environ: dict[str, str], tmp_path: Path, postgres_server: Any, arguments: tuple[str, ...]
) -> None:
    """As with compose.yaml, when the volume of the data is gone and that of the database is not."""
    environ["PROXY_DATABASE_URL"] = postgres_server.migrated()
    command("user add ann", environ)
    shutil.rmtree(tmp_path / "var")
    status, said = ends_by_itself(arguments, environ)
    postgres_server.drop(environ["PROXY_DATABASE_URL"])

    assert status != 0
    assert "server_secret: is missing" in said
    assert "python -m admin_app secrets accept" in said
    assert not (tmp_path / "var" / "server_secret").exists()


def test_a_second_server_of_a_database_needs_the_secrets_of_the_first(
    environ: dict[str, str], tmp_path: Path, postgres_server: Any
) -> None:
    environ["PROXY_DATABASE_URL"] = postgres_server.migrated()
    second = {**on_another_port(environ), "PROXY_DATA_DIR": str(tmp_path / "second")}
    command("user list", environ)
    shutil.copytree(tmp_path / "var", tmp_path / "second")
    with started(GUNICORN, second, tmp_path / "output") as server:
        assert server.comes_to(lambda: server.get("/ready")[0] == 200), server.shown
    (tmp_path / "second" / "server_secret").write_text("o" * 64)
    status, said = ends_by_itself(GUNICORN, second)
    postgres_server.drop(environ["PROXY_DATABASE_URL"])

    assert status != 0
    assert "this database belongs to another server_secret" in said


def test_workers_of_a_new_installation_that_begin_at_once_share_the_secrets_that_one_of_them_made(
    environ: dict[str, str], tmp_path: Path, postgres_server: Any
) -> None:
    """One that cannot begin ends the whole server. The narrowest moment is made on purpose in tests/core/test_secret_marks.py."""
    url = postgres_server.migrated()
    many = {**environ, "PROXY_DATABASE_URL": url, "PROXY_WORKERS": str(MANY_WORKERS)}
    with started(GUNICORN, many, tmp_path / "output") as server:
        assert server.comes_to(lambda: workers_seen(url) == MANY_WORKERS, 120.0), server.shown
        assert "exited with code" not in server.shown
    postgres_server.drop(url)


def workers_seen(database_url: str) -> int:
    with closing(psycopg2.connect(database_url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM workers")
        return int(cursor.fetchone()[0])
