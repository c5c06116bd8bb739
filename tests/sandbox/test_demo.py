"""`make demo`, as a newcomer runs it: the story is told to its end, and nothing is left behind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def test_the_demo_shows_a_fallback_without_any_account() -> None:
    told = subprocess.run(
        [sys.executable, "-m", "sandbox", "demo", "--once", "--port", "0"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert told.returncode == 0, told.stdout + told.stderr
    assert "HTTP 200 from plan" in told.stdout
    assert "HTTP 200 from bedrock, because of plan_exhausted" in told.stdout
    assert "requests that reached the plan meanwhile: 0" in told.stdout
