"""The image as a registry would get it: every line of the Dockerfile carried out, and what came of it run as a container.

Built and run by Debian's podman with crun; the base image is stood for by a fresh Debian root (tests/prove/engine.py).
"""

from __future__ import annotations

import http.client
import json
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sandbox.client import Sandbox
from sandbox.product import ROOT, free_port
from tests.live.asking import ask
from tests.live.leaver import Line, eventually
from tests.prove.engine import BASE, Engine, build, engine

pytestmark = [pytest.mark.image, pytest.mark.timeout(1200)]

DATA = "/var/lib/claude-code-proxy"
READ_ONLY = ("--read-only", "--read-only-tmpfs=false", "--tmpfs=/tmp", "--cap-drop=all", "--security-opt=no-new-privileges")
COMPILER = r".*/bin/([\w-]+-gnu-)?(gcc|g\+\+|cc|c\+\+|cpp|clang|tcc|ld|as|make|rustc|cargo|go)(-[\d.]+)?"
# Where the user may write, with the kernel's own places left out; a folder stands for all that is in it.
WRITABLE = """
import os
def below(folder):
    for entry in os.scandir(folder):
        if entry.is_symlink() or entry.path in ("/proc", "/sys", "/dev"):
            continue
        if os.access(entry.path, os.W_OK):
            print(entry.path)
        elif entry.is_dir() and os.access(entry.path, os.R_OK | os.X_OK):
            below(entry.path)
below("/")
"""


@pytest.fixture(scope="module")
def podman() -> Iterator[Engine]:
    with engine() as opened:
        yield opened


@pytest.fixture(scope="module")
def image(podman: Engine) -> Iterator[str]:
    yield build(podman, ROOT, "localhost/claude-code-proxy:proof")
    podman.command("rmi", "--force", "localhost/claude-code-proxy:proof", check=False)


@dataclass
class Container:
    """The image's own command, on SQLite, with stand-ins for both upstreams."""

    podman: Engine
    anthropic: Sandbox
    port: int
    base_url: str = ""

    def cli(self, *words: str) -> Any:
        done = self.podman.command("exec", "--interactive", "proxy", "python", "-m", "admin_app", *words, "--json")
        return json.loads(done.stdout)

    def get(self, path: str) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        except OSError:
            return 0
        finally:
            connection.close()


@pytest.fixture(scope="module")
def container(podman: Engine, image: str) -> Iterator[Container]:
    with Sandbox("anthropic") as anthropic, Sandbox("bedrock") as bedrock:
        port = free_port()
        settings = {
            "PROXY_ENVIRONMENT": "local",
            "PROXY_BIND": f"127.0.0.1:{port}",
            "PROXY_PLAN_URL": anthropic.url,
            "PROXY_BEDROCK_URL": bedrock.url,
        }
        options = [*READ_ONLY, f"--volume={podman.volume('proof')}:{DATA}", *(f"--env={n}={v}" for n, v in settings.items())]
        podman.run(*options, image, "python", "-m", "admin_app", "migrate")
        podman.start("proxy", *options, image)
        started = Container(podman, anthropic, port)
        eventually(lambda: started.get("/ready") == 200, 30)
        started.cli("user", "add", "ann")
        key = started.cli("key", "issue", "--user", "ann")["access_key"]
        started.base_url = f"http://127.0.0.1:{port}/ak/{key}"
        yield started


def files_of(podman: Engine, image: str) -> set[str]:
    words = ("--user=0", "--entrypoint=find", image, "/", "-xdev", "(", "-path", "/proc", "-o", "-path", "/sys", ")", "-prune")
    return set(podman.run(*words, "-o", "-print").stdout.splitlines())


def test_the_image_says_how_it_is_run(podman: Engine, image: str) -> None:
    config = podman.inspect(image)["Config"]

    assert config["Cmd"] == ["python", "-m", "gunicorn", "-c", "gunicorn.conf.py", "wsgi:create_app()"]
    assert config.get("Entrypoint") in (None, [])
    assert (config["User"], config["WorkingDir"], config["StopSignal"]) == ("10001:10001", "/app", "SIGTERM")
    assert set(config["Volumes"]) == {DATA, "/tmp"}
    assert set(config["ExposedPorts"]) == {"8080/tcp"}
    assert "PROXY_ENVIRONMENT=production" in config["Env"]
    labels = {name.rpartition(".")[2] for name in config["Labels"] if name.startswith("org.opencontainers.image.")}
    assert labels >= {"title", "description", "licenses", "version", "revision"}


def test_the_image_adds_code_packages_and_the_data_folder_to_its_base_and_nothing_else(podman: Engine, image: str) -> None:
    added = files_of(podman, image) - files_of(podman, BASE)

    assert {path for path in added if not path.startswith(("/app", "/opt/venv"))} == {DATA}
    assert {Path(path).parts[2] for path in added if path.startswith("/app/")} == {
        *("LICENSE", "admin_app", "core", "gunicorn.conf.py", "migrations", "proxy_app", "templates", "wsgi.py"),
        "__pycache__",
    }
    assert any(path.startswith("/opt/venv/lib/python3.11/site-packages/django_htmx/static/") for path in added)


def test_neither_a_compiler_nor_a_pip_of_its_own_nor_a_cache_of_pip_is_in_the_image(podman: Engine, image: str) -> None:
    files = files_of(podman, image)
    kept = {path for path in files - files_of(podman, BASE) if path.endswith(".whl") or "/.cache" in path}
    pip = podman.run(image, "python", "-m", "pip", "--version", check=False)

    assert [path for path in files if re.fullmatch(COMPILER, path)] == []
    assert kept == set()
    assert "No module named pip" in pip.stderr


def test_an_image_that_is_told_nothing_refuses_to_serve_and_lists_why(podman: Engine, image: str) -> None:
    done = podman.run(*READ_ONLY, image, check=False)

    assert done.returncode == 1
    needed = ("SERVER_SECRET", "JWT_SECRET", "KMS_KEY_ID", "ADMIN_PASSWORD_HASH", "PUBLIC_URL", "DATABASE_URL")
    assert [name for name in needed if f"PROXY_{name}: " in done.stderr] == list(needed)


def test_it_serves_on_a_read_only_root_as_a_user_without_a_name(container: Container) -> None:
    assert container.get("/ready") == 200
    assert ask(container).came_from_plan
    assert ask(container, stream=False).came_from_plan
    assert container.podman.command("exec", "proxy", "id", "-u").stdout.strip() == "10001"


def test_its_user_may_write_to_the_data_folder_and_for_a_moment_to_tmp_and_nowhere_else(
    container: Container, podman: Engine, image: str
) -> None:
    found = podman.command("exec", "proxy", "python", "-c", WRITABLE).stdout.split()
    on_a_root_that_is_not_read_only = podman.run("--volume=/dev/null:/none", image, "python", "-c", WRITABLE).stdout.split()

    assert sorted(found) == ["/tmp", DATA]
    assert [path for path in on_a_root_that_is_not_read_only if path.startswith(("/app", "/opt", "/usr", "/etc"))] == []


def test_its_health_check_tells_a_server_from_none(container: Container, podman: Engine) -> None:
    test = podman.inspect("proxy")["Config"]["Healthcheck"]["Test"]
    elsewhere = podman.command("exec", "--env=PROXY_BIND=127.0.0.1:1", "proxy", *test[1:], check=False)

    assert test[0] == "CMD"
    assert podman.command("healthcheck", "run", "proxy").returncode == 0
    assert elsewhere.returncode == 1


def test_told_to_stop_it_ends_its_stream_first_and_then_cleanly(container: Container, podman: Engine) -> None:
    """The last test of the file: the container is gone."""
    with ThreadPoolExecutor(1) as others, Line(container.base_url) as line:
        line.ask(headers={"x-sandbox-fault": "slow_stream;events=40;delay=0.05"}).read_head()
        stopping = others.submit(podman.command, "stop", "--time=60", "proxy")
        text, began = line.body(), time.monotonic()
        stopping.result()

    assert (line.status, b"event: message_stop" in text) == (200, True)
    assert time.monotonic() - began < 20
    assert podman.inspect("proxy")["State"]["ExitCode"] == 0
    log = podman.command("logs", "proxy").stdout
    assert [line for line in log.splitlines() if not line.startswith("{")] == []
    assert '"level":"ERROR"' not in log
