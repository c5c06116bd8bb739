"""What a worker acknowledged outlives it: kills, torn writes, full disks, and several workers at one spool."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import spool as spool_module
from core.spool import Backlog, Spool, open_spool
from core.under_way import UnderWay, adopt_orphans
from sandbox.product import ROOT
from tests.core.spooling import die, drain, filled
from tests.mounts import remount, small_disk


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


IMPORTED = """
import sys
from pathlib import Path
from core.spool import Spool
spool, known = Spool(Path(sys.argv[1]), "worker"), set(sys.modules)
for record in (b"a", b"b"):
    spool.append(record)
spool.cut(spool.read_batch(1)[1])
spool.close()
Spool(Path(sys.argv[1]), "worker").close()
print(sorted(set(sys.modules) - known))
"""


@contextmanager
def disk_full_at(size: int) -> Iterator[None]:
    """The kernel lets no file of this process grow past `size`: a write is cut short there, the next one refused."""
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, usual[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)


def test_records_come_back_in_order_until_they_are_cut(tmp_path: Path) -> None:
    spool = filled(tmp_path, b"a", b"b", b"c")
    records, position = spool.read_batch(2)
    assert (records, spool.read_batch(2)) == ([b"a", b"b"], ([b"a", b"b"], position))
    spool.cut(position)
    assert (spool.read_batch(9)[0], spool.backlog.records) == ([b"c"], 1)


def test_the_file_is_private_and_empty_once_all_is_cut(tmp_path: Path) -> None:
    spool = filled(tmp_path / "new" / "spool", b"a", b"b")
    assert spool.path.stat().st_mode & 0o777 == 0o600
    assert drain(spool) == [b"a", b"b"]
    assert spool.path.stat().st_size == 0 and spool.backlog == Backlog(0, 0, 0.0)


def test_an_empty_spool_leaves_no_file_behind(tmp_path: Path) -> None:
    spool = filled(tmp_path, b"a", b"b")
    spool.cut(spool.read_batch(1)[1])
    drain(spool)
    spool.close()
    spool.close()
    assert not list(tmp_path.iterdir())


def test_noting_and_reading_progress_imports_nothing(tmp_path: Path) -> None:
    """Progress is noted where a request ends while others are being written: in the middle of every stream."""
    done = subprocess.run([sys.executable, "-c", IMPORTED, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_what_was_cut_is_not_read_again_after_a_kill(tmp_path: Path) -> None:
    spool = filled(tmp_path, b"a", b"b", b"c")
    spool.cut(spool.read_batch(2)[1])
    die(spool)
    assert [drain(orphan) for orphan in adopt_orphans(tmp_path)] == [[b"c"]]


def test_a_kill_between_emptying_the_file_and_forgetting_the_offset_costs_nothing(tmp_path: Path) -> None:
    die(filled(tmp_path, b"a"))
    (tmp_path / "worker.offset").write_text("999999")
    assert drain(filled(tmp_path, b"b")) == [b"a", b"b"]


@pytest.mark.parametrize("offset", ["3", "-1", "x", "", "11"])
def test_an_offset_that_cannot_be_right_means_that_nothing_is_done_with(tmp_path: Path, offset: str) -> None:
    die(filled(tmp_path, b"abcdefgh", b"b"))
    (tmp_path / "worker.offset").write_text(offset)
    assert drain(open_spool(tmp_path, "worker")) == [b"abcdefgh", b"b"]


def test_a_torn_last_line_is_skipped_and_counted(tmp_path: Path) -> None:
    spool = filled(tmp_path, b"a", b"b")
    os.write(spool._fd, b'89abcdef {"half')
    die(spool)
    [orphan] = adopt_orphans(tmp_path)
    orphan.append(b"c")
    assert (drain(orphan), orphan.torn) == ([b"a", b"b", b"c"], 1)


def test_a_torn_line_longer_than_any_window_is_skipped_too(tmp_path: Path) -> None:
    spool = filled(tmp_path, b"a")
    os.write(spool._fd, b"x" * 1_500_000)
    die(spool)
    assert drain(open_spool(tmp_path, "worker")) == [b"a"]


@pytest.mark.parametrize("damage", [b"", b"zzz", b"00000000 x", b"y" * 1_500_000, b"12345678\rab", b"\x00\xff"])
def test_a_damaged_line_is_skipped_counted_once_and_spoils_no_other(tmp_path: Path, damage: bytes) -> None:
    spool = filled(tmp_path, b"a")
    os.write(spool._fd, damage + b"\n")
    die(spool)
    spool = filled(tmp_path, b"b")
    spool.read_batch(3)
    assert (drain(spool), spool.torn, spool.backlog.records) == ([b"a", b"b"], 1, 0)


@settings(max_examples=40, deadline=None)
@given(steps=st.lists(st.integers(0, 4), max_size=40))
def test_whatever_the_order_of_appends_cuts_kills_and_full_disks_each_record_is_cut_once(
    tmp_path_factory: pytest.TempPathFactory, steps: list[int]
) -> None:
    directory = tmp_path_factory.mktemp("spool")
    spool, written, cut = open_spool(directory, "worker"), 0, []
    for step in steps:
        if step == 4 and not spool.held:
            die(spool)
            spool = open_spool(directory, "worker")
        elif step == 3:
            records, position = spool.read_batch(2)
            spool.cut(position)
            cut += records
        else:
            with disk_full_at(40 if step == 2 else 10**6):
                spool.append(b"record %d" % written)
            written += 1
    assert cut + drain(spool) == [b"record %d" % number for number in range(written)]


def test_appends_between_reading_and_cutting_are_kept(tmp_path: Path) -> None:
    spool = filled(tmp_path, b"a")
    _, position = spool.read_batch(9)
    spool.append(b"b")
    spool.cut(position)
    assert drain(spool) == [b"b"]


def test_under_steady_load_the_file_does_not_grow_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool_module, "_COMPACT_BYTES", 1000)
    spool, seen, largest = filled(tmp_path, b"first"), [], 0
    for number in range(500):
        records, position = spool.read_batch(9)
        spool.append(b"record %d" % number)
        spool.cut(position)
        seen += records
        largest = max(largest, spool.path.stat().st_size)
    die(spool)
    assert largest < 2000
    assert seen + [record for orphan in adopt_orphans(tmp_path) for record in drain(orphan)] == [
        b"first",
        *[b"record %d" % number for number in range(500)],
    ]


def test_a_full_disk_leaves_no_half_line_and_memory_takes_over(tmp_path: Path) -> None:
    spool = filled(tmp_path, b"a" * 30)
    with disk_full_at(50):
        spool.append(b"b" * 30)
        spool.append(b"c" * 30)
        assert (spool.held, spool.lost, spool.backlog.records) == (2, 0, 3)
        assert spool.read_batch(9)[0] == [b"a" * 30, b"b" * 30, b"c" * 30]
    spool.append(b"d" * 30)
    assert spool.held == 0
    die(spool)
    assert [drain(orphan) for orphan in adopt_orphans(tmp_path)] == [[b"a" * 30, b"b" * 30, b"c" * 30, b"d" * 30]]


def test_what_memory_holds_is_read_and_cut_while_the_disk_is_still_full(tmp_path: Path) -> None:
    spool = filled(tmp_path, b"a" * 30)
    with disk_full_at(40):
        for letter in (b"b", b"c", b"d"):
            spool.append(letter * 30)
        records, position = spool.read_batch(3)
        spool.cut(position)
        assert (len(records), spool.held, spool.backlog.records, spool.backlog.bytes) == (3, 1, 1, 40)
        spool.append(b"e")
    assert drain(spool) == [b"d" * 30, b"e"]


def test_memory_is_bounded_and_what_it_refuses_is_counted(tmp_path: Path) -> None:
    spool = Spool(tmp_path, "worker", most_held_bytes=100)
    with disk_full_at(0):
        for _ in range(5):
            spool.append(b"x" * 40)
    assert (spool.held, spool.lost, spool.backlog.records) == (2, 3, 2)


def test_the_backlog_knows_the_age_of_its_oldest_record(tmp_path: Path) -> None:
    clock = Clock()
    spool = Spool(tmp_path, "worker", clock=clock)
    for letter in (b"a", b"b", b"c"):
        spool.append(letter)
        clock.now += 10
    assert spool.backlog == Backlog(3, 33, 30.0)
    spool.cut(spool.read_batch(2)[1])
    assert spool.backlog == Backlog(1, 11, 10.0)


def test_an_hour_that_the_clock_is_put_back_hides_no_backlog(tmp_path: Path) -> None:
    clock = Clock()
    spool = Spool(tmp_path, "worker", clock=clock)
    spool.append(b"a")
    clock.now -= 3600
    spool.append(b"b")
    spool.cut(spool.read_batch(1)[1])
    clock.now += 120
    assert spool.backlog == Backlog(1, 11, 120.0)


def turn_read_only(spool: Spool) -> None:
    """As a disk does that has errors: what is there can be read, and nothing else."""
    readable = os.open(spool.path, os.O_RDONLY)
    os.dup2(readable, spool._fd)
    os.close(readable)


def test_a_disk_that_turns_read_only_holds_no_record_up(tmp_path: Path) -> None:
    spool = filled(tmp_path, b"a", b"b")
    turn_read_only(spool)
    spool.append(b"c")
    assert drain(spool) == [b"a", b"b", b"c"]
    spool.append(b"d")
    assert (spool.held, drain(spool), spool.lost) == (1, [b"d"], 0)
    assert spool.backlog == Backlog(0, 0, 0.0)


def test_what_a_read_only_disk_kept_is_known_to_be_done_with(tmp_path: Path) -> None:
    spool = filled(tmp_path, b"a", b"b")
    turn_read_only(spool)
    drain(spool)
    die(spool)
    assert drain(open_spool(tmp_path, "worker")) == []


def test_a_worker_that_begins_on_a_read_only_disk_keeps_its_records_in_memory_until_it_can_be_written_to(tmp_path: Path) -> None:
    """Else it could not begin, and a worker that cannot makes gunicorn end all the others."""
    with small_disk(tmp_path / "disk", 64) as disk:
        remount(disk, "ro")
        spool = open_spool(disk, "worker")
        UnderWay(spool).begin("a", b"open a")
        spool.append(b"a")
        assert (spool.held, drain(spool), spool.backlog) == (1, [b"a"], Backlog(0, 0, 0.0))
        spool.append(b"b")
        remount(disk, "rw")
        spool.append(b"c")
        assert (spool.held, spool.lost) == (0, 0)
        die(spool)
        assert [drain(orphan) for orphan in adopt_orphans(disk)] == [[b"b", b"c"]]


def test_a_spool_that_never_had_a_file_is_closed_like_any_other(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 64) as disk:
        remount(disk, "ro")
        spool = filled(disk / "new" / "spool", b"a")
        spool.close()
        assert (spool.held, not list(disk.iterdir())) == (1, True)


def test_a_folder_that_may_not_be_used_is_refused_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        open_spool(tmp_path / "file", "worker")
