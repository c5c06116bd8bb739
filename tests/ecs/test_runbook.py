"""The runbook says what is: its commands, links, names and sums are compared with script and templates."""

from __future__ import annotations

import re
from decimal import Decimal
from itertools import chain

import pytest

from benchmarks.capacity import load_prices
from core.metrics import CATALOGUE
from tests.ecs.stacks import FOLDER, ORDER, Stacks, load_templates
from tests.test_docs import broken_links, section_of, slugs

PAGE = FOLDER / "README.md"
TEXT = PAGE.read_text()
SCRIPT = (FOLDER / "deploy.sh").read_text()
NO_SETTINGS = {
    "PROXY_WORKER_CONNECTIONS",
    "PROXY_BEDROCK_REGION",
    "PROXY_DATABASE_SECRET",
    "ROLLBACK_COMPLETE",
    "VOLUME",
    "DEBUG",
}
BY_METRIC = {metric.name for metric in CATALOGUE}


def rows(heading: str) -> list[list[str]]:
    """Cells of the tables in a section, without their heads."""
    lines = [line for line in section_of(TEXT, heading).splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:]]


def test_links_lead_somewhere() -> None:
    assert list(broken_links(PAGE)) == []


def test_commands_of_the_script_exist_and_all_are_explained() -> None:
    named = set(re.findall(r"deploy\.sh (?:--dry-run )?([a-z-]+)", TEXT))
    assert named == set(re.findall(r"^([a-z-]+)\)", SCRIPT, re.MULTILINE))


def test_settings_of_the_script_are_in_its_example() -> None:
    example = set(re.findall(r"^([A-Z_]+)=", (FOLDER / "production.env.example").read_text(), re.MULTILINE))
    named = set(re.findall(r"`([A-Z][A-Z_]+)(?:=\w[\w-]*)?`", TEXT)) - NO_SETTINGS
    assert {"IMAGE", "NAT_GATEWAYS", "TASK_SIZE"} <= named <= example


def test_every_stack_is_in_the_table_in_its_order() -> None:
    assert re.findall(r"^\| `(\w+)\.yaml` ", TEXT, re.MULTILINE) == list(ORDER)


ALARMS = {
    alarm["AlarmName"].removeprefix("claude-code-proxy "): alarm
    for alarm in Stacks().all("AWS::CloudWatch::Alarm", "observability")
}


def test_every_alarm_has_a_section_and_every_section_its_alarm() -> None:
    assert sorted(re.findall(r"^### Alarm: (.+)$", TEXT, re.MULTILINE)) == sorted(ALARMS)


@pytest.mark.parametrize("name", sorted(ALARMS))
def test_an_alarms_message_ends_with_its_section_which_says_how_grave_it_is_and_what_to_do(name: str) -> None:
    address = ALARMS[name]["AlarmDescription"].rpartition(" ")[2]
    assert address.partition("#")[0] == "ecs/README.md" and address.partition("#")[2] in slugs(PAGE)
    section = section_of(TEXT, f"Alarm: {name}").strip()
    severity = ALARMS[name]["AlarmActions"][0].split(".")[1].rstrip("}")
    assert address.endswith("#alarm-" + name.lower().replace(" ", "-")) and section.startswith(f"{severity}. ")
    assert len(section.split()) >= 15


def test_the_runbooks_address_in_alarms_can_be_ones_own() -> None:
    told = Stacks(RunbookUrl="https://wiki.example.com/proxy").all("AWS::CloudWatch::Alarm", "observability")
    assert [alarm.name for alarm in told if " https://wiki.example.com/proxy#alarm-" not in alarm["AlarmDescription"]] == []


def test_the_page_of_metrics_names_the_alarms_that_there_are_at_the_metrics_that_they_look_at() -> None:
    text = (FOLDER.parent / "docs" / "metrics.md").read_text()
    named = {(metric, name) for metric in BY_METRIC for name in re.findall(r"Alarm `([^`]+)`", section_of(text, metric))}
    looked_at = {
        (metric, name) for name, alarm in ALARMS.items() for metric in BY_METRIC if f"'{metric}'" in str(alarm.properties)
    }
    # An error rate is of errors; what is set aside raises the same alarm as what is lost.
    assert named == looked_at - {("RequestCount", "error rate")} | {("RecordsSetAside", "records lost")}


def test_every_query_is_named() -> None:
    names = {query["Name"].partition("/")[2] for query in Stacks().all("AWS::Logs::QueryDefinition")}
    text = " ".join(section_of(TEXT, "Look").split())
    assert [name for name in names if name not in text] == []


def test_every_secret_can_be_rotated() -> None:
    explained = " ".join(row[0] for row in rows("Rotate a secret"))
    assert [
        word
        for word in ("database", "owner", "`jwt-secret`", "`server-secret`", "KMS", "Bedrock", "certificate")
        if word not in explained
    ] == []
    names = {secret["Name"].partition("/")[2] for secret in Stacks().all("AWS::SecretsManager::Secret")}
    assert names == {"server-secret", "jwt-secret", "admin-password-hash"}


PRICED = (
    *("vcpu_hour", "gb_hour", "balancer_hour", "lcu_hour", "nat_hour", "address_hour", "acu_hour"),
    *("", "", "metric", "alarm", "dashboard"),  # two rows are sums of their own
)


@pytest.mark.parametrize("row", rows("What it costs"), ids=lambda row: row[0])
def test_a_months_cost_is_quantity_times_price(row: list[str]) -> None:
    quantity, price, month = Decimal(row[1].split()[0]), Decimal(row[2]), Decimal(row[3])
    assert (quantity * price).quantize(Decimal(1)) == month


def test_every_price_of_the_page_is_that_of_the_file() -> None:
    usd, told = load_prices().usd, rows("What it costs")
    assert [Decimal(row[2]) for row in told] == [Decimal(str(usd[name])) if name else 1 for name in PRICED]
    assert Decimal(told[7][1].split()[0]) == Decimal(str(usd["firewall_list"] + 4 * usd["firewall_rule"]))
    assert Decimal(told[8][1].split()[0]) == Decimal(str(usd["kms_key"] + 4 * usd["secret"]))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("database_gb", "its storage 0.10 a GB"),
        ("database_io_million", "its requests 0.20 a million"),
        ("log_gb", "logs 0.50 a GB"),
        ("nat_gb", "NAT 0.045"),
        ("out_gb", "the way out 0.09 a GB"),
        ("firewall_million", "web firewall 0.60 a million requests"),
    ],
)
def test_prices_by_use_are_those_of_the_file(name: str, text: str) -> None:
    assert text in " ".join(section_of(TEXT, "What it costs").split())
    assert float(re.findall(r"\d\.\d+", text)[0]) == load_prices().usd[name]


def test_nobody_is_told_that_these_prices_are_more_than_remembered() -> None:
    prices = load_prices()
    assert "memory" in prices.source and "Not verified" in prices.source
    assert prices.region in section_of(TEXT, "What it costs") and "No price here was looked up" in TEXT


def test_the_sum_is_the_sum() -> None:
    total = sum(Decimal(row[1].split()[0]) * Decimal(row[2]) for row in rows("What it costs"))
    assert f"Together about {int(round(total, -1))} dollars" in TEXT


def test_quantities_follow_from_the_templates() -> None:
    stacks, hours = Stacks(), 730
    task, least = stacks.one("tasks", "ProxyTask"), stacks.parameter("service", "MinTasks")
    capacity = stacks.parameter("data", "MinCapacity") * len(stacks.all("AWS::RDS::DBInstance"))
    gateways = len(stacks.all("AWS::EC2::NatGateway"))
    alarms = stacks.all("AWS::CloudWatch::Alarm")
    metrics = list(
        chain.from_iterable([e for e in alarm.get("Metrics", [{"MetricStat": 1}]) if "MetricStat" in e] for alarm in alarms)
    )
    found = [Decimal(row[1].split()[0]) for row in rows("What it costs")]
    assert found[:2] == [least * int(task["Cpu"]) // 1024 * hours, least * int(task["Memory"]) // 1024 * hours]
    assert found[4:7] == [gateways * hours, (gateways + 2) * hours, Decimal(capacity * hours)]
    assert found[7] == 5 + len(stacks.one("service", "Firewall")["Rules"])
    assert found[10] == len(metrics)


def test_figures_in_the_text_are_the_templates() -> None:
    text, stacks = " ".join(section_of(TEXT, "Scale").split()), Stacks()
    target = stacks.one("service", "ScalableTasks")
    assert f"{target['MinCapacity']} to {target['MaxCapacity']} by themselves" in text
    assert f"{stacks.parameter('data', 'MinCapacity')} to {stacks.parameter('data', 'MaxCapacity')} capacity units" in text
    assert "MaxTasks" in load_templates()["service"]["Parameters"]
