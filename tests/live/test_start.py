"""The first minutes: what a person sees who starts the server, rightly or wrongly."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from sandbox.client import Sandbox
from sandbox.product import ROOT, free_port
from tests import machine
from tests.live.wire import LOGIN, talk

SERVE = ("-m", "admin_app", "serve")
FIRST_RUN = (*SERVE, "--first-run")
GUNICORN = ("-m", "gunicorn", "-c", "gunicorn.conf.py", "wsgi:create_app()")
EXPORT = re.compile(r"^ *export ANTHROPIC_BASE_URL=(http://127\.0\.0\.1:\d+)(/ak/ak_[0-9A-Za-z]{44})$", re.MULTILINE)
PASSWORD = re.compile(r"Password: +(\S{20}) ")


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """Nothing but what every start needs: a folder and a port of its own."""
    port = free_port()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PROXY_")}
    return {**kept, "PROXY_DATA_DIR": str(tmp_path / "var"), "PROXY_BIND": f"127.0.0.1:{port}"}


def refused(arguments: tuple[str, ...], environ: dict[str, str]) -> str:
    """What a start says that ends by itself with 1, on stderr; it said nothing else and never listened."""
    done = subprocess.run([sys.executable, *arguments], cwd=ROOT, env=environ, capture_output=True, text=True, timeout=180)
    assert (done.returncode, done.stdout) == (1, ""), done
    assert "Traceback" not in done.stderr
    return done.stderr


class Started:
    """A server in its own process; `shown` is all that it has printed so far."""

    def __init__(self, arguments: tuple[str, ...], environ: dict[str, str], output: Path) -> None:
        self._output = output
        with output.open("wb") as written:
            self.process = subprocess.Popen(
                [sys.executable, *arguments],
                cwd=ROOT,
                env=environ,
                stdout=written,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.port = urlsplit(f"//{environ['PROXY_BIND']}").port or 0

    @property
    def shown(self) -> str:
        return self._output.read_text()

    def get(self, path: str) -> tuple[int, Any]:
        """(0, None) while nobody listens."""
        try:
            sent = f"GET {path} HTTP/1.1\r\n".encode() + LOGIN + b"connection: close\r\n\r\n"
            answer = talk(self.port, sent).only
        except ConnectionRefusedError:
            return 0, None
        return answer.status, answer.json

    def comes_to(self, condition: Callable[[], bool], within_s: float = 120.0) -> bool:
        """False at once when the server has ended, so the time is for machines with much else to do."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline and self.process.poll() is None:
            if condition():
                return True
            time.sleep(0.05)
        return False


@contextmanager
def started(arguments: tuple[str, ...], environ: dict[str, str], output: Path) -> Iterator[Started]:
    server = Started(arguments, environ, output)
    try:
        yield server
    finally:
        server.process.terminate()
        server.process.wait(60)


def test_the_first_start_shows_an_export_line_that_works_at_once(environ: dict[str, str], tmp_path: Path) -> None:
    with (
        Sandbox("anthropic") as anthropic,
        started(FIRST_RUN, {**environ, "PROXY_PLAN_URL": anthropic.url}, tmp_path / "output") as server,
    ):
        assert server.comes_to(lambda: server.get("/ready")[0] == 200)
        line = EXPORT.search(server.shown)
        assert line is not None, server.shown
        answer = server.get(f"{line[2]}/v1/models")

    assert f"{line[1]}/admin" in server.shown
    assert PASSWORD.search(server.shown)
    assert urlsplit(line[1]).port == server.port
    assert (answer[0], len(answer[1]["data"]) > 0) == (200, True)


def test_a_second_start_shows_no_secret_and_the_first_key_still_works(environ: dict[str, str], tmp_path: Path) -> None:
    with Sandbox("anthropic") as anthropic:
        environ["PROXY_PLAN_URL"] = anthropic.url
        with started(FIRST_RUN, environ, tmp_path / "first") as server:
            assert server.comes_to(lambda: server.get("/ready")[0] == 200)
            line = EXPORT.search(server.shown)
        with started(FIRST_RUN, environ, tmp_path / "second") as again:
            assert again.comes_to(lambda: again.get("/ready")[0] == 200)
            assert line is not None
            assert again.get(f"{line[2]}/v1/models")[0] == 200

    assert "/admin" in again.shown
    assert not PASSWORD.search(again.shown) and "ak_" not in again.shown


def test_secrets_never_go_to_the_output_of_a_server_that_runs_in_the_background(environ: dict[str, str], tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "admin_app", "migrate"], cwd=ROOT, env=environ, check=True, capture_output=True)
    with started(SERVE, environ, tmp_path / "output") as server:
        assert server.comes_to(lambda: server.get("/ready")[0] == 200)

    assert not PASSWORD.search(server.shown) and "ak_" not in server.shown
    assert "serve --first-run" in server.shown


def test_serving_a_database_that_is_not_migrated_is_refused_and_the_command_named(environ: dict[str, str]) -> None:
    assert "python -m admin_app migrate" in refused(SERVE, environ)


def test_a_server_without_a_migrated_database_is_not_ready_until_it_has_one(environ: dict[str, str], tmp_path: Path) -> None:
    """As in a container that starts before its migration has run."""
    with started(GUNICORN, environ, tmp_path / "output") as server:
        assert server.comes_to(lambda: server.get("/health")[0] == 200)
        before = server.get("/ready")
        subprocess.run([sys.executable, "-m", "admin_app", "migrate"], cwd=ROOT, env=environ, check=True, capture_output=True)
        assert server.comes_to(lambda: server.get("/ready") == (200, {"status": "ready"}))

    assert before == (503, {"status": "starting"})


WRONG = {
    "PROXY_BIND": "8080",
    "PROXY_CONNECT_TIMEOUT_S": "soon",
    "PROXY_MAX_BODY_BYTES": "-1",
    "PROXY_PLAN_URL": "ftp://example.com",
    "PROXY_BUDGET_TIMEZONE": "Middle/Earth",
    "PROXY_SERVER_SECRET": "short",
    "PROXY_DRAIN_S": "500",
    "PROXY_BUGDET_TIMEZONE": "UTC",
    "PROXY_DATABASE_URL": "mysql://short@host/name",
    "PROXY_ADMIN_PASSWORD_HASH": "short and clear",
    "PROXY_LOG_LEVEL": "loud",
    "PROXY_JWT_SECRET_FILE": "/nowhere/at/all",
}


@pytest.mark.parametrize("arguments", [SERVE, FIRST_RUN, GUNICORN], ids=["serve", "first run", "gunicorn"])
def test_every_wrong_setting_is_listed_at_once(environ: dict[str, str], arguments: tuple[str, ...]) -> None:
    said = refused(arguments, {**environ, **WRONG}).splitlines()

    named = [name for name in WRONG if sum(line.startswith(name.removesuffix("_FILE") + ":") for line in said) == 1]
    assert named == list(WRONG)
    assert "short" not in "".join(said)


@pytest.mark.parametrize("arguments", [SERVE, FIRST_RUN, GUNICORN], ids=["serve", "first run", "gunicorn"])
def test_production_refuses_every_convenience(environ: dict[str, str], arguments: tuple[str, ...], tmp_path: Path) -> None:
    said = refused(arguments, {**environ, "PROXY_ENVIRONMENT": "production"})

    needed = ("SERVER_SECRET", "JWT_SECRET", "KMS_KEY_ID", "ADMIN_PASSWORD_HASH", "PUBLIC_URL", "DATABASE_URL")
    assert [name for name in needed if f"PROXY_{name}: " in said] == list(needed)
    assert not (tmp_path / "var").exists()


def test_production_starts_when_it_has_all_it_needs(environ: dict[str, str], tmp_path: Path, postgres_server: Any) -> None:
    environ |= {
        "PROXY_ENVIRONMENT": "production",
        "PROXY_SERVER_SECRET": "s" * 32,
        "PROXY_JWT_SECRET": "j" * 32,
        "PROXY_KMS_KEY_ID": "arn:aws:kms:us-east-1:000000000000:key/00000000-0000-0000-0000-000000000000",
        "PROXY_ADMIN_PASSWORD_HASH": "$2b$12$" + "x" * 53,
        "PROXY_PUBLIC_URL": "https://proxy.example.com",
        "PROXY_DATABASE_URL": postgres_server.migrated(),
        "PROXY_WORKERS": "2",
    }
    with started(SERVE, environ, tmp_path / "output") as server:
        assert server.comes_to(lambda: server.get("/ready")[0] == 200), server.shown
    postgres_server.drop(environ["PROXY_DATABASE_URL"])

    assert "https://proxy.example.com/admin" in server.shown
    assert {path.name for path in (tmp_path / "var").iterdir()} == {"metrics", "spool"}  # no local secret was made


def test_production_refuses_plain_http(environ: dict[str, str]) -> None:
    environ |= {"PROXY_ENVIRONMENT": "production", "PROXY_PUBLIC_URL": "http://proxy.example.com"}
    assert "PROXY_PUBLIC_URL: must be https" in refused(SERVE, environ)


@pytest.mark.parametrize("arguments", [SERVE, FIRST_RUN, GUNICORN], ids=["serve", "first run", "gunicorn"])
def test_two_workers_on_sqlite_are_refused(environ: dict[str, str], arguments: tuple[str, ...]) -> None:
    assert "PROXY_WORKERS: more than 1 needs PostgreSQL" in refused(arguments, {**environ, "PROXY_WORKERS": "2"})


def test_a_taken_port_is_said_in_one_line_and_no_secret_is_lost_to_it(environ: dict[str, str], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        began = machine.now()
        said = refused(FIRST_RUN, {**environ, "PROXY_BIND": taken})
        took_s = machine.now().since(began)
    with started(FIRST_RUN, environ, tmp_path / "output") as server:
        assert server.comes_to(lambda: PASSWORD.search(server.shown) is not None)

    assert taken in said and "another program listens there" in said and "PROXY_BIND" in said
    assert len(said.splitlines()) == 1
    assert took_s < 20


def test_an_address_that_is_not_ours_is_said_in_one_line(environ: dict[str, str]) -> None:
    said = refused(SERVE, {**environ, "PROXY_BIND": "192.0.2.1:8080"})
    assert "Cannot listen on 192.0.2.1:8080" in said and len(said.splitlines()) == 1
