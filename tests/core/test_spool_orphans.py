"""Spools that a worker left behind: each is adopted once, and nothing acknowledged is lost."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from core.locked_file import FileTaken
from core.spool import Spool, open_spool
from core.under_way import adopt_orphans
from tests.core.spooling import die, drain, filled

ROOT = Path(__file__).resolve().parents[2]
WRITER = """
import sys
from pathlib import Path
from core.spool import open_spool
spool = open_spool(Path(sys.argv[1]), "worker")
number = 0
while True:
    spool.append(b'{"n":%d,"pad":"%b"}' % (number, b"x" * 500))
    sys.stdout.write(f"append {number}\\n"); sys.stdout.flush()
    number += 1
    if number % 7 == 0:
        records, position = spool.read_batch(5)
        spool.cut(position)
        sys.stdout.write(f"cut {len(records)}\\n"); sys.stdout.flush()
"""


ADOPTER = """
import sys
from pathlib import Path
from core.under_way import adopt_orphans
sys.stdin.readline()
adopted = adopt_orphans(Path(sys.argv[1]))
print(" ".join(spool.path.stem for spool in adopted), flush=True)
sys.stdin.readline()
"""


def run(script: str, directory: Path) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-c", script, str(directory)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )


def test_a_living_spool_is_neither_opened_twice_nor_adopted(tmp_path: Path) -> None:
    living = filled(tmp_path, b"a")
    with pytest.raises(FileTaken):
        Spool(tmp_path, "worker")
    assert adopt_orphans(tmp_path) == [] and living.path.exists()


def test_a_taken_name_gets_a_number(tmp_path: Path) -> None:
    assert filled(tmp_path).path != filled(tmp_path).path


def test_empty_orphans_are_cleared_away(tmp_path: Path) -> None:
    die(filled(tmp_path))
    assert adopt_orphans(tmp_path) == [] and not list(tmp_path.iterdir())


def test_a_spool_that_could_not_be_read_once_is_let_go_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    die(filled(tmp_path, b"a"))

    def broken(fd: int, size: int, at: int) -> bytes:
        raise OSError(errno.EIO, "the disk is broken")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pread", broken)
        assert adopt_orphans(tmp_path) == []
    assert [drain(orphan) for orphan in adopt_orphans(tmp_path)] == [[b"a"]]


def test_a_directory_that_is_not_there_holds_no_orphans(tmp_path: Path) -> None:
    assert adopt_orphans(tmp_path / "nowhere") == []


def test_a_file_removed_between_open_and_lock_is_not_taken_for_a_spool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    die(filled(tmp_path, b"a"))
    lock = fcntl.flock

    def removed_meanwhile(fd: int, how: int) -> None:
        (tmp_path / "worker.spool").unlink()
        lock(fd, how)

    monkeypatch.setattr(fcntl, "flock", removed_meanwhile)
    assert adopt_orphans(tmp_path) == []


def test_no_acknowledged_record_is_lost_or_comes_twice_when_the_writer_is_killed(tmp_path: Path) -> None:
    for round_number in range(8):
        directory = tmp_path / str(round_number)
        writer = run(WRITER, directory)
        assert writer.stdout is not None
        said = [writer.stdout.readline() for _ in range(60 + 13 * round_number)]
        writer.kill()
        said += writer.stdout.readlines()
        writer.wait()
        whole = [line.split() for line in said if line.endswith("\n")]
        acknowledged = 1 + max(int(number) for word, number in whole if word == "append")
        cut = sum(int(number) for word, number in whole if word == "cut")
        [orphan] = adopt_orphans(directory)
        left = [int(record[5 : record.index(b",")]) for record in drain(orphan)]
        assert left == list(range(left[0], left[-1] + 1))
        assert cut <= left[0] <= cut + 5 and acknowledged <= left[-1] + 1 <= acknowledged + 1


def test_each_orphan_is_adopted_by_one_worker_even_in_a_race(tmp_path: Path) -> None:
    names = [f"worker-{number}" for number in range(20)]
    for name in names:
        spool = open_spool(tmp_path, name)
        spool.append(b"a")
        die(spool)
    racers = [run(ADOPTER, tmp_path) for _ in range(3)]
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    adopted = [name for racer in racers if racer.stdout is not None for name in racer.stdout.readline().split()]
    for racer in racers:
        racer.communicate("end\n")
    assert sorted(adopted) == sorted(names)
