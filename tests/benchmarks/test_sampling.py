import pytest

from benchmarks.sampling import describe, library_of, sum_up

_RAW = """\
run (gevent/hub.py:10);handle (gunicorn/workers/base.py:20);feed (proxy_app/meter.py:5) 30
run (gevent/hub.py:10);handle (gunicorn/workers/base.py:20);feed (proxy_app/meter.py:7) 10
run (gevent/hub.py:10);handle (gunicorn/workers/base.py:21) 60
"""


def test_own_time_belongs_to_the_innermost_function_and_callees_count_for_their_callers() -> None:
    stacks = sum_up(_RAW)

    assert stacks.samples == 100
    assert stacks.own == {"feed (proxy_app/meter.py)": 40, "handle (gunicorn/workers/base.py)": 60}
    assert stacks.total["handle (gunicorn/workers/base.py)"] == 100
    assert stacks.libraries == {"proxy_app": 40, "gunicorn": 60}


def test_a_function_that_calls_itself_counts_once() -> None:
    stacks = sum_up("walk (core/a.py:1);walk (core/a.py:1);walk (core/a.py:2) 7\n")

    assert stacks.total == {"walk (core/a.py)": 7}


def test_threads_of_the_pool_that_wait_for_work_are_left_out() -> None:
    assert sum_up("get (gevent/_threading.py:9);acquire_with_timeout (gevent/_threading.py:36) 900\n").samples == 0


def test_lines_that_are_no_stacks_are_passed_over() -> None:
    assert sum_up("\nnot a stack\n").samples == 0


@pytest.mark.parametrize(
    ("file", "library"),
    [
        ("proxy_app/bedrock/wire.py", "proxy_app"),
        ("wsgi.py", "wsgi.py"),
        ("falcon/app.py", "falcon"),
        ("socket.py", "standard library"),
        ("json/decoder.py", "json"),
    ],
)
def test_a_file_belongs_to_its_package(file: str, library: str) -> None:
    assert library_of(file) == library


def test_the_description_names_the_hottest_line_of_the_costliest_function() -> None:
    lines = describe(sum_up(_RAW))

    costliest = next(line for line in lines if "feed" in line)
    assert costliest.split()[:2] == ["40.0", "40.0"]
    assert ":5 30.0" in costliest
