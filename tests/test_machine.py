"""A bound on time is what it says where nobody is in the way; what the kernel tells stretches it, and no further than is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import machine
from tests.machine import Moment


def test_nothing_is_taken_off_where_nobody_was_held_up() -> None:
    assert Moment(7.0, 3.0).since(Moment(5.0, 3.0)) == 2.0


def test_what_the_machine_was_held_up_is_taken_off() -> None:
    assert Moment(7.0, 3.5).since(Moment(5.0, 3.0)) == 1.5


def test_a_bound_is_stretched_to_two_and_a_half_times_at_most() -> None:
    assert Moment(15.0, 99.0).since(Moment(5.0, 3.0)) == 4.0


def test_a_second_takes_as_much_longer_as_the_machine_was_held_up() -> None:
    assert Moment(7.0, 4.0).stretched_since(Moment(5.0, 3.0)) == 2.0


def test_what_the_kernel_tells_is_read_in_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pressure").write_text("some avg10=0.00 avg60=0.00 avg300=0.00 total=2500000\nfull avg10=0.00 total=0\n")
    (tmp_path / "stat").write_text("cpu  1 2 3 4 5 6 7 150 0 0\ncpu0 1 2 3 4 5 6 7 8 0 0\n")
    monkeypatch.setattr(machine, "_PRESSURE", tmp_path / "pressure")
    monkeypatch.setattr(machine, "_STAT", tmp_path / "stat")
    assert machine.now().held_up == 4.0


def test_a_quicker_machine_makes_no_bound_tighter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_timed", lambda: machine._REFERENCE_S / 2)
    assert machine.slowness() == 1.0


def test_a_machine_half_as_quick_doubles_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_timed", lambda: machine._REFERENCE_S * 2)
    assert machine.slowness() == 2.0
