"""Image and task definition agree: what the one declares is what the other relies on. Fargate has no other way to be told."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.ecs.reading import container
from tests.ecs.stacks import FOLDER, Stacks

DOCKERFILE = FOLDER.parent / "Dockerfile"
TASK = container(Stacks(), "ProxyTask")


@pytest.fixture(scope="module")
def last_stage() -> str:
    return re.split(r"^FROM ", DOCKERFILE.read_text(), flags=re.MULTILINE)[-1]


def listed(stage: str, instruction: str) -> list[Any]:
    """The argument of the last such instruction in its exec form, a JSON list."""
    found = re.findall(rf"^(?:    )?{instruction} (\[.*\])$", stage, re.MULTILINE)
    parsed: list[Any] = json.loads(found[-1]) if found else []
    return parsed


def test_the_image_runs_as_the_user_of_the_task(last_stage: str) -> None:
    assert re.findall(r"^USER (\S+)$", last_stage, re.MULTILINE)[-1:] == [TASK["User"]]


def test_the_image_declares_every_volume_of_the_task(last_stage: str) -> None:
    """Otherwise they belong to root, and the proxy could not write (ECS developer guide, "bind mounts")."""
    assert set(listed(last_stage, "VOLUME")) >= {mount["ContainerPath"] for mount in TASK["MountPoints"]}


def test_the_command_is_in_exec_form_so_that_gunicorn_gets_the_signal(last_stage: str) -> None:
    assert listed(last_stage, "CMD")[:3] == ["python", "-m", "gunicorn"]
    assert "EntryPoint" not in TASK
    assert "Command" not in TASK


def test_nothing_stands_before_the_commands_of_migration_and_desk(last_stage: str) -> None:
    assert re.findall(r"^ENTRYPOINT", last_stage, re.MULTILINE) == []
