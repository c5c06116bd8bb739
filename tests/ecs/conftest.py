"""A desk for each test of deploy.sh."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.ecs.operators_desk import CONFIG, PLACEHOLDERS, Desk


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    (tmp_path / "aws").write_text(f"#!{sys.executable} -IS\n" + Path(__file__).with_name("fake_aws.py").read_text())
    (tmp_path / "aws").chmod(0o755)
    (tmp_path / "config.env").write_text(CONFIG)
    made = Desk(tmp_path)
    made.answers(*PLACEHOLDERS)
    return made
