"""SIGHUP in the night: settings that cannot be used change nothing, and the log says which; good ones are in force thereafter."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.live.asking import ask
from tests.live.leaver import eventually

GOOD = {
    "PLAN_PATIENCE_S": "3",
    "DRAIN_S": "5",
    "SERVER_SECRET": "s" * 40,
    "MAX_BODY_BYTES": "100000",
    "DATABASE_URL": "",
    "KMS_KEY_ID": "",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("settings")


@pytest.fixture(scope="module")
def product_settings(folder: Path) -> dict[str, str]:
    """Each from a file, as an orchestrator mounts them."""
    write(folder, GOOD)
    return {"PROXY_GRACEFUL_TIMEOUT_S": "20"} | {f"PROXY_{name}_FILE": str(folder / name) for name in GOOD}


@pytest.fixture
def stack(running: Any, folder: Path) -> Iterator[Any]:
    running.settings = running.settings.__class__(data_dir=running.settings.data_dir, server_secret=GOOD["SERVER_SECRET"])
    yield running
    write(folder, GOOD)


def write(folder: Path, values: dict[str, str]) -> None:
    for name, value in values.items():
        (folder / name).write_text(value)


def complaints(stack: Any) -> list[str]:
    return [line["message"] for line in stack.product.logs() if line["level"] == "ERROR" and "SIGHUP" in line["message"]]


def reloaded(stack: Any) -> str:
    """What the log says of a SIGHUP that changes nothing."""
    before = len(complaints(stack))
    stack.product.signal(signal.SIGHUP)
    [said] = eventually(lambda: complaints(stack)[before:])
    return str(said)


def are_again(stack: Any, workers: list[int]) -> bool:
    """The same, and nobody else: the process that tried the settings may take a moment to be gone."""
    return bool(eventually(lambda: stack.product.worker_pids() == workers))


BAD = [
    ("a value", {"PLAN_PATIENCE_S": "soon"}),
    ("a secret", {"SERVER_SECRET": "short"}),
    ("an address", {"DATABASE_URL": "postgresql://u@127.0.0.1:port/name"}),
    ("a contradiction", {"DRAIN_S": "500"}),
]


@pytest.mark.parametrize(("what", "changed"), BAD, ids=[what for what, _ in BAD])
def test_a_setting_that_cannot_be_used_leaves_every_worker_as_it_is(
    stack: Any, folder: Path, what: str, changed: dict[str, str]
) -> None:
    developer, workers = stack.developer(), stack.product.worker_pids()
    write(folder, changed)
    said = reloaded(stack)

    assert [name for name in changed if f"PROXY_{name}: " not in said] == []
    assert are_again(stack, workers)
    assert ask(developer).came_from_plan


def test_every_problem_is_in_one_line_also_of_a_file_that_is_gone(stack: Any, folder: Path) -> None:
    wrong = {name: value for _, changed in BAD for name, value in changed.items()}
    write(folder, wrong)
    (folder / "MAX_BODY_BYTES").unlink()
    said = reloaded(stack)

    assert [name for name in (*wrong, "MAX_BODY_BYTES") if f"PROXY_{name}: " not in said] == []
    assert "short" not in said.replace("shorter", "")


NO_WORKER_STARTS = [
    ("a KMS key of no region", {"KMS_KEY_ID": "alias/no-region-anywhere"}, "PROXY_KMS_KEY_ID: must be the key's ARN"),
    ("another server secret", {"SERVER_SECRET": "t" * 40}, "this database belongs to another server_secret"),
    ("another SQLite file", {"DATABASE_URL": "sqlite:///other.sqlite"}, "the SQLite file cannot change while the server runs"),
]


@pytest.mark.parametrize(("what", "changed", "reason"), NO_WORKER_STARTS, ids=[what for what, *_ in NO_WORKER_STARTS])
def test_good_settings_with_which_no_worker_can_start_change_nothing(
    stack: Any, folder: Path, what: str, changed: dict[str, str], reason: str
) -> None:
    developer, workers = stack.developer(), stack.product.worker_pids()
    write(folder, changed)
    said = reloaded(stack)

    assert reason in said
    assert are_again(stack, workers)
    assert ask(developer).came_from_plan


def test_trying_a_reload_leaves_nothing_behind(stack: Any, folder: Path) -> None:
    spools = stack.product.data_dir / "var" / "spool"
    before = sorted(path.name for path in spools.iterdir())
    write(folder, {"KMS_KEY_ID": "alias/no-region-anywhere"})
    reloaded(stack)

    assert sorted(path.name for path in spools.iterdir()) == before
    assert [line for line in stack.product.logs() if line["message"] == "took over a spool"] == []


def test_a_later_reload_with_good_settings_takes_effect(stack: Any, folder: Path) -> None:
    developer = stack.developer()
    write(folder, {"DRAIN_S": "500"})
    reloaded(stack)
    workers = stack.product.worker_pids()
    write(folder, {**GOOD, "MAX_BODY_BYTES": "20"})
    stack.product.signal(signal.SIGHUP)
    eventually(lambda: not set(workers) & set(stack.product.worker_pids()), 30)

    assert ask(developer).status == 413
