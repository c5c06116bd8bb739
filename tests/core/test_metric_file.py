"""Numbers in files survive their worker, whatever ends it, and are never counted twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from core.metric_file import Cells, open_cells, read_folder

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("a", "b", "c")
HOLD = """
import sys, time
from pathlib import Path
from core.metric_file import open_cells
cells = open_cells(Path(sys.argv[1]), ("a", "b", "c"))
for _ in range(1000):
    cells.values[1] += 1
print("counted", flush=True)
time.sleep(60)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "metrics"


@pytest.fixture
def killed_after_a_thousand(folder: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], cwd=ROOT, stdout=subprocess.PIPE)
    assert holder.stdout is not None and holder.stdout.readline() == b"counted\n"
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    holder.stdout.close()


def total(folder: Path, name: str) -> float:
    return sum(numbers.values.get(name, 0.0) for numbers in read_folder(folder))


def test_a_killed_holder_loses_no_number_and_another_goes_on(folder: Path, killed_after_a_thousand: None) -> None:
    assert ([numbers.lives for numbers in read_folder(folder)], total(folder, "b")) == ([False], 1000)
    cells = open_cells(folder, NAMES)
    cells.values[1] += 1
    assert ([numbers.lives for numbers in read_folder(folder)], total(folder, "b")) == ([True], 1001)


def test_each_holder_has_a_file_and_a_free_one_is_taken_first(folder: Path) -> None:
    first, second = open_cells(folder, NAMES), open_cells(folder, NAMES)
    first.values[0], second.values[0] = 1.0, 10.0
    first.close()
    third = open_cells(folder, NAMES)
    assert (third.path, third.values[0], len(read_folder(folder))) == (first.path, 1.0, 2)


def test_a_file_of_another_release_keeps_what_both_know(folder: Path) -> None:
    old = open_cells(folder, ("gone", "b", "a"))
    old.values[0], old.values[1], old.values[2] = 7.0, 8.0, 9.0
    old.close()
    new = open_cells(folder, NAMES)
    assert list(new.values) == [9.0, 8.0, 0.0]
    assert [dict(numbers.values) for numbers in read_folder(folder)] == [{"a": 9.0, "b": 8.0, "c": 0.0}]


@pytest.mark.parametrize("content", [b"", b"\n", b"{}\n", b'["a"]\n', b'["a", "b", "c"]\n1234567', b"\xff" * 100, b"[1, 2"])
def test_a_damaged_file_is_begun_anew(folder: Path, content: bytes) -> None:
    folder.mkdir()
    (folder / "00.metrics").write_bytes(content)
    assert total(folder, "a") == 0
    cells = open_cells(folder, NAMES)
    assert (list(cells.values), cells.path) == ([0.0, 0.0, 0.0], folder / "00.metrics")


def test_only_the_owner_can_read_it(folder: Path) -> None:
    cells = open_cells(folder, NAMES)
    assert cells.path is not None
    assert (cells.path.stat().st_mode & 0o777, folder.stat().st_mode & 0o777) == (0o600, 0o700)


def test_where_no_file_can_be_the_numbers_live_in_memory(tmp_path: Path) -> None:
    (tmp_path / "metrics").write_text("a file stands where the folder should")
    cells = open_cells(tmp_path / "metrics", NAMES)
    cells.values[2] += 5
    assert (cells.path, dict(cells.read().values)) == (None, {"a": 0.0, "b": 0.0, "c": 5.0})


def test_a_full_disk_is_noticed_when_the_file_is_made(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mapping over a hole in a file on a full disk would end the process at its first write."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    assert open_cells(folder, NAMES).path is None


def test_a_file_that_somebody_holds_is_never_taken(folder: Path) -> None:
    held: list[Cells] = [open_cells(folder, NAMES) for _ in range(20)]
    assert len({cells.path for cells in held}) == 20
