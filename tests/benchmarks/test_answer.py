from hypothesis import given
from hypothesis import strategies as st

from benchmarks import messages
from benchmarks.answer import Answer

_STREAM = messages.stream_opening() + messages.stream_delta(10**12) + messages.stream_delta(10**12) + messages.stream_end(2)


@given(st.integers(1, len(_STREAM) - 1))
def test_an_answer_is_complete_at_its_last_byte_wherever_it_is_split(cut: int) -> None:
    answer = Answer()

    answer.feed(_STREAM[:cut], 0)
    complete_before_the_end = answer.complete
    answer.feed(_STREAM[cut:], 0)

    assert (complete_before_the_end, answer.complete) == (False, True)


def test_an_event_is_as_late_as_the_time_since_its_stamp() -> None:
    answer = Answer()

    answer.feed(messages.stream_opening() + messages.stream_delta(10**12), 10**12 + 250)

    assert answer.delays_ns == [250]


def test_a_refusal_is_a_fault() -> None:
    answer = Answer()

    answer.feed(messages.plan_refusal(), 0)

    assert answer.complete
    assert answer.fault == "status 429"


def test_an_answer_of_somebody_else_is_a_fault() -> None:
    answer = Answer(expect=b"x-proxy-provider: bedrock")

    answer.feed(messages.json_answer(), 0)

    assert "x-proxy-provider: bedrock" in answer.fault


def test_the_expected_header_may_be_written_in_any_case() -> None:
    answer = Answer(expect=b"x-proxy-provider: bedrock")

    answer.feed(b"HTTP/1.1 200 OK\r\nX-Proxy-Provider: bedrock\r\nContent-Length: 2\r\n\r\n{}", 0)

    assert (answer.complete, answer.fault) == (True, "")
