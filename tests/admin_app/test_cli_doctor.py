"""`doctor`, as it stands before real things: a sandbox, a PostgreSQL, a KMS of moto, files with wrong modes."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from core.crypto import new_access_key
from core.db import open_database
from core.heartbeat import Heartbeat, Load, Worker
from core.ports import ProbeResult
from tests.admin_app.test_cli import NOW, Finished, Terminal
from tests.admin_app.test_cli_kms import Aws

KEY = new_access_key()


class Upstream(BaseHTTPRequestHandler):
    """Answers as its server says, by the tests' clock, and keeps what it was sent."""

    def date_time_string(self, timestamp: float | None = None) -> str:
        server: Any = self.server
        return format_datetime(server.clock, usegmt=True)

    def do_GET(self) -> None:
        server: Any = self.server
        server.seen.append((self.path, dict(self.headers)))
        self.send_response(server.statuses.get(self.path, 404))
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def serving(context: ssl.SSLContext | None = None) -> Iterator[Any]:
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
    server.seen, server.statuses, server.clock = [], {"/health": 200, "/statusline": 200}, NOW
    server.url = f"{'https' if context else 'http'}://127.0.0.1:{server.server_port}"
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *_: None  # a client that does not trust the certificate hangs up
    Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def migrated(folder: Path, upstream: Any) -> Terminal:
    made = Terminal(folder / "var")
    made.environ |= {"PROXY_PLAN_URL": upstream.url, "PROXY_BEDROCK_URL": upstream.url}
    made("migrate")
    return made


@pytest.fixture
def upstream() -> Iterator[Any]:
    with serving() as server:
        yield server


@pytest.fixture
def terminal(tmp_path: Path, upstream: Any) -> Terminal:
    return migrated(tmp_path, upstream)


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    made = Aws(monkeypatch)
    yield made
    made.stop()


def healths(finished: Finished) -> dict[str, str]:
    """check -> the worst that was found of it."""
    order = ("well", "warning", "problem")
    found: dict[str, str] = {}
    for each in finished.document["findings"]:
        found[each["check"]] = max(found.get(each["check"], "well"), each["health"], key=order.index)
    return found


def ill(finished: Finished) -> set[tuple[str, str]]:
    return {(check, health) for check, health in healths(finished).items() if health != "well"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# The installation


def test_of_a_fresh_installation_all_is_well_but_that_nobody_can_sign_in(terminal: Terminal) -> None:
    finished = terminal("doctor --json")
    assert (finished.code, ill(finished), finished.err) == (0, {("managed owner", "warning")}, "")
    assert set(healths(finished)) == {
        "settings", "data folder", "secret files", "secrets", "managed owner", "vault key", "database", "workers", "bedrock keys",
        "circuits",        "plan", "bedrock us-east-1", "disk", "spool", "time zones", "pages",
    }  # fmt: skip


def test_every_setting_that_is_wrong_is_told_and_what_can_be_looked_at_still_is(terminal: Terminal) -> None:
    terminal.environ |= {"PROXY_WORKERS": "none", "PROXY_DRAIN_S": "9999", "PROXY_NONSENSE": "1"}
    finished = terminal("doctor --json")
    says = " ".join(each["says"] for each in finished.document["findings"])
    named = [name in says for name in ("PROXY_WORKERS", "PROXY_DRAIN_S", "PROXY_NONSENSE")]
    assert (finished.code, named, healths(finished)["pages"]) == (1, [True] * 3, "well")


def test_a_database_that_is_not_migrated_is_told_with_the_command(tmp_path: Path, upstream: Any) -> None:
    bare = Terminal(tmp_path / "var")
    bare.environ |= {"PROXY_PLAN_URL": upstream.url, "PROXY_BEDROCK_URL": upstream.url}
    finished = bare("doctor --json")
    [database] = [each for each in finished.document["findings"] if each["check"] == "database"]
    assert (finished.code, database["health"], database["mend"]) == (1, "problem", "python -m admin_app migrate")


def test_a_postgresql_that_serves_is_told_with_its_clock(terminal: Terminal, postgres_server: Any) -> None:
    terminal.environ["PROXY_DATABASE_URL"] = postgres_server.migrated()
    finished = terminal("doctor --json")
    [database] = [each for each in finished.document["findings"] if each["check"] == "database"]
    assert ("postgresql, migrated" in database["says"], healths(finished)["clock"]) == (
        True,
        "problem",
    )  # the test's clock is May


def test_a_postgresql_that_is_stopped_is_one_problem_and_hides_no_other_look(terminal: Terminal) -> None:
    terminal.environ["PROXY_DATABASE_URL"] = f"postgresql://somebody:a-password@127.0.0.1:{free_port()}/none"
    finished = terminal("doctor --json")
    assert (finished.code, ("database", "problem") in ill(finished), healths(finished)["plan"]) == (1, True, "well")
    assert "a-password" not in finished.out


def test_upstreams_that_do_not_answer_are_told_apart_from_each_other(terminal: Terminal) -> None:
    terminal.environ["PROXY_PLAN_URL"] = f"http://127.0.0.1:{free_port()}"
    finished = terminal("doctor --json")
    assert (finished.code, healths(finished)["plan"], healths(finished)["bedrock us-east-1"]) == (1, "problem", "well")


def test_upstreams_get_no_credential(terminal: Terminal, upstream: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = terminal.settings.data_dir / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password something")
    monkeypatch.setenv("NETRC", str(netrc))
    terminal("doctor")
    names = {name.lower() for _, headers in upstream.seen for name in headers}
    assert (len(upstream.seen), names & {"authorization", "x-api-key", "cookie", "x-proxy-key"}) == (2, set())


def test_each_region_in_use_is_looked_at_and_refused_or_ending_keys_are_told(terminal: Terminal) -> None:
    terminal("user add ada")
    terminal("bedrock-key add --user ada --region eu-west-1 --expires-days 3 --key-stdin", stdin="a-bedrock-key\n")
    ending = terminal("doctor --json")
    terminal.probe.result = ProbeResult(False, "refused", refused=True)
    terminal("bedrock-key add --user ada --region us-west-2 --key-stdin", stdin="another-key\n")
    refused = terminal("doctor --json")
    assert (healths(ending)["bedrock keys"], healths(refused)["bedrock keys"], refused.code) == ("warning", "problem", 1)
    assert {"bedrock eu-west-1", "bedrock us-west-2"} <= set(healths(refused))
    assert [secret for secret in ("a-bedrock-key", "another-key") if secret in refused.out] == []


def test_files_that_others_can_read_are_named(terminal: Terminal) -> None:
    (terminal.settings.data_dir / "server_secret").chmod(0o644)
    terminal.settings.data_dir.chmod(0o755)
    finished = terminal("doctor --json")
    assert {("secret files", "problem"), ("data folder", "warning")} <= ill(finished)
    assert (terminal.settings.data_dir / "server_secret").read_text() not in finished.out


def test_a_secret_of_a_file_of_its_own_is_looked_at_too(terminal: Terminal, tmp_path: Path) -> None:
    given = tmp_path / "jwt"
    given.write_text("j" * 40)
    given.chmod(0o644)
    terminal.environ["PROXY_JWT_SECRET_FILE"] = str(given)
    assert ("secret files", "problem") in ill(terminal("doctor --json"))


def test_the_same_secret_twice_and_a_quick_hash_are_told(terminal: Terminal) -> None:
    same = "s" * 40
    terminal.environ |= {"PROXY_JWT_SECRET": same, "PROXY_SERVER_SECRET": same, "PROXY_ADMIN_PASSWORD_HASH": "$2b$04$" + "." * 53}
    finished = terminal("doctor --json")
    assert {("secrets", "warning"), ("managed owner", "warning")} <= ill(finished)
    assert (same in finished.out, "$2b$04$" in finished.out) == (False, False)


def test_a_kms_key_is_proved_by_sealing_and_opening(terminal: Terminal, aws: Aws) -> None:
    terminal.environ["PROXY_KMS_KEY_ID"] = aws.new_key()
    works = terminal("doctor --json")
    aws.stop()
    away = terminal("doctor --json")
    assert (healths(works)["KMS key"], healths(away)["KMS key"], away.code) == ("well", "problem", 1)


def test_a_silent_worker_is_told(terminal: Terminal) -> None:
    database = open_database(terminal.settings, pool_size=1)
    worker = Worker("wrk_1", "some-host", 42, NOW)
    Heartbeat(database, worker, lambda: Load("ready"), now=lambda: NOW - timedelta(minutes=2)).beat()
    database.close()
    assert ("workers", "warning") in ill(terminal("doctor --json"))


def test_records_that_no_database_took_are_told(terminal: Terminal) -> None:
    spool = terminal.settings.spool_dir
    spool.mkdir(parents=True)
    (spool / "dead-letters.jsonl").write_bytes(b"{}\n")
    assert ("spool", "problem") in ill(terminal("doctor --json"))


def test_for_people_each_finding_is_a_line_with_how_to_mend_it_below(terminal: Terminal) -> None:
    out = terminal("doctor").out
    assert ("ok   database" in out, "!    managed owner" in out, "-> Start once with" in out) == (True, True, True)
    assert out.rstrip().endswith("0 problems, 1 warnings.")


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


def test_a_proxy_that_is_away_is_told(terminal: Terminal) -> None:
    finished = client(terminal, ANTHROPIC_BASE_URL=f"http://127.0.0.1:{free_port()}/ak/{KEY}")
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
