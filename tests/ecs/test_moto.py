"""What moto's CloudFormation makes of the templates, asked back through AWS's own APIs; and the product started on it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from moto import mock_aws

from core.cloudwatch import bedrock_sums
from core.crypto import CannotOpen, open_vault
from core.local_files import ensure_local
from core.log_group import request_lines
from core.settings import Settings, load_settings
from tests.ecs.moto_deployment import HASH, VALUES, Deployment, deploy
from tests.ecs.reading import listed, statements
from tests.ecs.stacks import ORDER, REGION, Stacks

pytestmark = pytest.mark.filterwarnings("ignore:Tried to parse")


@pytest.fixture(scope="module")
def deployed() -> Iterator[Deployment]:
    with mock_aws():
        yield deploy()


def task(deployed: Deployment, name: str) -> dict[str, Any]:
    answer = deployed.client("ecs").describe_task_definition(taskDefinition=deployed.outputs["tasks"][name])
    found: dict[str, Any] = answer["taskDefinition"]
    return found


def environment(deployed: Deployment) -> dict[str, str]:
    """moto keeps NoValue in a list as None."""
    (container,) = task(deployed, "ProxyTask")["containerDefinitions"]
    return {entry["name"]: entry["value"] for entry in container["environment"] if entry is not None}


def settings(deployed: Deployment) -> Settings:
    """As a task would read them: addresses are fetched from the secrets that were made."""
    return load_settings(environment(deployed))


@pytest.mark.parametrize("stack", ORDER)
def test_everything_that_moto_knows_is_made(deployed: Deployment, stack: str) -> None:
    assert deployed.made[stack] >= deployed.wanted[stack]


def test_a_database_can_be_reached_by_tasks_alone(deployed: Deployment) -> None:
    groups = deployed.client("ec2").describe_security_groups(GroupIds=[deployed.outputs["network"]["DatabaseGroup"]])
    ((permission,),) = [group["IpPermissions"] for group in groups["SecurityGroups"]]
    assert (permission["FromPort"], permission["ToPort"], permission["IpRanges"]) == (5432, 5432, [])
    assert [pair["GroupId"] for pair in permission["UserIdGroupPairs"]] == [deployed.outputs["network"]["TaskGroup"]]


def test_tasks_go_out_by_the_gateway_of_their_zone(deployed: Deployment) -> None:
    tables = [deployed.id_of("network", f"TaskRoutes{letter}") for letter in "AB"]
    found = deployed.client("ec2").describe_route_tables(RouteTableIds=tables)["RouteTables"]
    ways = {table["RouteTableId"]: _way_out(table) for table in found}
    assert ways == {table: deployed.id_of("network", f"Nat{letter}") for table, letter in zip(tables, "AB", strict=True)}


def _way_out(table: dict[str, Any]) -> str:
    (way,) = [route["NatGatewayId"] for route in table["Routes"] if route.get("DestinationCidrBlock") == "0.0.0.0/0"]
    return str(way)


def test_the_key_rotates(deployed: Deployment) -> None:
    answer = deployed.client("kms").get_key_rotation_status(KeyId=deployed.outputs["data"]["KeyArn"])
    assert answer["KeyRotationEnabled"] is True


def test_the_product_starts_with_what_was_deployed(deployed: Deployment) -> None:
    found = settings(deployed)
    assert found.environment == "production"
    assert (found.server_secret, found.jwt_secret, found.admin_password_hash) == (
        VALUES["ServerSecret"],
        VALUES["JwtSecret"],
        HASH,
    )
    assert found.database_host == "database.example.com:5432"


def test_a_bedrock_key_is_sealed_and_opened_with_the_deployed_key_for_its_row_alone(deployed: Deployment) -> None:
    found = settings(deployed)
    vault = open_vault(found, ensure_local(found))
    sealed = vault.seal("a Bedrock key", "row-1")
    assert b"a Bedrock key" not in sealed
    assert vault.open(sealed, "row-1") == "a Bedrock key"
    with pytest.raises(CannotOpen):
        vault.open(sealed, "row-2")


def test_the_product_asks_aws_for_what_its_role_allows_and_nothing_else(
    deployed: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, asked = environment(deployed), list[tuple[str, Any]]()
    session = boto3.Session()
    session.events.register(
        "before-parameter-build.*.*", lambda params, model, **_: asked.append((_action(model), params.get("EncryptionContext")))
    )
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", session)
    found = load_settings(given)
    one, another = (open_vault(found, ensure_local(found)) for _ in range(2))
    assert another.open(one.seal("a Bedrock key", "row-1"), "row-1") == "a Bedrock key"
    bedrock_sums(REGION, datetime(2026, 11, 26, tzinfo=UTC), datetime(2026, 11, 27, tzinfo=UTC), ["a"])
    list(request_lines("/claude-code-proxy/tasks", REGION, datetime.now(UTC) - timedelta(hours=1), datetime.now(UTC)))

    granted = statements(Stacks(BillReconciliation="yes"), "DeskRole")
    allowed = {action for statement in granted for action in listed(statement["Action"])}
    assert {action for action, _ in asked} == allowed - {action for action in allowed if action.startswith("ssmmessages:")}
    (bound,) = [each["Condition"]["StringEquals"] for each in granted if each["Sid"] == "BedrockKeys"]
    contexts = [{f"kms:EncryptionContext:{name}": value for name, value in context.items()} for _, context in asked if context]
    assert contexts and [context for context in contexts if not bound.items() <= context.items()] == []


def _action(model: Any) -> str:
    """As policies name it; CloudWatch signs its calls as `monitoring`."""
    return f"{model.service_model.signing_name.replace('monitoring', 'cloudwatch')}:{model.name}"


def test_policies_are_such_as_iam_takes_and_name_the_deployed_secrets(deployed: Deployment) -> None:
    iam = deployed.client("iam")
    arn = deployed.id_of("tasks", "ReadSecrets")
    version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
    document = iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]
    named = document["Statement"][0]["Resource"]
    assert sorted(named) == sorted(deployed.outputs["data"][name] for name in VALUES)


def test_the_host_name_leads_to_the_targets_and_the_service_runs_the_deployed_revision(deployed: Deployment) -> None:
    rules = deployed.client("elbv2").describe_rules(ListenerArn=deployed.id_of("service", "Https"))["Rules"]
    forwards = [rule["Actions"][0]["TargetGroupArn"] for rule in rules if rule["Actions"][0]["Type"] == "forward"]
    assert forwards == [deployed.id_of("service", "Targets")]
    service = deployed.outputs["service"]["Service"]
    found = deployed.client("ecs").describe_services(cluster=deployed.outputs["tasks"]["Cluster"], services=[service])["services"]
    assert [(one["desiredCount"], one["taskDefinition"]) for one in found] == [(2, deployed.outputs["tasks"]["ProxyTask"])]


def test_logs_end_after_30_days(deployed: Deployment) -> None:
    groups = deployed.client("logs").describe_log_groups()["logGroups"]
    assert {group["logGroupName"]: group["retentionInDays"] for group in groups} == {
        "/claude-code-proxy/tasks": 30,
        "/claude-code-proxy/flow": 30,
        "/aws/rds/cluster/claude-code-proxy/postgresql": 30,
    }


def test_the_settings_of_the_deployed_task_hold_no_secret(deployed: Deployment) -> None:
    text = json.dumps(task(deployed, "ProxyTask"), default=str)
    assert [name for name, value in VALUES.items() if value in text] == []
