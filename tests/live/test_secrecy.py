"""Nothing leaks: marked secrets go through every path of a running server, then every place it writes to is searched.

The server logs all it can (DEBUG). What is looked for: each secret as it is, as JSON, percent-encoded, in hex and in base64.
"""

from __future__ import annotations

import base64
import json
import urllib.parse
from pathlib import Path

import pytest

from core.log import MOST_LINE_BYTES
from tests.live.marked_traffic import SECRETS, Evidence, finds
from tests.live.marked_traffic import evidence as evidence


def test_the_search_finds_what_is_there() -> None:
    """A search that finds nothing must be able to."""
    secret = SECRETS["prompt"]
    hidden = base64.b64encode(b"x" + secret.encode() + b"tail")
    quoted = urllib.parse.quote("/" + secret, safe="").encode()
    assert finds(secret, {"a": hidden}) and finds(secret, {"b": quoted}) and finds(secret, {"c": json.dumps(secret).encode()})


def test_the_traffic_went_where_it_should(evidence: Evidence) -> None:
    """Or the search would prove nothing: every outcome is among the answers, the records and the lines."""
    lines = [line["context"] for line in evidence.product.access_lines()]
    outcomes = {(line.get("provider"), line.get("fault", ""), line["status"]) for line in lines}
    faults = {fault for _, fault, _ in outcomes}
    assert {
        "plan_exhausted",
        "plan_throttled",
        "plan_error",
        "plan_auth",
        "stream_broken",
        "client_gone",
        "bedrock_denied",
    } <= faults
    assert {status for _, _, status in outcomes} >= {200, 400, 401, 403, 404, 413, 429, 500, 529}
    assert {"plan", "bedrock"} <= {provider for provider, _, _ in outcomes}
    assert any(SECRETS["answer"].encode() in answer for answer in evidence.answers)
    assert any("traceback" in line["context"] for line in evidence.product.logs())
    assert b"claude-sonnet-4-5" in b"".join(evidence.spools.values())
    assert b"claude-sonnet-4-5" in evidence.files["var/spool/dead-letters.jsonl"]


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_is_nowhere_that_the_server_writes_to(evidence: Evidence, name: str) -> None:
    files = evidence.files
    assert {"server.log", "var/proxy.sqlite"} <= files.keys()
    assert finds(SECRETS[name], files) == []


def test_of_an_access_key_no_more_than_its_prefix_is_written(evidence: Evidence) -> None:
    files = evidence.files
    assert [found for key in evidence.access_keys for found in finds(key[12:40], files)] == []
    assert all(key[:9].encode() in files["var/proxy.sqlite"] for key in evidence.access_keys)


def test_no_answer_shows_the_bedrock_key_nor_another_header_of_the_request(evidence: Evidence) -> None:
    answers = {str(number): answer for number, answer in enumerate(evidence.answers)}
    private = ("Bedrock key", "authorization", "x-api-key", "cookie", "another header", "query", "garbage")
    assert [found for name in private for found in finds(SECRETS[name], answers)] == []
    assert [found for key in evidence.access_keys for found in finds(key[12:40], answers)] == []


def test_what_is_kept_on_disk_is_for_its_owner_alone(evidence: Evidence) -> None:
    kept = [path for path in (evidence.product.data_dir / "var").rglob("*") if path.is_file()]
    assert [path.name for path in kept if path.stat().st_mode & 0o077] == []
    assert (evidence.product.data_dir / "var").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("word", ["Traceback", "File \\"])
def test_no_answer_shows_a_traceback(evidence: Evidence, word: str) -> None:
    assert [answer for answer in evidence.answers if word.encode() in answer] == []


def test_every_line_of_the_log_is_one_of_ours_and_short(evidence: Evidence) -> None:
    written = (Path(evidence.product.log_path)).read_bytes().splitlines()
    ours = [line for line in written if line.startswith(b"{")]
    assert len(ours) > 10
    assert all(len(line) < MOST_LINE_BYTES and json.loads(line)["context"]["log"] for line in ours)
    assert len(written) - len(ours) < 12  # the welcome
