"""The five stacks created in moto's CloudFormation, as far as moto 5.2 goes; what it does not do is taken out by name.

It has no Fn::Cidr (resolved before), neither CidrBlock of subnets nor the full names of load balancer and targets, and none of
the types in `NOT_IN_MOTO`. Secrets are made through their own API instead, so that addresses lead to real values; of the
database only its address is made up.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import boto3

from tests.ecs.stacks import GIVEN, ORDER, REGION, Stacks, load_templates

NOT_IN_MOTO = {
    "AWS::ApplicationAutoScaling::ScalableTarget",
    "AWS::ApplicationAutoScaling::ScalingPolicy",
    "AWS::CloudWatch::Alarm",
    "AWS::CloudWatch::Dashboard",
    "AWS::EC2::SecurityGroupEgress",
    "AWS::Logs::MetricFilter",
    "AWS::Logs::QueryDefinition",
    "AWS::RDS::DBCluster",
    "AWS::RDS::DBClusterParameterGroup",
    "AWS::RDS::DBInstance",
    "AWS::RDS::DBSubnetGroup",
    "AWS::SNS::TopicPolicy",
    "AWS::SecretsManager::Secret",
    "AWS::WAFv2::IPSet",
    "AWS::WAFv2::WebACL",
    "AWS::WAFv2::WebACLAssociation",
}
HASH = "$2b$12$" + "h" * 53
VALUES = {
    "ServerSecret": "s" * 64,
    "JwtSecret": "j" * 64,
    "AdminPasswordHash": HASH,
    "DatabaseSecret": '{"username": "proxy", "password": "p"}',
}


@dataclass(frozen=True)
class Deployment:
    """`outputs` by stack, and `made`: the logical names that moto says it made, by stack."""

    outputs: dict[str, dict[str, str]]
    made: dict[str, set[str]]
    wanted: dict[str, set[str]]

    def client(self, service: str) -> Any:
        return boto3.client(service, region_name=REGION)

    def id_of(self, stack: str, name: str) -> str:
        found = self.client("cloudformation").describe_stack_resource(StackName=stack, LogicalResourceId=name)
        return str(found["StackResourceDetail"]["PhysicalResourceId"])


def deploy() -> Deployment:
    """Inside `mock_aws`."""
    formation = boto3.client("cloudformation", region_name=REGION)
    given = GIVEN | {"CertificateArn": _certificate()}
    outside = {name: _secret(name, value) for name, value in VALUES.items()}
    outside |= {"DatabaseAddress": "database.example.com:5432", "DatabaseCluster": "claude-code-proxy"}
    outside |= {"Targets": "targetgroup/proxy/1", "LoadBalancer": "app/proxy/1"}
    outputs, made, wanted = {}, {}, {}
    for stack in ORDER:
        body = _possible(stack, outside)
        parameters = [{"ParameterKey": n, "ParameterValue": given[n]} for n in body["Parameters"] if n in given]
        formation.create_stack(
            StackName=stack, TemplateBody=json.dumps(body), Parameters=parameters, Capabilities=["CAPABILITY_IAM"]
        )
        (created,) = formation.describe_stacks(StackName=stack)["Stacks"]
        outputs[stack] = {output["OutputKey"]: output["OutputValue"] for output in created.get("Outputs", [])}
        given |= {"TaskDefinition": outputs[stack].get("ProxyTask", given["TaskDefinition"])}
        listed = formation.describe_stack_resources(StackName=stack)["StackResources"]
        made[stack] = {resource["LogicalResourceId"] for resource in listed if "LogicalResourceId" in resource}
        wanted[stack] = {resource.name for resource in Stacks().all(stack=stack)} & body["Resources"].keys()
    return Deployment(outputs, made, wanted)


def _possible(stack: str, outside: dict[str, str]) -> dict[str, Any]:
    body = _without_cidr(Stacks(), stack, load_templates()[stack])
    body["Resources"] = {name: raw for name, raw in body["Resources"].items() if raw["Type"] not in NOT_IN_MOTO}
    for raw in body["Resources"].values():
        raw.pop("DependsOn", None)
    for name in body["Outputs"].keys() & outside:
        body["Outputs"][name]["Value"] = outside[name]
    return body


def _without_cidr(stacks: Stacks, stack: str, node: Any) -> Any:
    if isinstance(node, list):
        return [_without_cidr(stacks, stack, inner) for inner in node]
    if not isinstance(node, dict):
        return node
    computed = "Fn::Select" in node and "Fn::Cidr" in str(node)
    if computed or node.get("Fn::GetAtt", ["", ""])[1] == "CidrBlock":
        return stacks.resolve(stack, node)
    return {name: _without_cidr(stacks, stack, inner) for name, inner in node.items()}


def _certificate() -> str:
    return str(boto3.client("acm", region_name=REGION).request_certificate(DomainName="proxy.example.com")["CertificateArn"])


def _secret(name: str, value: str) -> str:
    return str(boto3.client("secretsmanager", region_name=REGION).create_secret(Name=name, SecretString=value)["ARN"])
