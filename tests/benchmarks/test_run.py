"""The whole benchmark as `make bench` starts it, in its quick form: real processes, real product."""

import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.__main__ import PARTS
from benchmarks.nginx import find_nginx

_ROOT = Path(__file__).resolve().parents[2]
_BENCH = [sys.executable, "-m", "benchmarks", "--quick"]


def test_a_quick_run_measures_every_part_without_a_fault(tmp_path: Path) -> None:
    report = tmp_path / "bench.json"

    ran = subprocess.run([*_BENCH, "--json", str(report)], cwd=_ROOT, capture_output=True, text=True, timeout=280, check=False)

    assert ran.returncode == 0, ran.stdout + ran.stderr
    sections = json.loads(report.read_bytes())["sections"]
    assert list(sections) == list(PARTS)
    assert {name for name, section in sections.items() if section["bars"]} == set(PARTS)


@pytest.mark.skipif(find_nginx() is None, reason="nginx is not installed")
def test_without_the_product_direct_and_nginx_are_compared() -> None:
    command = [*_BENCH, "--targets", "nginx", "--only", "latency"]

    ran = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, timeout=280, check=False)

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert {line.split()[0] for line in ran.stdout.splitlines() if " KB " in line} == {"direct", "nginx"}


def test_where_nginx_is_not_installed_its_row_says_so(tmp_path: Path) -> None:
    command = [*_BENCH, "--targets", "nginx", "--only", "latency", "--nginx", str(tmp_path / "nowhere")]

    ran = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, timeout=280, check=False)

    assert any(line.split()[:3] == ["nginx", "not", "installed"] for line in ran.stdout.splitlines()), ran.stdout


def test_an_interrupted_run_leaves_no_process_behind() -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # what a shell starts in the background ignores it
    run = subprocess.Popen([*_BENCH, "--targets", "direct"], cwd=_ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    signal.signal(signal.SIGINT, before)
    assert run.stdout is not None
    with run, run.stdout:
        _read_until(run.stdout.fileno(), b"memory:")
        ends = [os.pidfd_open(child) for child in _children(run.pid)]
        run.send_signal(signal.SIGINT)
        status = run.wait(30)

    assert len(ends) == 2
    assert sorted(select.select(ends, [], [], 0)[0]) == sorted(ends)
    assert status == 130


def test_a_run_that_takes_too_long_ends_itself() -> None:
    command = [*_BENCH, "--targets", "direct", "--limit", "2"]

    ran = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, timeout=280, check=False)

    assert ran.returncode == 1
    assert "not done after 2 s" in ran.stderr


def _read_until(fd: int, mark: bytes) -> None:
    seen = b""
    while mark not in seen:
        received = os.read(fd, 65_536)
        assert received, seen
        seen += received


def _children(pid: int) -> list[int]:
    return [int(text) for text in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
