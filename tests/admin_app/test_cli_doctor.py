"""`doctor`, as it stands before real things: a sandbox, a PostgreSQL, a KMS of moto, files with wrong modes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from admin_app.doctor_outside import look_at_owners
from admin_app.finding import Finding, Health
from core.db import open_database
from core.heartbeat import Heartbeat, Load, Worker
from core.ports import ProbeResult
from tests.admin_app.doctor_world import closed_port as closed_port
from tests.admin_app.doctor_world import healths, ill
from tests.admin_app.doctor_world import terminal as terminal
from tests.admin_app.doctor_world import upstream as upstream
from tests.admin_app.test_cli import NOW, Terminal
from tests.admin_app.test_cli_kms import Aws
from tests.live.postgres import Postgres


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    made = Aws(monkeypatch)
    yield made
    made.stop()


# The installation


def test_of_a_fresh_installation_all_is_well_but_that_nobody_can_sign_in(terminal: Terminal) -> None:
    finished = terminal("doctor --json")
    assert (finished.code, ill(finished), finished.err) == (0, {("managed owner", "warning")}, "")
    assert set(healths(finished)) == {
        "settings", "data folder", "secret files", "secrets", "managed owner", "vault key", "database", "workers", "bedrock keys",
        "circuits", "second factor", "plan", "bedrock us-east-1", "disk", "spool", "time zones", "pages",
    }  # fmt: skip


def second_factor(terminal: Terminal, **environ: str) -> Finding:
    """What is said of it with these settings, whatever else is wrong with them."""
    settings = replace(terminal.settings, **environ)  # type: ignore[arg-type]
    database = open_database(terminal.settings, pool_size=1)
    [found] = look_at_owners(settings, database)
    database.close()
    return found


def test_an_owner_without_a_second_factor_is_a_warning_in_production_until_it_is_demanded(terminal: Terminal) -> None:
    terminal("admin create ann --role owner")
    production: Any = {"environment": "production"}

    local, warned = second_factor(terminal), second_factor(terminal, **production)
    demanded = second_factor(terminal, **production, admin_require_totp=True)  # type: ignore[arg-type]

    assert (local.health, warned.health, demanded.health) == (Health.WELL, Health.WARNING, Health.WELL)
    assert ("1 active owner" in warned.says, "PROXY_ADMIN_REQUIRE_TOTP" in warned.mend) == (True, True)


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


@pytest.fixture
def stopped_postgresql() -> Iterator[str]:
    """The address of one that answered a moment ago."""
    server = Postgres()
    assert server.command("SELECT 1") == 1
    server.stop()
    yield server.url.replace("@", ":a-password@", 1)
    server.close()


def test_a_postgresql_that_is_stopped_is_one_problem_and_hides_no_other_look(terminal: Terminal, stopped_postgresql: str) -> None:
    terminal.environ["PROXY_DATABASE_URL"] = stopped_postgresql
    finished = terminal("doctor --json")
    [database] = [each for each in finished.document["findings"] if each["check"] == "database"]
    assert "cannot be reached" in database["says"], database
    assert (finished.code, ("database", "problem") in ill(finished), healths(finished)["plan"]) == (1, True, "well")
    assert "a-password" not in finished.out


def test_upstreams_that_do_not_answer_are_told_apart_from_each_other(terminal: Terminal, closed_port: int) -> None:
    terminal.environ["PROXY_PLAN_URL"] = f"http://127.0.0.1:{closed_port}"
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
    assert out.rstrip().endswith("0 problems, 1 warning.")
