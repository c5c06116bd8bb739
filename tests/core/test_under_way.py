"""A kill leaves a record of every answer that was under way, one that the finished record always beats."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.spool import Spool, open_spool
from core.under_way import SLOT_BYTES, UnderWay, adopt_orphans
from tests.core.spooling import die, drain
from tests.mounts import remount, small_disk


def begun(spool: Spool, *names: str) -> UnderWay:
    under_way = UnderWay(spool)
    for name in names:
        under_way.begin(name, b"open " + name.encode())
    return under_way


def adopted(directory: Path) -> list[bytes]:
    return [record for orphan in adopt_orphans(directory) for record in drain(orphan)]


def size_of(spool: Spool) -> int:
    return spool.path.with_suffix(".open").stat().st_size


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return open_spool(tmp_path, "worker")


def test_what_was_under_way_is_read_after_a_kill_behind_what_was_finished(spool: Spool, tmp_path: Path) -> None:
    begun(spool, "a", "b")
    spool.append(b"finished c")
    die(spool)
    assert adopted(tmp_path) == [b"finished c", b"open a", b"open b"]
    assert adopted(tmp_path) == []


def test_an_adopter_that_is_killed_loses_nothing_either(spool: Spool, tmp_path: Path) -> None:
    begun(spool, "a")
    die(spool)
    [orphan] = adopt_orphans(tmp_path)
    die(orphan)
    assert adopted(tmp_path) == [b"open a"]


def test_a_finished_answer_leaves_nothing_once_its_slot_is_given_back(spool: Spool, tmp_path: Path) -> None:
    under_way = begun(spool, "a", "b", "c")
    under_way.end("b")
    under_way.end("c")
    under_way.tidy()
    die(spool)
    assert adopted(tmp_path) == [b"open a"]


def test_the_file_is_private_and_as_large_as_the_most_answers_at_a_time(spool: Spool) -> None:
    under_way = begun(spool)
    for number in range(1000):
        under_way.begin(str(number), b"record")
        under_way.begin("another", b"record")
        under_way.end(str(number))
    assert size_of(spool) <= 3 * SLOT_BYTES
    assert spool.path.with_suffix(".open").stat().st_mode & 0o777 == 0o600
    under_way.end("another")
    under_way.tidy()
    assert size_of(spool) == 0


def test_a_worker_that_ends_in_good_order_leaves_what_never_finished_to_the_next(spool: Spool, tmp_path: Path) -> None:
    under_way = begun(spool, "a", "b")
    under_way.end("a")
    under_way.close()
    spool.close()
    assert adopted(tmp_path) == [b"open b"]


def test_a_worker_with_nothing_under_way_leaves_no_file(spool: Spool, tmp_path: Path) -> None:
    under_way = begun(spool, "a")
    under_way.end("a")
    under_way.close()
    spool.close()
    assert not list(tmp_path.iterdir())


def test_a_second_record_of_an_answer_takes_the_place_of_the_first(spool: Spool, tmp_path: Path) -> None:
    under_way = begun(spool, "a")
    under_way.begin("a", b"longer than before")
    under_way.begin("a", b"short")
    die(spool)
    assert adopted(tmp_path) == [b"short"]


@pytest.mark.parametrize("damage", [b"", b"\n", b"00000000 x\n", b"\xff" * SLOT_BYTES, b"x" * 5])
def test_a_damaged_slot_is_skipped_and_spoils_no_other(spool: Spool, tmp_path: Path, damage: bytes) -> None:
    begun(spool, "a", "b", "c")
    with spool.path.with_suffix(".open").open("r+b") as file:
        file.seek(SLOT_BYTES)
        file.write(damage.ljust(SLOT_BYTES, b"\0"))
    die(spool)
    assert adopted(tmp_path) == [b"open a", b"open c"]


def test_a_record_that_no_slot_holds_is_refused(spool: Spool) -> None:
    assert not UnderWay(spool).begin("a", b"x" * SLOT_BYTES)


def test_a_full_disk_costs_the_protection_and_nothing_else(spool: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    under_way = begun(spool, "a")
    write = os.pwrite

    def full(fd: int, line: bytes, at: int) -> int:
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(os, "pwrite", full)
    assert not under_way.begin("b", b"open b")
    monkeypatch.setattr(os, "pwrite", write)
    assert under_way.begin("c", b"open c")
    die(spool)
    assert adopted(tmp_path) == [b"open a", b"open c"]


def test_what_began_on_a_disk_without_room_for_a_spool_is_found_all_the_same(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with small_disk(tmp_path / "disk", 64) as disk:
        remount(disk, "ro")
        spool = open_spool(disk, "worker")
        under_way = UnderWay(spool)
        assert not under_way.begin("a", b"open a")
        remount(disk, "rw")
        assert under_way.begin("b", b"open b")
        die(spool)
        assert (adopted(disk), caplog.messages) == ([b"open b"], [])


@settings(max_examples=60, deadline=None)
@given(steps=st.lists(st.tuples(st.sampled_from(["begin", "end", "tidy"]), st.integers(0, 6)), max_size=60))
def test_whatever_began_and_did_not_end_is_there_after_a_kill(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]
) -> None:
    directory = tmp_path_factory.mktemp("spool")
    spool = open_spool(directory, "worker")
    under_way, going = UnderWay(spool), set()
    for step, number in steps:
        if step == "begin":
            under_way.begin(str(number), b"open %d" % number)
            going.add(b"open %d" % number)
        elif step == "end":
            under_way.end(str(number))
            going.discard(b"open %d" % number)
        else:
            under_way.tidy()
    die(spool)
    assert going <= set(adopted(directory)) and len(under_way) == len(going)
