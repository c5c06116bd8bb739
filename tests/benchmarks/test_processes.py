import os
import select
import sys

import pytest

from benchmarks.processes import DidNotStart, Stage, busy_us, cpu_us, memory_mb, read_line, worker_of

_PARENT = "import subprocess,sys; c=subprocess.Popen(['sleep','600']); print(c.pid, flush=True); sys.stdin.read()"


def test_closing_the_stage_ends_a_process_and_its_children() -> None:
    with Stage() as stage:
        process = stage.start([sys.executable, "-c", _PARENT], stage.other)
        child = int(read_line(process, 20))
        assert worker_of(process.pid) == child
        end_of_child = os.pidfd_open(child)

    assert process.returncode is not None
    assert select.select([end_of_child], [], [], 5)[0]
    os.close(end_of_child)


def test_a_process_runs_on_the_core_it_was_started_on_and_we_stay_where_we_were() -> None:
    with Stage() as stage:
        process = stage.start([sys.executable, "-c", _PARENT], stage.measured)
        child = int(read_line(process, 20))

        assert os.sched_getaffinity(child) == {stage.measured}
        assert os.sched_getaffinity(0) == {stage.other}


def test_our_own_cores_are_given_back() -> None:
    before = os.sched_getaffinity(0)

    with Stage():
        pass

    assert os.sched_getaffinity(0) == before


def test_a_process_that_says_nothing_is_reported() -> None:
    with Stage() as stage:
        silent = stage.start([sys.executable, "-c", "import sys; sys.stdin.read()"], stage.other)

        with pytest.raises(DidNotStart):
            read_line(silent, 0.2)


def test_a_process_has_used_cpu_time_and_memory() -> None:
    rss, pss = memory_mb(os.getpid())

    assert 0 < cpu_us(os.getpid()) < busy_us(0) + busy_us(1) + 1e6
    assert 1 < pss <= rss
