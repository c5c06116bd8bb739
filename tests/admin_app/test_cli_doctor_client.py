"""`doctor client`: what a developer's machine has set, and what the proxy says to it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from core.crypto import new_access_key
from tests.admin_app.doctor_world import closed_port as closed_port
from tests.admin_app.doctor_world import healths, ill
from tests.admin_app.doctor_world import terminal as terminal
from tests.admin_app.doctor_world import upstream as upstream
from tests.admin_app.test_cli import Finished, Terminal

KEY = new_access_key()


# A client


def client(terminal: Terminal, words: str = "", stdin: str = "", **environ: str) -> Finished:
    terminal.environ = environ
    return terminal(f"doctor --client --json {words}", stdin=stdin)


def test_a_client_that_is_set_up_right_is_well(terminal: Terminal, upstream: Any) -> None:
    finished = client(terminal, ANTHROPIC_BASE_URL=f"{upstream.url}/ak/{KEY}")
    assert (finished.code, ill(finished)) == (0, set())
    assert (set(healths(finished)) >= {"proxy reached", "key accepted"}, KEY in finished.out) == (True, False)


def test_a_key_in_a_header_or_on_standard_input_is_as_good(terminal: Terminal, upstream: Any) -> None:
    header = client(terminal, ANTHROPIC_BASE_URL=upstream.url, ANTHROPIC_CUSTOM_HEADERS=f"x-proxy-key: {KEY}")
    given = client(terminal, f"--url {upstream.url} --key-stdin", stdin=f"{KEY}\n")
    assert (header.code, given.code) == (0, 0)
    assert {headers.get("x-proxy-key") for path, headers in upstream.seen if path == "/statusline"} == {KEY}


def test_settings_of_claude_code_win_over_the_environment(terminal: Terminal, upstream: Any, tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    path.write_text(json.dumps({"env": {"ANTHROPIC_BASE_URL": f"{upstream.url}/ak/{KEY}"}, "apiKeyHelper": "a-command"}))
    finished = client(terminal, f"--settings {path}", ANTHROPIC_BASE_URL="nonsense")
    assert ill(finished) == {("variables", "problem")}


@pytest.mark.parametrize("content", ["{", "[]", '{"env": []}'])
def test_settings_that_are_none_are_refused_with_the_reason(terminal: Terminal, tmp_path: Path, content: str) -> None:
    path = tmp_path / "settings.json"
    path.write_text(content)
    finished = client(terminal, f"--settings {path}")
    assert (finished.code, "settings.json" in finished.document["error"]) == (1, True)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "proxy.example.com/ak/x",
        "https://",
        "{root}/ak/{key}/v1",
        "{root}/v1",
        "{root}/admin",
        "{root}/ak/{key}?a=b",
        "http://u:p@h/ak/{key}",
    ],
)
def test_an_address_of_a_wrong_shape_is_told_without_being_shown(terminal: Terminal, upstream: Any, url: str) -> None:
    finished = client(terminal, ANTHROPIC_BASE_URL=url.format(root=upstream.url, key=KEY))
    assert (finished.code, ("address", "problem") in ill(finished), KEY in finished.out, upstream.seen) == (1, True, False, [])


def test_plain_http_across_a_network_is_warned_about(terminal: Terminal) -> None:
    finished = client(terminal, ANTHROPIC_BASE_URL=f"http://host.invalid/ak/{KEY}")
    assert {("address", "warning"), ("proxy reached", "problem")} <= ill(finished)


def test_a_mistyped_key_is_told_without_asking_anybody(terminal: Terminal, upstream: Any) -> None:
    typo = KEY[:-1] + ("0" if KEY[-1] != "0" else "1")
    finished = client(terminal, ANTHROPIC_BASE_URL=f"{upstream.url}/ak/{typo}")
    assert (ill(finished), typo in finished.out) == ({("access key", "problem")}, False)
    assert [path for path, _ in upstream.seen] == ["/health"]


@pytest.mark.parametrize(
    ("path", "status", "check"),
    [("/statusline", 401, "key accepted"), ("/statusline", 503, "key accepted"), ("/health", 404, "proxy reached")],
)
def test_what_the_proxy_answers_is_told(terminal: Terminal, upstream: Any, path: str, status: int, check: str) -> None:
    upstream.statuses[path] = status
    assert (check, "problem") in ill(client(terminal, ANTHROPIC_BASE_URL=f"{upstream.url}/ak/{KEY}"))


def test_a_proxy_that_is_away_is_told(terminal: Terminal, closed_port: int) -> None:
    finished = client(terminal, ANTHROPIC_BASE_URL=f"http://127.0.0.1:{closed_port}/ak/{KEY}")
    assert (finished.code, ("proxy reached", "problem") in ill(finished)) == (1, True)


@pytest.mark.parametrize(
    "name", ["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_USE_BEDROCK", "CLAUDE_CODE_USE_VERTEX"]
)
def test_variables_that_get_in_the_way_are_named_and_not_shown(terminal: Terminal, upstream: Any, name: str) -> None:
    finished = client(terminal, ANTHROPIC_BASE_URL=f"{upstream.url}/ak/{KEY}", **{name: "a-value"})
    assert (ill(finished), name in finished.out, "a-value" in finished.out) == ({("variables", "problem")}, True, False)


@pytest.mark.parametrize(("no_proxy", "expected"), [("", {("proxy", "problem")}), ("127.0.0.1", set())])
def test_a_proxy_of_the_environment_before_this_machine_is_told(
    terminal: Terminal, upstream: Any, no_proxy: str, expected: Any
) -> None:
    through = {"HTTP_PROXY": upstream.url, "NO_PROXY": no_proxy}
    finished = client(terminal, ANTHROPIC_BASE_URL=f"{upstream.url}/ak/{KEY}", **through)
    assert {each for each in ill(finished) if each[0] == "proxy"} == expected
