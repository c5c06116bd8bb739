"""A text in common between a process and its children."""

from __future__ import annotations

import os

from core.shared_text import SharedText


def test_what_a_child_writes_its_parent_and_later_children_read() -> None:
    shared = SharedText()
    assert shared.read() == ""
    in_a_child(lambda: shared.write("first, and longer"))
    in_a_child(lambda: shared.write("secönd"))

    assert shared.read() == "secönd"
    assert in_a_child(lambda: os._exit(shared.read() != "secönd")) == 0


def test_a_reader_in_the_middle_of_a_write_finds_nothing() -> None:
    shared = SharedText()
    shared.write("whole")

    shared._memory[-1:] = b"?"
    assert shared.read() == "whole"
    shared._memory[37:38] = b"?"  # the text's second letter

    assert shared.read() == ""


def test_what_is_too_long_is_not_kept() -> None:
    shared = SharedText()
    shared.write("kept")
    shared.write("x" * 20_000)

    assert shared.read() == "kept"


def in_a_child(work: object) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            work()  # type: ignore[operator]
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
