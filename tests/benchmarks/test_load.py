import socket
from collections.abc import Iterator
from dataclasses import replace

import pytest

from benchmarks.generator import Generator, start_upstream
from benchmarks.jobs import Job, Shape
from benchmarks.messages import EVENTS_HEADER, INTERVAL_HEADER, MESSAGES_PATH, PLAN_HEADER
from benchmarks.processes import Stage


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with Stage() as stage:
        yield stage


@pytest.fixture(scope="module")
def generator(stage: Stage) -> Generator:
    return Generator(stage)


@pytest.fixture(scope="module")
def job(stage: Stage) -> Job:
    _, port = start_upstream(stage)
    return Job(shape=Shape.SEQUENTIAL, port=port, target=MESSAGES_PATH, body_bytes=2048, streamed=False, count=3, limit_s=20)


def test_sequential_requests_are_each_timed(generator: Generator, job: Job) -> None:
    tally = generator.run(job)

    assert (tally.done, len(tally.first_byte_us), tally.faults) == (3, 3, {})


def test_the_events_of_a_stream_come_with_their_delays(generator: Generator, job: Job) -> None:
    tally = generator.run(replace(job, streamed=True, headers={EVENTS_HEADER: "4", INTERVAL_HEADER: "1"}, count=2))

    assert (tally.done, len(tally.delay_us)) == (2, 8)
    assert min(tally.delay_us) > 0


def test_a_closed_load_without_duration_asks_once_on_each_connection(generator: Generator, job: Job) -> None:
    tally = generator.run(replace(job, shape=Shape.CLOSED, concurrency=20, ramp_s=0.05))

    assert (tally.done, tally.faults) == (20, {})


def test_a_closed_load_with_a_duration_asks_again(generator: Generator, job: Job) -> None:
    tally = generator.run(replace(job, shape=Shape.CLOSED, concurrency=2, seconds=1.0))

    assert tally.done > 2


def test_an_open_load_sends_what_its_rate_and_duration_make(generator: Generator, job: Job) -> None:
    """As many connections as requests: one that is late keeps none of the others waiting."""
    tally = generator.run(replace(job, shape=Shape.OPEN, concurrency=10, rate=100, seconds=0.1))

    assert (tally.done, tally.faults) == (10, {})


@pytest.mark.parametrize("shape", [Shape.SEQUENTIAL, Shape.CLOSED])
def test_refused_requests_are_faults_and_give_no_times(generator: Generator, job: Job, shape: Shape) -> None:
    tally = generator.run(replace(job, shape=shape, concurrency=3, headers={PLAN_HEADER: "refuse"}))

    assert (tally.done, tally.first_byte_us, tally.faults) == (0, [], {"status 429": 3})


def test_answers_that_do_not_end_in_time_are_faults(generator: Generator, job: Job) -> None:
    endless = {EVENTS_HEADER: "100000", INTERVAL_HEADER: "10"}
    tally = generator.run(replace(job, shape=Shape.CLOSED, concurrency=2, streamed=True, headers=endless, limit_s=0.2))

    assert tally.faults == {"cut off by the time limit": 2}


@pytest.mark.parametrize("shape", list(Shape))
def test_a_target_that_is_not_there_is_a_fault_and_the_generator_lives_on(generator: Generator, job: Job, shape: Shape) -> None:
    with socket.socket() as bound_but_not_listening:
        bound_but_not_listening.bind(("127.0.0.1", 0))
        tally = generator.run(replace(job, shape=shape, port=bound_but_not_listening.getsockname()[1]))

    assert tally.faults == {"cannot connect (ConnectionRefusedError)": 1}
    assert generator.run(job).done == 3
