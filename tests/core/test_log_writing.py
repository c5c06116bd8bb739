"""Where log lines go: at once and whole, whatever the pipe or the disk does, and never waiting for who reads."""

from __future__ import annotations

import os
import resource
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from core.log import LineWriter, open_quietly
from tests import machine
from tests.core.log_lines import pipe as pipe


def read_all(fd: int) -> bytes:
    """What is in a pipe now."""
    os.set_blocking(fd, False)
    received = b""
    with suppress(BlockingIOError):
        while piece := os.read(fd, 65_536):
            received += piece
    return received


@pytest.mark.parametrize("size", [10, 900, 5000, 8191])
def test_lines_that_a_full_pipe_does_not_take_follow_later_whole_and_in_order(pipe: tuple[int, int], size: int) -> None:
    os.set_blocking(pipe[1], False)
    writer = LineWriter(pipe[1])
    lines = [b"%06d" % number + b"x" * size + b"\n" for number in range(500_000 // size)]
    for line in lines:
        writer.write(line)
    received = b""
    while len(received) < sum(map(len, lines)):
        received += read_all(pipe[0])
        writer.write(b"")
    assert (received.splitlines(keepends=True), writer.dropped) == (lines, 0)


def test_when_nobody_reads_for_long_lines_are_lost_and_counted_and_no_time_is(pipe: tuple[int, int]) -> None:
    os.set_blocking(pipe[1], False)
    writer = LineWriter(pipe[1])
    began = machine.now()
    for _ in range(2000):
        writer.write(b"x" * 8000 + b"\n")
    assert machine.now().since(began) < 2
    assert 1500 < writer.dropped < 2000
    received = b""
    while piece := read_all(pipe[0]):
        received += piece
        writer.write(b"")
    assert len(received.splitlines()) == 2000 - writer.dropped
    assert {len(line) for line in received.splitlines()} == {8000}


def test_a_descriptor_opened_quietly_never_waits_and_leaves_its_sharer_as_it_was(pipe: tuple[int, int]) -> None:
    quiet = open_quietly(pipe[1])
    with suppress(BlockingIOError):
        while os.write(quiet, b"x" * 4096):
            continue
    assert os.get_blocking(pipe[1])
    os.close(quiet)


def test_a_socket_is_made_not_to_wait_and_a_file_stays_as_it_is(tmp_path: Path) -> None:
    near, far = socket.socketpair()
    with near, far, (tmp_path / "log").open("wb") as file:
        assert open_quietly(near.fileno()) == near.fileno() and not os.get_blocking(near.fileno())
        assert open_quietly(file.fileno()) == file.fileno() and os.get_blocking(file.fileno())


def test_a_closed_pipe_is_counted_and_nothing_is_raised(pipe: tuple[int, int]) -> None:
    os.close(pipe[0])
    writer = LineWriter(pipe[1])
    writer.write(b"nobody reads\n")
    writer.write(b"still nobody\n")
    assert writer.dropped == 2


@pytest.fixture
def no_more_than(tmp_path: Path) -> Iterator[Callable[[int], None]]:
    """Lets files of this process grow so far and no further, as a full disk would."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_line_that_a_full_disk_cuts_off_does_not_spoil_the_next_one(tmp_path: Path, no_more_than: Any) -> None:
    with (tmp_path / "log").open("ab") as file:
        writer = LineWriter(file.fileno())
        no_more_than(4)
        writer.write(b"half a line\n")
        writer.write(b"lost\n")
        no_more_than(1000)
        writer.write(b"whole\n")
    assert ((tmp_path / "log").read_bytes(), writer.dropped) == (b"half\nwhole\n", 2)


def test_a_line_that_a_full_disk_cuts_off_is_completed_when_there_is_room_again(tmp_path: Path, no_more_than: Any) -> None:
    with (tmp_path / "log").open("ab") as file:
        writer = LineWriter(file.fileno())
        no_more_than(4)
        writer.write(b"half a line\n")
        no_more_than(1000)
        writer.write(b"whole\n")
    assert ((tmp_path / "log").read_bytes(), writer.dropped) == (b"half a line\nwhole\n", 0)
