"""Log lines are whole, short, valid JSON, and hold no credential, whatever is thrown at them."""

from __future__ import annotations

import base64
import json
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.log import MOST_LINE_BYTES, AccessLog, JsonFormatter, LineWriter, configure_logging, redact, utc_stamp
from tests.core.log_lines import line
from tests.core.log_lines import pipe as pipe

# Put together here, so that no file holds anything that looks like a key.
ACCESS_KEY = "ak_" + "Zz9" * 14 + "Zz"
PLAN_KEY = "sk-ant-" + "oat01-" + "q" * 20 + "_-" + "r" * 9
LONG_TERM = "ABSK" + base64.b64encode(b"name:" + b"w" * 30).decode()
SHORT_TERM = "bedrock-api-" + "key-" + base64.b64encode(b"bedrock.amazonaws.com/?x" * 3).decode()
COOKIE = "v" * 30 + ".tail"
PASSWORD = "hunter" + "22"
SECRETS = {
    f"GET /ak/{ACCESS_KEY}/v1/messages?x=1": ACCESS_KEY[9:],
    f"/ak/ak%5F{ACCESS_KEY[3:]}/status": ACCESS_KEY[9:],
    f"malformed {ACCESS_KEY[:-1]}": ACCESS_KEY[9:-1],
    f"GET /claim/{'c' * 22}": "c" * 22,
    f"header x-api-key: {PLAN_KEY}": PLAN_KEY[7:],
    f"key {PLAN_KEY}, and more": PLAN_KEY[7:],
    f"Authorization: Bearer {'t' * 20}": "t" * 20,
    f"authorization: Basic {'t' * 20}": "t" * 20,
    f"{{'authorization': 'bearer {'t' * 20}'}}": "t" * 20,
    f"[(b'Authorization', b'{'t' * 20}')]": "t" * 20,
    f"token {LONG_TERM}": LONG_TERM[4:],
    f"token {SHORT_TERM}": SHORT_TERM[16:],
    f"Cookie: a=1; session={COOKIE}": COOKIE,
    f"Set-Cookie: __Host-session={COOKIE}; Secure": COOKIE,
    f'{{"cookie": "session={COOKIE}"}}': COOKIE,
    f"x-proxy-key={'t' * 20}": "t" * 20,
    f"postgresql+psycopg2://proxy:{PASSWORD}@db.internal/name": PASSWORD,
    "jwt eyJ" + "h" * 20 + "." + "p" * 20 + "." + "s" * 20: "s" * 20,
}


@pytest.fixture
def root_logger() -> Iterator[logging.Logger]:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield root
    root.handlers[:] = before
    root.setLevel(level)
    logging.captureWarnings(False)


def record(message: str, *arguments: object, level: int = logging.INFO, **extra: Any) -> logging.LogRecord:
    made = logging.LogRecord("some.part", level, "file.py", 1, message, arguments, None)
    made.created = 1_800_000_000.1239
    made.__dict__.update(extra)
    return made


def test_a_line_has_the_shape_that_dashboards_rely_on() -> None:
    assert line(record("circuit %s", "opened", request_id="req_1", context={"user_id": "u1"})) == {
        "timestamp": "2027-01-15T08:00:00.123Z",
        "level": "INFO",
        "request_id": "req_1",
        "message": "circuit opened",
        "context": {"log": "app", "logger": "some.part", "user_id": "u1"},
    }


def test_errors_are_marked_and_carry_their_traceback_without_locals() -> None:
    def fails() -> None:
        prompt = "text of " + "a user"
        raise ValueError(f"bad answer of {len(prompt)}")

    try:
        fails()
    except ValueError:
        made = record("failed", level=logging.ERROR, exc_info=sys.exc_info())
    context = line(made)["context"]
    assert context["log"] == "error" and "ValueError: bad answer of 14" in context["traceback"]
    assert "text of a user" not in context["traceback"]


@pytest.mark.parametrize("text", SECRETS)
def test_credentials_are_redacted_wherever_they_stand(text: str) -> None:
    secret = SECRETS[text]
    everywhere = record("%s", text, request_id=text, context={"nested": [{"deep": text}], text: 1})
    assert secret in text
    assert secret not in redact(text) and secret not in json.dumps(line(everywhere))


@pytest.mark.parametrize("text", SECRETS)
def test_credentials_are_redacted_in_tracebacks(text: str) -> None:
    try:
        raise RuntimeError(text)
    except RuntimeError:
        made = record("failed", level=logging.ERROR, exc_info=sys.exc_info())
    assert SECRETS[text] not in json.dumps(line(made))


def test_a_credential_that_the_cut_would_halve_is_gone_before_the_cut() -> None:
    for padding in range(4000, 4100, 7):
        text = json.dumps(line(record("x" * padding + ACCESS_KEY + "y" * 9000)))
        assert ACCESS_KEY[9:20] not in text and ACCESS_KEY[-9:] not in text


@pytest.mark.parametrize(
    "text", ["a cookie jar", "the basic settings", "ak_ short", "ak_Abc123 (prefix)", "https://example.com/a:b@c"]
)
def test_prose_stays_as_it_is(text: str) -> None:
    assert redact(text) == text


def test_a_line_just_short_enough_is_left_alone() -> None:
    assert line(record("x" * 8000))["message"] == "x" * 8000


@pytest.mark.parametrize("size", [8192, 9000, 100_000, 1_000_000])
@pytest.mark.parametrize("letter", ["x", "\x01", "\u20ac", '"'])
def test_a_long_line_is_cut_and_says_so(size: int, letter: str) -> None:
    entry = line(record("begin" + letter * size + "end", context={"kept": "short"}))
    assert entry["message"].startswith("begin") and entry["message"].endswith("end") and "cut" in entry["message"]
    assert entry["context"]["kept"] == "short"


def test_a_context_too_wide_to_keep_is_left_out() -> None:
    context = line(record("wide", context={f"field {number}": "x" * 50 for number in range(5000)}))["context"]
    assert context == {"log": "app", "cut": True}


def test_a_long_list_and_a_long_name_say_what_was_cut_from_them() -> None:
    entry = line(record("long", context={"trace": [f"step {n}" for n in range(5000)], "n" * 9000: 1, "whole": ["a", "b"]}))
    context = entry["context"]
    *kept, mark = context.pop("trace")
    assert (kept[0], mark, len(kept) < 5000) == ("step 0", "...[cut]...", True)
    assert (context["whole"], [name for name in context if name.startswith("nnn") and "[cut]" in name] != []) == (
        ["a", "b"],
        True,
    )


WORST = {
    "lines within": "first\nsecond\r\nthird\u2028fourth\x85fifth\x0bsixth",
    "a forged line": 'x"}\n{"timestamp":"2027-01-01T00:00:00.000Z","level":"INFO","request_id":"req_forged","message":"request"}',
    "terminal codes": "\x1b[31mred\x1b[0m\x00\x07",
    "right to left": "\u202eesrever",
    "a megabyte": "\u20ac" * 350_000,
    "escapes alone": "\x01" * 9000,
    "surrogates": "\ud83d" * 4000,
}


@pytest.mark.parametrize("text", WORST.values(), ids=WORST)
@pytest.mark.parametrize("place", ["message", "context", "request_id", "exception"])
def test_the_worst_text_in_any_place_is_one_line_of_our_shape(text: str, place: str) -> None:
    made = record(text if place == "message" else "fine", context={"text": text} if place == "context" else {})
    made.request_id = text if place == "request_id" else "req_1"
    if place == "exception":
        made.exc_info = (ValueError, ValueError(text), None)
    written = JsonFormatter().format(made).encode()
    entry = json.loads(written)
    assert (len(written) < MOST_LINE_BYTES, len(written.splitlines())) == (True, 1)
    assert entry.keys() == {"timestamp", "level", "request_id", "message", "context"}
    assert (entry["timestamp"][-1], entry["level"], entry["context"]["log"]) == ("Z", "INFO", "app")


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __str__


@pytest.mark.parametrize("value", [Unprintable(), "\ud800", 10**30, {1: {2: Path("x")}}, {"a", "b"}, b"\xff", float("nan")])
def test_nothing_that_can_be_logged_breaks_the_line(value: object) -> None:
    circle: list[object] = [value]
    circle.append(circle)
    assert line(record("odd", context={"value": value, "circle": circle}))["message"] == "odd"
    assert line(record("%d items", value))["level"] == "INFO"


@given(st.text(max_size=300), st.dictionaries(st.text(max_size=9), st.text(max_size=80) | st.integers() | st.none(), max_size=5))
def test_any_text_gives_one_valid_line(message: str, context: dict[str, object]) -> None:
    line(record(message.replace("%", "%%"), context=context))


@pytest.mark.parametrize(
    ("moment", "text"), [(0.0, "1970-01-01T00:00:00.000Z"), (1_800_000_000.9999, "2027-01-15T08:00:00.999Z")]
)
def test_times_are_utc_to_the_millisecond(moment: float, text: str) -> None:
    assert utc_stamp(moment) == text


def test_an_access_line_is_written_at_once_and_whole(pipe: tuple[int, int]) -> None:
    AccessLog(LineWriter(pipe[1])).write("req_1", 0.5, {"provider": "plan", "trace": ["plan:200"]})
    assert json.loads(os.read(pipe[0], 10_000)) == {
        "timestamp": "1970-01-01T00:00:00.500Z",
        "level": "INFO",
        "request_id": "req_1",
        "message": "request",
        "context": {"log": "access", "provider": "plan", "trace": ["plan:200"]},
    }


@pytest.mark.parametrize("secret", [ACCESS_KEY, PLAN_KEY, LONG_TERM, SHORT_TERM, "Bearer " + "t" * 20])
def test_a_client_cannot_get_a_credential_into_an_access_line(pipe: tuple[int, int], secret: str) -> None:
    AccessLog(LineWriter(pipe[1])).write("req_1", 0.5, {"model_asked": secret})
    assert secret[-9:].encode() not in os.read(pipe[0], 10_000)


def test_a_long_access_line_is_cut(pipe: tuple[int, int]) -> None:
    AccessLog(LineWriter(pipe[1])).write("req_1", 0.5, {"trace": ["x" * 500] * 100, "status": 200})
    written = os.read(pipe[0], 100_000)
    assert len(written) <= MOST_LINE_BYTES and json.loads(written)["context"]["status"] == 200


def test_libraries_that_would_tell_requests_stay_quiet_at_any_level(pipe: tuple[int, int], root_logger: logging.Logger) -> None:
    configure_logging("debug", pipe[1])
    logging.getLogger("botocore.endpoint").debug("Making request with a body")
    logging.getLogger("ours").debug("this is wanted")
    assert [json.loads(text)["message"] for text in os.read(pipe[0], 10_000).splitlines()] == ["this is wanted"]


def test_all_logging_goes_to_the_descriptor_as_our_lines(pipe: tuple[int, int], root_logger: logging.Logger) -> None:
    configure_logging("warning", pipe[1])
    logging.getLogger("library").info("not this")
    logging.getLogger("library").warning("but this")
    [entry] = [json.loads(text) for text in os.read(pipe[0], 10_000).splitlines()]
    assert (entry["message"], entry["level"], entry["context"]["logger"]) == ("but this", "WARNING", "library")
