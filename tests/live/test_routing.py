"""Who answers, by what the Plan does (SPEC section 4, the table): every row, streamed and not, through the running product.

The rows about time are in test_limits.py, what circuits do after that in test_circuits_live.py.
"""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.client import RecordedAnswer
from tests.live.asking import OPUS, Answer, ask, line_of, post, question, trace_of, was_skipped

STREAMS = pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])

OPENS_ALL = [
    pytest.param("plan_exhausted", {"claim": "five_hour"}, "plan_exhausted", id="five_hour"),
    pytest.param("plan_exhausted", {"claim": "seven_day"}, "plan_exhausted", id="seven_day"),
    pytest.param("plan_exhausted", {"claim": "none"}, "plan_exhausted", id="no claim"),
]
COUNTS = [
    pytest.param("throttle", {}, "plan_throttled", id="throttle"),
    pytest.param("overloaded", {}, "plan_overloaded", id="529"),
    pytest.param("error_500", {}, "plan_error", id="500"),
    pytest.param("error_502", {}, "plan_error", id="502 html"),
    pytest.param("error_503", {}, "plan_error", id="503"),
    pytest.param("error_504", {}, "plan_error", id="504 html"),
    pytest.param("error_520", {}, "plan_error", id="520 html"),
    pytest.param("reset_before_headers", {}, "plan_unreachable", id="reset"),
    pytest.param("eof_before_headers", {}, "plan_unreachable", id="eof"),
    pytest.param("refuse", {}, "plan_unreachable", id="refused"),
    pytest.param("first_event_error", {"type": "overloaded_error"}, "plan_overloaded", id="first event overloaded"),
    pytest.param("first_event_error", {"type": "rate_limit_error"}, "plan_throttled", id="first event rate limit"),
    pytest.param("first_event_error", {"type": "api_error"}, "plan_error", id="first event api_error"),
]
COUNTS_NOT = [
    pytest.param("http_402", {}, "plan_entitlement", id="402"),
    pytest.param("long_context", {}, "plan_entitlement", id="long context"),
    pytest.param("long_context", {"unified": "allowed"}, "plan_entitlement", id="long context of a plan"),
]
PASSED = [
    pytest.param("http_400", 400, "rejected", id="400"),
    pytest.param("http_401", 401, "plan_auth", id="401"),
    pytest.param("http_403", 403, "plan_auth", id="403"),
    pytest.param("http_404", 404, "rejected", id="404"),
    pytest.param("http_413", 413, "rejected", id="413"),
]


@pytest.fixture
def stack(stack: Any) -> Any:
    """Five keys that cannot reach the Plan within 30 s close it to the whole worker; a request that is served disproves that."""
    assert ask(stack.developer()).came_from_plan
    stack.anthropic.reset()
    return stack


@STREAMS
@pytest.mark.parametrize(("fault", "arguments", "named"), OPENS_ALL)
def test_a_plan_that_is_used_up_falls_back_and_is_not_asked_again_for_any_family(
    stack: Any, stream: bool, fault: str, arguments: dict[str, Any], named: str
) -> None:
    developer = stack.developer()
    stack.anthropic.fault(fault, reset=600, **arguments)
    first, same, other = ask(developer, stream=stream), ask(developer, stream=stream), ask(developer, stream=stream, model=OPUS)
    assert [each.came_from_bedrock(named) for each in (first, same, other)] == [True] * 3
    assert len(stack.plan_posts()) == 1
    assert f"plan:{named}" in trace_of(stack, first)
    assert line_of(stack, first)["circuit"].startswith("open until ")


@STREAMS
@pytest.mark.parametrize(("fault", "arguments", "named"), COUNTS)
def test_trouble_of_the_plan_falls_back_and_the_third_in_a_row_opens_the_circuit(
    stack: Any, stream: bool, fault: str, arguments: dict[str, Any], named: str
) -> None:
    developer = stack.developer()
    stack.anthropic.fault(fault, **arguments)
    first, second, third, fourth = (ask(developer, stream=stream) for _ in range(4))
    assert [each.came_from_bedrock(named) for each in (first, second, third, fourth)] == [True] * 4
    assert any(reason.startswith(f"plan:{named}") for reason in trace_of(stack, first))
    circuits = [line_of(stack, each)["circuit"] for each in (first, second, third)]
    assert circuits[:2] == ["closed", "closed"]
    assert circuits[2].startswith("open until ")
    assert [was_skipped(stack, each) for each in (third, fourth)] == [False, True]


@STREAMS
@pytest.mark.parametrize(("fault", "arguments", "named"), COUNTS_NOT)
def test_what_the_plan_does_not_include_falls_back_and_never_opens_a_circuit(
    stack: Any, stream: bool, fault: str, arguments: dict[str, Any], named: str
) -> None:
    developer = stack.developer()
    stack.anthropic.fault(fault, times=4, **arguments)
    fallen = [ask(developer, stream=stream) for _ in range(4)]
    assert [each.came_from_bedrock(named) for each in fallen] == [True] * 4
    assert ask(developer, stream=stream).came_from_plan


@STREAMS
def test_a_408_falls_back_and_opens_the_circuit_at_once(stack: Any, stream: bool) -> None:
    developer = stack.developer()
    stack.anthropic.fault("http_408")
    assert ask(developer, stream=stream).came_from_bedrock("plan_timeout")
    second = ask(developer, stream=stream)
    assert second.came_from_bedrock("plan_timeout")
    assert was_skipped(stack, second)


@pytest.mark.parametrize("fault", ["empty_200", "html_200"])
def test_a_200_that_is_no_event_stream_falls_back(stack: Any, fault: str) -> None:
    developer = stack.developer()
    stack.anthropic.fault(fault)
    assert [ask(developer).came_from_bedrock("plan_error") for _ in range(4)] == [True] * 4
    assert len(stack.plan_posts()) == 3


@STREAMS
@pytest.mark.parametrize(("fault", "status", "named"), PASSED)
def test_a_refusal_of_the_plan_is_passed_on_and_the_circuit_does_not_hear_of_it(
    stack: Any, stream: bool, fault: str, status: int, named: str
) -> None:
    developer = stack.developer()
    stack.anthropic.fault("overloaded", times=2)
    stack.anthropic.fault(fault, times=1)
    stack.anthropic.fault("overloaded", times=1)
    answers = [ask(developer, stream=stream) for _ in range(4)]
    refused, last = answers[2], answers[3]
    assert (refused.status, refused.provider, refused.fallback) == (status, "plan", "")
    assert refused.headers["request-id"] == refused.json["request_id"] != refused.request_id
    assert line_of(stack, refused)["fault"] == named
    assert line_of(stack, last)["circuit"].startswith("open until "), "no success came between the three failures"


@STREAMS
@pytest.mark.parametrize("status", [400, 401, 404, 418, 422])
def test_a_refusal_arrives_byte_for_byte(stack: Any, stream: bool, status: int) -> None:
    developer = stack.developer()
    body = b'{"type" :"error",\n "error":{"message":"\\u00e9 \xc3\xa9 "}}  \n'
    headers = (("request-id", "req_of_the_plan"), ("X-Odd", " a  b "), ("retry-after", "7"), ("x-should-retry", "false"))
    answer_id = stack.anthropic.record(RecordedAnswer(body, status, headers))
    answer = ask(developer, stream=stream, headers={"x-sandbox-answer": answer_id})
    assert (answer.status, answer.body, answer.provider) == (status, body, "plan")
    assert (answer.headers["request-id"], answer.headers["retry-after"]) == ("req_of_the_plan", "7")
    assert stack.bedrock_posts() == []


@STREAMS
def test_a_success_between_failures_starts_the_count_anew(stack: Any, stream: bool) -> None:
    developer = stack.developer()
    for _ in range(2):
        stack.anthropic.fault("overloaded", times=2)
        assert [ask(developer, stream=stream).provider for _ in range(3)] == ["bedrock", "bedrock", "plan"]


@STREAMS
def test_paid_overage_is_an_answer_like_any_other(stack: Any, stream: bool) -> None:
    developer = stack.developer()
    stack.anthropic.fault("overage_200")
    answers = [ask(developer, stream=stream) for _ in range(2)]
    assert [each.came_from_plan for each in answers] == [True, True]
    assert answers[0].headers["anthropic-ratelimit-unified-status"] == "rejected"


def test_three_streams_that_break_open_the_circuit_and_each_ends_with_one_error_event(stack: Any) -> None:
    developer = stack.developer()
    stack.anthropic.fault("cut_midstream", after=4, how="rst")
    broken = [ask(developer) for _ in range(3)]
    assert [(each.status, each.provider) for each in broken] == [(200, "plan")] * 3
    for each in broken:
        names = [name for name, _ in each.events]
        assert (names[-1], names.count("error")) == ("error", 1)
        assert each.events[-1][1]["error"]["type"] == "overloaded_error"
    assert [line_of(stack, each)["fault"] for each in broken] == ["stream_broken"] * 3
    assert line_of(stack, broken[2])["circuit"].startswith("open until ")
    assert ask(developer).came_from_bedrock("stream_broken")


@pytest.mark.parametrize("fault", ["cut_midstream", "error_midstream", "ends_early"])
def test_after_the_first_event_nothing_of_bedrock_is_ever_added(stack: Any, fault: str) -> None:
    developer = stack.developer()
    stack.anthropic.fault(fault, after=3)
    answer = ask(developer)
    assert (answer.status, answer.provider) == (200, "plan")
    assert [name for name, _ in answer.events].count("message_start") == 1
    assert stack.bedrock_posts() == []


def test_what_bedrock_began_is_never_continued_by_the_plan(stack: Any) -> None:
    developer = stack.developer()
    stack.anthropic.fault("overloaded")
    stack.bedrock.fault("exception_midstream", after=3)
    answer = ask(developer)
    assert (answer.provider, answer.fallback, answer.events[-1][0]) == ("bedrock", "plan_overloaded", "error")
    assert (len(stack.plan_posts()), len(stack.bedrock_posts())) == (1, 1)


# --- strategies, the quota probe, and the one exception


@STREAMS
def test_a_plan_only_key_gets_the_plans_own_refusal_and_no_circuit_stops_it(stack: Any, stream: bool) -> None:
    developer = stack.developer("plan_only")
    stack.anthropic.fault("overloaded", times=4)
    refused = [ask(developer, stream=stream) for _ in range(4)]
    assert [(each.status, each.error_type, each.provider) for each in refused] == [(529, "overloaded_error", "plan")] * 4
    assert ask(developer, stream=stream).came_from_plan
    assert stack.bedrock_posts() == []


@STREAMS
def test_a_key_without_a_bedrock_key_gets_the_plans_own_refusal(stack: Any, stream: bool) -> None:
    developer = stack.developer(bedrock="")
    stack.anthropic.fault("plan_exhausted", reset=600)
    refused = [ask(developer, stream=stream) for _ in range(2)]
    assert [(each.status, each.headers["anthropic-ratelimit-unified-status"]) for each in refused] == [(429, "rejected")] * 2
    stack.anthropic.clear_faults()
    assert ask(developer, stream=stream).came_from_plan


@STREAMS
def test_a_bedrock_only_key_sends_nothing_to_the_plan_and_names_no_fallback(stack: Any, stream: bool) -> None:
    developer = stack.developer("bedrock_only")
    assert ask(developer, stream=stream).came_from_bedrock("")
    probe = ask(developer, stream=False, max_tokens=1, messages=[{"role": "user", "content": "quota"}])
    assert (probe.status, probe.provider, probe.fallback) == (200, "bedrock", "")
    assert stack.anthropic.requests() == []


@STREAMS
@pytest.mark.parametrize(
    ("fault", "status", "kind"),
    [
        ("throttling_http", 429, "rate_limit_error"),
        ("service_unavailable", 529, "overloaded_error"),
        ("internal", 500, "api_error"),
        ("model_timeout", 504, "timeout_error"),
        ("throttling_first_frame", 429, "rate_limit_error"),
        ("http_401", 529, "overloaded_error"),
        ("http_403", 529, "overloaded_error"),
    ],
)
def test_a_bedrock_only_key_gets_bedrocks_error_in_anthropics_words_with_our_request_id(
    stack: Any, stream: bool, fault: str, status: int, kind: str
) -> None:
    developer = stack.developer("bedrock_only")
    stack.bedrock.fault(fault)
    answer = ask(developer, stream=stream)
    assert (answer.status, answer.error_type, answer.provider, answer.fallback) == (status, kind, "bedrock", "")
    assert answer.json["request_id"] == answer.request_id == answer.headers["request-id"]
    assert stack.anthropic.requests() == []


@STREAMS
def test_no_circuit_keeps_a_bedrock_only_key_from_its_only_upstream(stack: Any, stream: bool) -> None:
    developer = stack.developer("bedrock_only")
    stack.bedrock.fault("service_unavailable", times=4)
    assert [ask(developer, stream=stream).status for _ in range(4)] == [529] * 4
    assert ask(developer, stream=stream).came_from_bedrock("")


def test_the_quota_probe_always_goes_to_the_plan_and_its_answer_is_passed_on(stack: Any) -> None:
    developer = stack.developer()
    stack.anthropic.fault("plan_exhausted", reset=600)
    assert ask(developer).came_from_bedrock("plan_exhausted")
    probe = ask(developer, stream=False, max_tokens=1, messages=[{"role": "user", "content": "quota"}])
    assert (probe.status, probe.provider) == (429, "plan")
    assert probe.headers["anthropic-ratelimit-unified-status"] == "rejected"
    assert ask(developer).came_from_bedrock("plan_exhausted")
    assert len(stack.plan_posts()) == 2


def _with_thinking_from_bedrock(stream: bool) -> dict[str, Any]:
    thought = {"type": "thinking", "thinking": "hm", "signature": "bedrock-0123456789"}
    turns = [
        {"role": "user", "content": "hello"},
        {"role": "assistant", "content": [thought, {"type": "text", "text": "hi"}]},
        {"role": "user", "content": "and now?"},
    ]
    return question(stream, messages=turns)


@STREAMS
def test_a_conversation_that_comes_back_from_bedrock_is_asked_once_more_without_its_thinking(stack: Any, stream: bool) -> None:
    developer = stack.developer()
    stack.anthropic.fault("strict_thinking")
    answer = post(developer, "/v1/messages", _with_thinking_from_bedrock(stream))
    assert answer.came_from_plan
    sent = stack.plan_posts()
    assert ["bedrock-0123456789" in each["body"] for each in sent] == [True, False]
    assert "plan:thinking stripped" in trace_of(stack, answer)


@STREAMS
def test_the_exception_for_thinking_holds_behind_a_throttle_too(stack: Any, stream: bool) -> None:
    developer = stack.developer()
    stack.anthropic.fault("throttle", times=1, should_retry="true")
    stack.anthropic.fault("strict_thinking")
    assert post(developer, "/v1/messages", _with_thinking_from_bedrock(stream)).came_from_plan
    assert len(stack.plan_posts()) == 3


@STREAMS
def test_thinking_is_stripped_once_and_a_second_refusal_is_passed_on(stack: Any, stream: bool) -> None:
    developer = stack.developer()
    stack.anthropic.fault("http_400", message="messages.1.content.0: Invalid `signature` in `thinking` block")
    answer = post(developer, "/v1/messages", _with_thinking_from_bedrock(stream))
    assert (answer.status, answer.provider, len(stack.plan_posts())) == (400, "plan", 2)
    assert "plan:thinking stripped" in trace_of(stack, answer)


def test_other_400s_are_never_asked_again(stack: Any) -> None:
    developer = stack.developer()
    stack.anthropic.fault("http_400")
    assert post(developer, "/v1/messages", _with_thinking_from_bedrock(True)).status == 400
    assert len(stack.plan_posts()) == 1


# --- a throttle of the Plan is waited for, within patience (3 s)


@STREAMS
@pytest.mark.parametrize("advice", [{"retry_after": "1"}, {"should_retry": "true"}, {"retry_after": "0"}], ids=str)
def test_a_throttle_with_a_short_wait_is_asked_once_more(stack: Any, stream: bool, advice: dict[str, str]) -> None:
    developer = stack.developer()
    stack.anthropic.fault("throttle", times=1, **advice)
    answer = ask(developer, stream=stream)
    assert answer.came_from_plan
    assert len(stack.plan_posts()) == 2
    assert answer.seconds >= {"1": 1.0, "0": 0.0}.get(advice.get("retry_after", ""), 0.5)


@STREAMS
def test_a_throttle_that_lasts_falls_back_after_one_retry(stack: Any, stream: bool) -> None:
    developer = stack.developer()
    stack.anthropic.fault("throttle", should_retry="true")
    assert ask(developer, stream=stream).came_from_bedrock("plan_throttled")
    assert len(stack.plan_posts()) == 2


@STREAMS
@pytest.mark.parametrize("advice", [{"retry_after": "4"}, {"retry_after": "soon", "should_retry": "true"}, {}], ids=str)
def test_a_throttle_without_a_short_wait_falls_back_at_once(stack: Any, stream: bool, advice: dict[str, str]) -> None:
    developer = stack.developer()
    stack.anthropic.fault("throttle", **advice)
    assert ask(developer, stream=stream).came_from_bedrock("plan_throttled")
    assert len(stack.plan_posts()) == 1


# --- when nothing else can serve


def _status_and_words(answer: Answer) -> tuple[int, str, bool]:
    return answer.status, answer.error_type, answer.json["error"]["message"].startswith("claude-code-proxy:")


@STREAMS
@pytest.mark.parametrize("bedrock", ["service_unavailable", "throttling_http", "internal", "http_403", "http_401", "http_400"])
def test_if_bedrock_fails_too_the_plans_own_refusal_arrives(stack: Any, stream: bool, bedrock: str) -> None:
    developer = stack.developer()
    stack.anthropic.fault("error_503", message="words of the plan")
    stack.bedrock.fault(bedrock)
    answer = ask(developer, stream=stream)
    assert (answer.status, answer.provider, answer.fallback) == (503, "plan", "")
    assert answer.json["error"]["message"] == "words of the plan"
    assert any(reason.startswith("bedrock:") for reason in trace_of(stack, answer))


def test_a_stream_that_begins_with_an_error_is_passed_on_if_bedrock_fails_too(stack: Any) -> None:
    developer = stack.developer()
    stack.anthropic.fault("first_event_error", type="overloaded_error")
    stack.bedrock.fault("service_unavailable")
    answer = ask(developer)
    assert (answer.status, answer.provider, [name for name, _ in answer.events]) == (200, "plan", ["error"])
    assert line_of(stack, answer)["fault"] == "plan_overloaded"


@STREAMS
def test_if_the_plan_was_skipped_and_bedrock_fails_the_plan_is_asked_now_and_its_answer_is_the_answer(
    stack: Any, stream: bool
) -> None:
    developer = stack.developer()
    stack.anthropic.fault("plan_exhausted", times=1, reset=600)
    assert ask(developer, stream=stream).came_from_bedrock("plan_exhausted")
    stack.bedrock.fault("service_unavailable")
    answer = ask(developer, stream=stream)
    assert answer.came_from_plan
    assert "plan:last resort" in trace_of(stack, answer)


@STREAMS
def test_a_skipped_plan_that_refuses_when_bedrock_fails_is_passed_on(stack: Any, stream: bool) -> None:
    developer = stack.developer()
    stack.anthropic.fault("plan_exhausted", reset=600)
    ask(developer, stream=stream)
    stack.bedrock.fault("service_unavailable")
    answer = ask(developer, stream=stream)
    assert (answer.status, answer.provider) == (429, "plan")
    assert answer.headers["anthropic-ratelimit-unified-status"] == "rejected"


@STREAMS
def test_a_web_search_that_bedrock_cannot_run_is_the_plans_to_answer(stack: Any, stream: bool) -> None:
    developer = stack.developer()
    search = [{"type": "web_search_20250305", "name": "web_search"}]
    stack.anthropic.fault("plan_exhausted", times=1, reset=600)
    ask(developer, stream=stream)
    answer = ask(developer, stream=stream, tools=search, tool_choice={"type": "tool", "name": "web_search"})
    assert answer.came_from_plan
    assert stack.bedrock_posts()[1:] == []


@STREAMS
@pytest.mark.parametrize("plan", ["refuse", "reset_before_headers"])
def test_with_both_upstreams_away_the_error_is_ours(stack: Any, stream: bool, plan: str) -> None:
    developer = stack.developer()
    stack.anthropic.fault(plan)
    stack.bedrock.listen(False)
    answer = ask(developer, stream=stream)
    assert _status_and_words(answer) == (529, "overloaded_error", True)
    assert answer.json["request_id"] == answer.headers["request-id"] == answer.request_id
    assert (answer.provider, answer.fallback) == ("", "")


@STREAMS
def test_a_bedrock_that_is_back_is_asked_before_an_error_is_made(stack: Any, stream: bool) -> None:
    developer = stack.developer()
    stack.anthropic.listen(False)
    stack.bedrock.fault("service_unavailable", times=3)
    assert [ask(developer, stream=stream).status for _ in range(3)] == [529] * 3
    answer = ask(developer, stream=stream)
    assert answer.came_from_bedrock("plan_unreachable")
    assert any(reason.startswith("bedrock:skipped(") for reason in trace_of(stack, answer))


@STREAMS
def test_a_plan_only_key_whose_plan_is_away_gets_our_error(stack: Any, stream: bool) -> None:
    developer = stack.developer("plan_only")
    stack.anthropic.listen(False)
    assert _status_and_words(ask(developer, stream=stream)) == (529, "overloaded_error", True)


@STREAMS
def test_a_prompt_too_long_for_bedrock_is_told_as_such(stack: Any, stream: bool) -> None:
    developer = stack.developer()
    stack.anthropic.fault("overloaded")
    stack.bedrock.fault("validation")
    answer = ask(developer, stream=stream)
    assert (answer.status, answer.fallback) == (400, "plan_overloaded")
    assert answer.json["error"]["message"].startswith("prompt is too long")


def test_a_stale_connection_is_no_fault(stack: Any) -> None:
    developer = stack.developer()
    stack.anthropic.fault("close_after_response", times=3)
    assert [ask(developer).came_from_plan for _ in range(6)] == [True] * 6
    assert len(stack.plan_posts()) == 6


def test_a_redirect_is_passed_on_and_not_followed(stack: Any) -> None:
    developer = stack.developer()
    answer_id = stack.anthropic.record(RecordedAnswer(b"", 307, (("location", "http://127.0.0.1:1/elsewhere"),)))
    answer = ask(developer, headers={"x-sandbox-answer": answer_id})
    assert (answer.status, answer.provider, answer.headers["location"]) == (307, "plan", "http://127.0.0.1:1/elsewhere")


@STREAMS
def test_a_body_that_is_no_json_object_is_the_plans_to_judge(stack: Any, stream: bool) -> None:
    developer = stack.developer()
    assert post(developer, "/v1/messages", b"[1, 2").status == 400
    deep = b'{"model":"claude-sonnet-5-5","max_tokens":9,"messages":[],"x":' + b'{"a":' * 1010 + b"1" + b"}" * 1010 + b"}"
    stack.anthropic.fault("overloaded")
    answers = [post(developer, "/v1/messages", body) for body in (b"[1, 2", deep)]
    assert [(each.status, each.provider) for each in answers] == [(529, "plan")] * 2
