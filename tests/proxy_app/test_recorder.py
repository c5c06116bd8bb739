"""A finished request is in the spool, the log and the sums at once; what it cost is exact."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from sqlalchemy import select

from core.db import Database
from core.log import MOST_LINE_BYTES
from core.log_lines import NoRecord, record_of
from core.models import requests, usage_hourly
from core.outcome import is_error
from core.pricing import load_prices
from core.record import RequestRecord
from core.types import Confidence, Usage
from proxy_app.call import Asked, Endpoint
from proxy_app.faults import Fault
from tests.proxy_app.recording import ON_BEDROCK, SESSION, USAGE, Desk, Sums, call, left_by_a_kill, outcome
from tests.proxy_app.recording import desk as desk


def test_a_record_says_who_asked_what_and_how_it_went(desk: Desk) -> None:
    record = desk.record(call(), outcome(confidence=Confidence.PARTIAL, **ON_BEDROCK))
    assert (record.user_id, record.access_key_id, record.session_id, record.endpoint) == ("user_1", "key_1", SESSION, "messages")
    assert (record.provider, record.fault, record.bedrock_key_id) == ("bedrock", "plan_exhausted", "bk_1")
    assert (record.model_asked, record.model_served) == ("claude-opus-5", "us.anthropic.claude-opus-5")
    assert (record.streamed, record.status, record.confidence, record.started_at) == (True, 200, "partial", 1.8e9)
    assert record.trace == "plan:skipped(open until 12:00); bedrock:200"


def test_times_are_told_apart_into_first_byte_whole_and_our_own_share(desk: Desk) -> None:
    record = desk.record(call(), outcome())
    assert (record.first_byte_ms, record.total_ms, record.overhead_ms) == (3250.0, 10500.0, 250.0)


def test_an_answer_that_never_began_has_no_first_byte_and_ends_now(desk: Desk) -> None:
    record = desk.record(call(), outcome(first_byte=None, ended=None, upstream_wait=30.0))
    assert (record.first_byte_ms, record.total_ms, record.overhead_ms) == (0.0, 20000.0, 0.0)


def test_bedrock_costs_its_place_and_is_worth_its_list_price(desk: Desk) -> None:
    record = desk.record(call(), outcome(**ON_BEDROCK))
    listed = 1000 * 5 + 200 * 25 + 30 * 6.25 + 40 * 10 + 5000 * 0.5
    assert (record.list_value_micros, record.cost_micros) == (13088, 14396)
    assert (round(listed), round(listed * 1.1)) == (13088, 14396)


def test_the_plan_costs_nothing_and_is_worth_its_list_price(desk: Desk) -> None:
    record = desk.record(call(), outcome())
    assert (record.cost_micros, record.list_value_micros) == (0, 13088)


def test_the_model_asked_prices_a_profile_that_names_none(desk: Desk) -> None:
    profile = "arn:aws:bedrock:us-east-1:000000000000:application-inference-profile/abc"
    assert desk.record(call(), outcome(**ON_BEDROCK | {"model_served": profile})).cost_micros == 14396


def test_a_guessed_price_is_flagged_and_not_zero(desk: Desk) -> None:
    record = desk.record(call(asked=Asked("claude-opus-99")), outcome())
    assert record.list_value_micros > 13088 and record.trace == "plan:200; price:unknown model"


def test_new_prices_hold_for_what_finishes_from_now_on(desk: Desk) -> None:
    desk.recorder.finish(call(1), outcome())
    shipped = next(price for price in load_prices().prices if price.model == "claude-opus-5")
    desk.recorder.use_prices(load_prices([replace(shipped, rates=shipped.rates.times(shipped.rates.output))]))
    desk.recorder.finish(call(2), outcome())
    assert [record.list_value_micros for record in desk.records] == [13088, 327188]


def test_a_kill_leaves_a_record_of_an_answer_that_began(desk: Desk) -> None:
    desk.recorder.begin(call(), outcome(**ON_BEDROCK), USAGE)
    [record] = left_by_a_kill(desk)
    assert (record.confidence, record.error_type, record.fault) == ("partial", "worker_lost", "stream_broken")
    assert (record.provider, record.input_tokens, record.cost_micros) == ("bedrock", 1000, 14396)
    assert record.started_at == 1.8e9 and is_error(record.status, record.provider, record.fault)


def test_a_kill_after_the_end_leaves_the_finished_record_before_any_other(desk: Desk) -> None:
    desk.recorder.begin(call(), outcome(), USAGE)
    desk.recorder.finish(call(), outcome())
    assert left_by_a_kill(desk)[0].confidence == "exact"


def test_a_record_fits_its_slot_whatever_was_sent(desk: Desk) -> None:
    endless = "\U0001f600" * 5000
    headers = (("x-claude-code-session-id", '"' * 500), ("x-claude-code-agent-id", '"' * 500))
    desk.recorder.begin(call(asked=Asked(endless), headers=headers), outcome(model_served=endless, trace=[endless] * 30), USAGE)
    assert [record.input_tokens for record in left_by_a_kill(desk)] == [1000]


def test_only_answers_to_messages_are_noted_before_their_end(desk: Desk) -> None:
    desk.recorder.begin(call(endpoint=Endpoint.COUNT_TOKENS), outcome(), USAGE)
    assert left_by_a_kill(desk) == []


@pytest.mark.parametrize("endpoint", [Endpoint.COUNT_TOKENS, Endpoint.MODELS, Endpoint.PASSTHROUGH])
def test_only_messages_use_tokens(desk: Desk, endpoint: Endpoint) -> None:
    record = desk.record(call(endpoint=endpoint), outcome(**ON_BEDROCK))
    assert (record.endpoint, record.input_tokens, record.cost_micros, record.list_value_micros) == (endpoint.value, 0, 0, 0)


def test_an_answer_of_ours_names_no_provider(desk: Desk) -> None:
    record = desk.record(call(), outcome(provider=None, status=529, usage=Usage(), fault=Fault.PLAN_ERROR))
    assert (record.provider, record.status, record.fault, record.cost_micros) == ("", 529, "plan_error", 0)


def test_the_log_line_holds_all_that_the_ledger_needs(desk: Desk) -> None:
    record = desk.record(call(), outcome(**ON_BEDROCK))
    [line] = desk.lines
    context = line["context"]
    assert (line["level"], line["message"], line["timestamp"]) == ("INFO", "request", "2027-01-15T08:00:10.500Z")
    assert (context.pop("log"), context["trace"]) == ("access", ["plan:skipped(open until 12:00)", "bedrock:200"])
    again = context | {"request_id": line["request_id"], "trace": "; ".join(context["trace"])}
    assert RequestRecord.from_json(json.dumps(again).encode()) == record


def test_who_looked_at_their_own_view_has_a_log_line_and_no_record(desk: Desk) -> None:
    desk.recorder.looked("req_9", "statusline", 200, "key ak_aaaaaa")
    context = desk.lines[0]["context"]
    assert (context["endpoint"], context["status"], context["trace"]) == ("statusline", 200, ["key ak_aaaaaa"])
    assert (context["access_key_id"], context["user_id"], desk.records) == ("", "", [])
    with pytest.raises(NoRecord):
        record_of(desk.log.read_bytes())


def test_a_refused_request_has_a_log_line_and_no_record(desk: Desk) -> None:
    desk.recorder.refuse("req_9", 403, "permission_error")
    [line] = desk.lines
    assert (line["request_id"], line["context"]["status"], line["context"]["error_type"]) == ("req_9", 403, "permission_error")
    assert desk.records == []


@pytest.mark.parametrize("odd", ["x" * 5000, "a\r\nb", "\x00\xff", "caf\xe9"])
def test_ids_from_clients_are_short_and_printable(desk: Desk, odd: str) -> None:
    record = desk.record(call(headers=(("x-claude-code-agent-id", odd),)), outcome())
    assert len(record.agent_id) <= 80 and (record.agent_id.isascii() and record.agent_id.isprintable())


@pytest.mark.parametrize("odd", ["\ud800", "m" * 100_000, "\u20ac" * 9000, "\0"])
def test_odd_texts_from_clients_and_upstreams_do_no_harm(desk: Desk, odd: str) -> None:
    desk.recorder.finish(call(asked=Asked(odd)), outcome(error_type=odd, trace=[odd] * 50))
    assert len(desk.records) == 1 and desk.recorder.books.lost == 0
    assert len(desk.log.read_bytes()) <= MOST_LINE_BYTES


def test_a_record_is_small_whatever_an_upstream_calls_its_error(desk: Desk) -> None:
    record = desk.record(call(), outcome(error_type="e" * 1_000_000))
    assert len(record.to_json()) < 2000
    assert desk.lines[-1]["context"]["input_tokens"] == record.input_tokens == 1000


def test_neither_credential_nor_prompt_reaches_spool_or_log(desk: Desk) -> None:
    access_key = "ak_" + "Q7" * 22
    desk.recorder.finish(call(target=f"/ak/{access_key}/x"), outcome(trace=[f"plan:reset {access_key}"]))
    written = desk.spool.path.read_bytes() + desk.log.read_bytes()
    assert [secret for secret in (b"Q7Q7", b"tttt", b"secret prompt") if secret in written] == []


def test_who_keeps_sums_hears_of_the_end_and_of_the_ledger(desk: Desk) -> None:
    sums = Sums()
    desk.recorder.listen(sums)
    desk.recorder.finish(call(), outcome())
    assert (sums.done, sums.written) == (desk.records, [])
    desk.recorder.flush()
    assert sums.written == sums.done


def test_a_listener_that_fails_costs_no_record(desk: Desk) -> None:
    sums = Sums()
    sums.finished = None  # type: ignore[method-assign, assignment]
    desk.recorder.listen(sums)
    desk.recorder.finish(call(), outcome())
    assert (len(desk.records), desk.recorder.books.lost) == (1, 0)


def test_what_cannot_be_recorded_is_counted_and_not_raised(desk: Desk) -> None:
    desk.recorder.finish(call(), outcome(usage=None))
    assert (desk.recorder.books.lost, desk.recorder.books.records) == (1, 0)


def test_a_request_finished_twice_is_in_the_ledger_once(desk: Desk, database: Database) -> None:
    for _ in range(3):
        desk.recorder.finish(call(), outcome(**ON_BEDROCK))
    assert desk.recorder.flush() == 1
    [hour] = database.read(lambda connection: connection.execute(select(usage_hourly)).all())
    assert (hour.requests, hour.cost_micros, hour.fallbacks) == (1, 14396, 1)


def test_the_row_is_the_record(desk: Desk, database: Database) -> None:
    record = desk.record(call(), outcome(**ON_BEDROCK))
    desk.recorder.flush()
    [row] = database.read(lambda connection: connection.execute(select(requests)).mappings().all())
    assert dict(row) | {"started_at": row["started_at"].timestamp()} == {name: getattr(record, name) for name in row}
