"""What can be said of the image and of compose.yaml without building anything; the rest is in tests/prove/test_image.py."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from admin_app.__main__ import become_gunicorn
from core.settings import Settings, describe_settings, load_settings
from core.version import VERSION

ROOT = Path(__file__).resolve().parent.parent
DOCKERFILE = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
GIVEN = {"DATABASE_PASSWORD": "0123456789abcdef", "PROXY_PUBLIC_URL": "https://proxy.example.com"}


def copied() -> set[str]:
    """What the Dockerfile takes from the checkout."""
    lines = re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE)
    return {word for line in lines for word in line.split()[:-1]}


def test_everything_that_runs_is_copied_and_nothing_that_is_for_tests() -> None:
    wanted = {"wsgi.py", "gunicorn.conf.py", "core", "proxy_app", "admin_app", "migrations", "templates"}
    assert copied() == wanted | {"LICENSE", "requirements.txt", "requirements-assets.txt"}


def test_the_builder_is_sent_what_is_copied_and_nothing_else() -> None:
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert (lines[0], lines[-1]) == ("*", "**/__pycache__")
    assert sorted(lines[1:-1]) == sorted(f"!{name}" for name in copied())


def test_the_label_of_the_version_is_the_version() -> None:
    assert re.findall(r"^ARG VERSION=(.+)$", DOCKERFILE, re.MULTILINE) == [VERSION]


def test_its_command_is_gunicorn_itself_as_serve_starts_it(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr(os, "execve", lambda program, words, environ: started.append(words[1:]))
    monkeypatch.chdir(ROOT)
    become_gunicorn({})

    [command] = re.findall(r"^CMD (.+)$", DOCKERFILE, re.MULTILINE)
    assert json.loads(command) == ["python", *started[0]]


def test_its_pages_are_compiled_before_it_runs(tmp_path: Path) -> None:
    for name in ("core", "templates"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    [code] = re.findall(r"""/opt/venv/bin/python -c "(.+?)"( |$)""", DOCKERFILE, re.MULTILINE)
    subprocess.run([sys.executable, "-c", code[0]], cwd=tmp_path, check=True)

    kept = list((tmp_path / "templates" / "__pycache__").iterdir())
    assert len(kept) == len(list((tmp_path / "templates").rglob("*.html")))


def test_packages_are_wheels_with_hashes_alone() -> None:
    installs = re.findall(r"install ([^&\n]+)", DOCKERFILE)
    assert len([each for each in installs if "--only-binary :all:" in each and "--require-hashes" in each]) == 2
    assets = (ROOT / "requirements-assets.txt").read_text()
    pinned = re.findall(r"^(\S+==\S+)(?: \\\n +--hash=sha256:[0-9a-f]{64})+$", assets, re.MULTILINE)
    assert pinned == ["django-htmx==1.29.0"]


def composed(**given: str) -> subprocess.CompletedProcess[str]:
    """compose.yaml as a real docker-compose understands it."""
    program = shutil.which("docker-compose")
    if program is None:
        pytest.skip("docker-compose is not installed (Debian package docker-compose)")
    words = [program, "--project-directory", str(ROOT), "-f", str(ROOT / "compose.yaml"), "config"]
    return subprocess.run(words, env={"PATH": os.environ["PATH"], **given}, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    done = composed(**GIVEN)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = yaml.safe_load(done.stdout)["services"]
    return found


@pytest.mark.parametrize("missing", sorted(GIVEN))
def test_compose_says_what_is_missing_and_where_it_is_explained(missing: str) -> None:
    done = composed(**{name: value for name, value in GIVEN.items() if name != missing})
    assert done.returncode != 0
    assert "docs/docker.md" in done.stderr


def test_every_service_is_bound_to_what_it_needs(services: dict[str, Any]) -> None:
    bound = {(s["read_only"], *s["cap_drop"], *s["security_opt"]) for s in services.values()}

    assert bound == {(True, "ALL", "no-new-privileges:true")}
    assert services["database"]["user"] == "999:999"
    assert {name for name, service in services.items() if "user" in service} == {"database"}  # the image has its own
    assert {name: service["restart"] for name, service in services.items()} == {
        "database": "unless-stopped",
        "migrate": "no",
        "proxy": "unless-stopped",
    }


def test_the_proxy_comes_after_the_migration_and_that_after_the_database(services: dict[str, Any]) -> None:
    waits = {name: {on: how["condition"] for on, how in s.get("depends_on", {}).items()} for name, s in services.items()}

    assert waits["migrate"] == {"database": "service_healthy"}
    assert waits["proxy"] == {"database": "service_healthy", "migrate": "service_completed_successfully"}
    assert services["migrate"]["command"] == ["python", "-m", "admin_app", "migrate"]


def test_only_the_proxy_is_reachable_and_that_from_this_machine_alone(services: dict[str, Any]) -> None:
    assert {name: s["ports"] for name, s in services.items() if "ports" in s} == {"proxy": ["127.0.0.1:8080:8080/tcp"]}


def test_the_proxy_is_given_the_time_that_it_drains(services: dict[str, Any]) -> None:
    minutes, seconds = re.fullmatch(r"(?:(\d+)m)?(?:(\d+)s)?", services["proxy"]["stop_grace_period"]).groups("0")
    assert int(minutes) * 60 + int(seconds) > Settings().graceful_timeout_s


@pytest.mark.parametrize("name", ["proxy", "migrate"])
def test_the_settings_of_compose_are_settings_that_work(services: dict[str, Any], name: str) -> None:
    of_image = dict(re.findall(r"(PROXY_\w+)=(\S+)", DOCKERFILE))
    loaded = load_settings({**of_image, **services[name]["environment"]})

    assert (loaded.environment, loaded.workers, loaded.bind) == ("local", 2, "0.0.0.0:8080")
    assert (loaded.database_host, loaded.public_url) == ("database", GIVEN["PROXY_PUBLIC_URL"])
    assert set(of_image) <= {setting for setting, *_ in describe_settings()}
    assert [volume.split(":")[1] for volume in services[name]["volumes"]] == [of_image["PROXY_DATA_DIR"]]
