"""What `doctor` finds around an installation: workers, circuits, clocks that go wrong, keys and certificates that end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from admin_app.doctor_outside import certificate
from admin_app.finding import Health
from core.circuit_rows import OPEN, CircuitRow, write_circuits
from core.db import open_database
from core.heartbeat import Heartbeat, Load, Worker
from core.http import Way, certificate_end
from tests.admin_app.doctor_world import ill, serving
from tests.admin_app.doctor_world import terminal as terminal
from tests.admin_app.doctor_world import upstream as upstream
from tests.admin_app.test_cli import NOW, Terminal
from tests.proxy_app.certificates import Authority


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.mark.parametrize(
    ("load", "health", "words"),
    [
        (Load("ready"), "well", "1 serve"),
        (Load("ready", plan="open"), "warning", "finds the Plan away for everybody"),
        (Load("ready", waiting=1001), "warning", "holds 1,001 records that are not in the ledger yet"),
        (Load("ready", lost=3), "problem", "lost 3 records"),
        (Load("draining"), "warning", "is draining"),
    ],
)
def test_how_workers_are_is_told_in_words(terminal: Terminal, load: Load, health: str, words: str) -> None:
    database = open_database(terminal.settings, pool_size=1)
    Heartbeat(database, Worker("wrk_1", "some-host", 42, NOW), lambda: load, now=lambda: NOW).beat()
    database.close()
    found = [each for each in terminal("doctor --json").document["findings"] if each["check"] == "workers"]
    assert (found[0]["health"], words in found[0]["says"]) == (health, True)


@pytest.mark.parametrize(
    ("provider", "fault", "health", "words"),
    [
        ("plan", "plan_exhausted", "well", "plan_exhausted: 2 access keys, until 2026-05-01 14:00 UTC at the latest"),
        ("plan", "plan_overloaded", "warning", "plan_overloaded: 2 access keys"),
        ("bedrock", "bedrock_throttled", "warning", "bedrock_throttled: 2 Bedrock keys"),
    ],
)
def test_open_circuits_are_summed_up_by_fault(terminal: Terminal, provider: str, fault: str, health: str, words: str) -> None:
    rows = [
        CircuitRow(provider, f"holder_{hours}", "opus", OPEN, fault, until=NOW + timedelta(hours=hours), opened_at=NOW)
        for hours in (1, 2)
    ]
    database = open_database(terminal.settings, pool_size=1)
    database.run(lambda c: write_circuits(c, rows, NOW))
    database.close()
    [found] = [each for each in terminal("doctor --json").document["findings"] if each["check"] == "circuits"]
    assert (found["health"], words in found["says"]) == (health, True)


@pytest.mark.parametrize(("seconds", "words"), [(30, "30 s behind plan"), (-30, "30 s ahead of plan")])
def test_a_clock_that_goes_wrong_is_seen_by_the_upstreams_dates(
    terminal: Terminal, upstream: Any, seconds: int, words: str
) -> None:
    upstream.clock = NOW + timedelta(seconds=seconds)
    finished = terminal("doctor --json")
    assert (finished.code, f"this machine is {words}" in finished.out) == (1, True)


def test_a_bedrock_key_that_has_ended_is_a_problem_with_the_way_out(terminal: Terminal) -> None:
    terminal("user add ada")
    terminal("bedrock-key add --user ada --expires-days 3 --key-stdin", stdin="a-bedrock-key\n")
    terminal.now = NOW + timedelta(days=4)
    [found] = [each for each in terminal("doctor --json").document["findings"] if each["check"] == "bedrock keys"]
    assert (found["health"], found["says"].endswith("expired")) == ("problem", True)
    assert "bedrock-key remove bdk_" in found["mend"]


@pytest.mark.parametrize(("days", "health"), [(90, Health.WELL), (20, Health.WARNING), (2, Health.PROBLEM)])
def test_a_certificate_is_warned_about_in_time(days: int, health: Health) -> None:
    found = certificate("https://proxy.example:8443/path", NOW + timedelta(days=days), NOW)
    assert (found.health, found.says) == (
        health,
        f"that of https://proxy.example:8443 ends on {NOW + timedelta(days=days):%Y-%m-%d}, in {days} days",
    )


def test_developers_meet_a_certificate_that_nobody_trusts(terminal: Terminal, authority: Authority) -> None:
    with serving(authority.server(days=-1)) as front:
        terminal.environ["PROXY_PUBLIC_URL"] = front.url
        finished = terminal("doctor --json")
    assert (finished.code, ("certificate", "problem") in ill(finished)) == (1, True)


def test_the_end_of_a_certificate_is_read_from_who_shows_it(authority: Authority) -> None:
    with serving(authority.server(days=1)) as front:
        ends = certificate_end(front.url, Way(ca_file=str(authority.path)))
        unknown = certificate_end(front.url)
    assert ends is not None
    assert (abs(ends - datetime.now(UTC) - timedelta(days=1)) < timedelta(minutes=1), unknown) == (True, None)
