"""The linters of `.venv-lint`, as `make lint` runs them. Without that folder a test that needs one is skipped by name."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.ecs.stacks import FOLDER, ORDER, Templates

ROOT = FOLDER.parent
BIN = ROOT / ".venv-lint" / "bin"


def program(name: str) -> str:
    path = BIN / name
    if not path.exists():
        pytest.skip(f"{name} is not in .venv-lint: make setup-lint")
    return str(path)


def run(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([program(name), *arguments], cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)


def cfn_lint(*paths: Path) -> list[str]:
    """`W1234 file: message` of everything that cfn-lint finds, its warnings among it."""
    found = run("cfn-lint", "--format", "json", "--", *map(str, paths))
    return [
        f"{finding['Rule']['Id']} {Path(finding['Filename']).name}: {finding['Message']}" for finding in json.loads(found.stdout)
    ]


def checkov(folder: Path, *options: str) -> set[tuple[str, str]]:
    """(check, resource) of everything that checkov finds. It asks nothing of the network."""
    found = run("checkov", "--skip-download", "--framework", "cloudformation", "--directory", str(folder), "-o", "json", *options)
    failed = json.loads(found.stdout)["results"]["failed_checks"]
    return {(check["check_id"], check["resource"].rpartition(".")[2]) for check in failed}


def written(templates: Templates, folder: Path) -> list[Path]:
    """The templates as files; JSON is YAML, too."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name}.json" for name in ORDER]
    for name, path in zip(ORDER, paths, strict=True):
        path.write_text(json.dumps(templates[name]))
    return paths
