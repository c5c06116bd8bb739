"""What load balancer, service and scaling must be: every public function is a rule, and yields what breaks it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from tests.ecs.reading import settings_of
from tests.ecs.stacks import FOLDER, Stacks, strings_of

# Elastic Load Balancing user guide, "HTTPS listeners: security policies" (read 2026-11): TLS 1.2 and 1.3 alone.
_TLS_12_AND_UP = {
    "ELBSecurityPolicy-TLS13-1-2-2021-06",
    "ELBSecurityPolicy-TLS13-1-2-Res-2021-06",
    "ELBSecurityPolicy-TLS13-1-3-2021-06",
}
# The whole of what we set, so that a misspelt name is one too many and one missing.
_BALANCER = {
    "idle_timeout.timeout_seconds": "330",
    "routing.http.drop_invalid_header_fields.enabled": "true",
    "routing.http.desync_mitigation_mode": "strictest",
    "routing.http.xff_header_processing.mode": "append",
    "deletion_protection.enabled": "true",
    "access_logs.s3.enabled": "false",
}
_TARGETS = {
    "deregistration_delay.timeout_seconds": "330",
    "load_balancing.algorithm.type": "least_outstanding_requests",
    "stickiness.enabled": "false",
}


def the_load_balancer_is_as_decided(s: Stacks) -> Iterator[str]:
    """Idle 330 s; odd headers dropped; strictest against smuggling; access logs off: they would hold every key."""
    settled = Stacks(s.templates, FirstDeployment="no")
    yield from _differences(settled.one("service", "LoadBalancer")["LoadBalancerAttributes"], _BALANCER)


def streams_of_five_minutes_finish(s: Stacks) -> Iterator[str]:
    yield from _differences(s.one("service", "Targets")["TargetGroupAttributes"], _TARGETS)


def whoever_waits_longest_is_asked_first(s: Stacks) -> Iterator[str]:
    """Upstream 300 s < load balancer 330 s < gunicorn's keepalive 340 s, or connections are reused while they close."""
    idle = int(_BALANCER["idle_timeout.timeout_seconds"])
    keepalive = int(re.findall(r"^keepalive = (\d+)", (FOLDER.parent / "gunicorn.conf.py").read_text(), re.MULTILINE)[0])
    if not settings_of(s).response_timeout_s < idle < keepalive:
        yield f"{settings_of(s).response_timeout_s}, {idle}, {keepalive}"


def targets_are_addresses_of_tasks(s: Stacks) -> Iterator[str]:
    targets = s.one("service", "Targets")
    if (targets["TargetType"], targets["Protocol"], targets["ProtocolVersion"]) != ("ip", "HTTP", "HTTP1"):
        yield f"{targets['TargetType']}, {targets['Protocol']}"


def tasks_are_asked_whether_they_are_ready(s: Stacks) -> Iterator[str]:
    targets = s.one("service", "Targets")
    if targets["HealthCheckPath"] != "/ready" or targets["Matcher"] != {"HttpCode": "200"}:
        yield f"{targets['HealthCheckPath']} {targets['Matcher']}"
    counts = ("HealthCheckIntervalSeconds", "HealthCheckTimeoutSeconds", "HealthyThresholdCount", "UnhealthyThresholdCount")
    if [targets[name] for name in counts] != [10, 5, 2, 3]:
        yield f"{[targets[name] for name in counts]}"


def only_tls_12_and_up_is_spoken(s: Stacks) -> Iterator[str]:
    https = s.one("service", "Https")
    if (https["Protocol"], https["Port"]) != ("HTTPS", 443) or https.get("SslPolicy") not in _TLS_12_AND_UP:
        yield f"{https['Protocol']} {https['Port']} {https.get('SslPolicy')}"


def the_certificate_is_from_acm(s: Stacks) -> Iterator[str]:
    (certificate,) = s.one("service", "Https")["Certificates"]
    if certificate["CertificateArn"] != s.parameter("service", "CertificateArn"):
        yield f"{certificate}"
    if ":acm:" not in s.templates["service"]["Parameters"]["CertificateArn"]["AllowedPattern"]:
        yield "any certificate will do"


def http_is_sent_on_to_https(s: Stacks) -> Iterator[str]:
    http = s.one("service", "Http")
    (action,) = http["DefaultActions"]
    wanted = {"Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301"}
    if (http["Port"], http["Protocol"]) != (80, "HTTP") or action.get("RedirectConfig") != wanted:
        yield f"{http['Port']}: {action}"


def only_the_host_name_leads_to_tasks(s: Stacks) -> Iterator[str]:
    forwards = [rule for rule in s.all("AWS::ElasticLoadBalancingV2::ListenerRule") if rule["Actions"][0]["Type"] == "forward"]
    for rule in forwards:
        if rule["Conditions"] != [{"Field": "host-header", "HostHeaderConfig": {"Values": [s.parameter("service", "HostName")]}}]:
            yield f"{rule.name}: {rule['Conditions']}"
    if len(forwards) != 1 or s.one("service", "Https")["DefaultActions"][0]["Type"] != "fixed-response":
        yield "there is another way to the tasks"


def metrics_are_not_reached_from_outside(s: Stacks) -> Iterator[str]:
    rule = s.one("service", "NoMetricsOutside")
    paths = rule["Conditions"][0]["PathPatternConfig"]["Values"]
    if paths != ["/metrics", "/metrics/*"] or rule["Actions"][0]["Type"] != "fixed-response":
        yield f"{paths}: {rule['Actions']}"
    if rule["Priority"] >= s.one("service", "ToTasks")["Priority"]:
        yield "its rule comes after the one that forwards"


def rules_have_different_priorities(s: Stacks) -> Iterator[str]:
    priorities = [rule["Priority"] for rule in s.all("AWS::ElasticLoadBalancingV2::ListenerRule")]
    if len(set(priorities)) != len(priorities):
        yield f"{priorities}"


def the_firewall_lets_admin_networks_alone_to_admin(s: Stacks) -> Iterator[str]:
    rule = s.one("service", "Firewall")["Rules"][0]
    parts = rule["Statement"]["AndStatement"]["Statements"]
    if rule["Action"] != {"Block": {}} or parts[0]["ByteMatchStatement"]["SearchString"] != "/admin":
        yield f"{rule['Name']} does not block"
    steps = [step["Type"] for step in parts[0]["ByteMatchStatement"]["TextTransformations"]]
    if steps != ["URL_DECODE", "NORMALIZE_PATH", "LOWERCASE"]:
        yield f"{rule['Name']} can be passed by writing the path otherwise"
    reference = parts[1]["NotStatement"]["Statement"]["IPSetReferenceStatement"]["Arn"]
    if reference != "${service.AdminNetworks.Arn}":
        yield f"{reference}"
    if s.one("service", "AdminNetworks")["Addresses"] != s.parameter("service", "AdminAllowedCidrs"):
        yield "it is another list"


def the_firewall_reads_no_body_of_developers(s: Stacks) -> Iterator[str]:
    """The groups that look into bodies are limited to pages for people; what stays looks at addresses alone."""
    for rule in s.one("service", "Firewall")["Rules"]:
        group = rule["Statement"].get("ManagedRuleGroupStatement")
        if group is None or group["Name"] == "AWSManagedRulesAmazonIpReputationList":
            continue
        scope = group.get("ScopeDownStatement", {}).get("OrStatement", {}).get("Statements", [])
        if {part["ByteMatchStatement"]["SearchString"] for part in scope} != {"/admin", "/claim"}:
            yield f"{rule['Name']} looks into every body"
        transformations = [part["ByteMatchStatement"]["TextTransformations"] for part in scope]
        if [[step["Type"] for step in steps] for steps in transformations] != [["URL_DECODE", "NORMALIZE_PATH"]] * 2:
            yield f"{rule['Name']} can be passed by writing the path otherwise"
    if any("Body" in text for text in strings_of(s.one("service", "Firewall").properties)):
        yield "a rule names bodies"


def the_firewall_keeps_no_url(s: Stacks) -> Iterator[str]:
    firewall = s.one("service", "Firewall")
    views = [firewall["VisibilityConfig"], *(rule["VisibilityConfig"] for rule in firewall["Rules"])]
    yield from (f"{view['MetricName']} keeps samples" for view in views if view["SampledRequestsEnabled"] is not False)
    yield from (log.name for log in s.all("AWS::WAFv2::LoggingConfiguration"))


def the_firewall_is_a_choice(s: Stacks) -> Iterator[str]:
    without = Stacks(s.templates, WebFirewall="no")
    yield from (resource.name for resource in without.all() if "WAFv2" in resource.kind)
    if s.one("service", "FirewallInFront")["ResourceArn"] != s.one("service", "LoadBalancer").ref:
        yield "it stands in front of something else"


def the_service_waits_for_its_way_in(s: Stacks) -> Iterator[str]:
    """ECS refuses a target group that no rule uses yet."""
    waits = s.one("service", "Service").attributes.get("DependsOn", [])
    if not {"Https", "ToTasks"} <= set(waits):
        yield f"it waits for {waits}"


def deployments_keep_every_task_and_roll_back(s: Stacks) -> Iterator[str]:
    wanted = {
        "MinimumHealthyPercent": 100,
        "MaximumPercent": 200,
        "DeploymentCircuitBreaker": {"Enable": True, "Rollback": True},
    }
    if s.one("service", "Service")["DeploymentConfiguration"] != wanted:
        yield f"{s.one('service', 'Service')['DeploymentConfiguration']}"


def tasks_are_spread_over_zones(s: Stacks) -> Iterator[str]:
    service = s.one("service", "Service")
    if service["AvailabilityZoneRebalancing"] != "ENABLED" or service["LaunchType"] != "FARGATE":
        yield "tasks may all be in one zone"
    if len(s.one("service", "LoadBalancer")["Subnets"]) != 2:
        yield "the load balancer is in one zone"


def there_are_two_to_ten_tasks(s: Stacks) -> Iterator[str]:
    target = s.one("service", "ScalableTasks")
    if (target["MinCapacity"], target["MaxCapacity"]) != (2, 10):
        yield f"{target['MinCapacity']} to {target['MaxCapacity']}"
    if (target["ScalableDimension"], target["ServiceNamespace"]) != ("ecs:service:DesiredCount", "ecs"):
        yield f"{target['ScalableDimension']}"
    if target["ResourceId"] != "service/${tasks.Cluster}/${service.Service.Name}":
        yield f"{target['ResourceId']} is not our service"


def a_deployment_leaves_the_number_of_tasks_to_scaling(s: Stacks) -> Iterator[str]:
    first, later = (Stacks(s.templates, FirstDeployment=answer).one("service", "Service") for answer in ("yes", "no"))
    if first.get("DesiredCount") != 2 or "DesiredCount" in later.properties:
        yield f"first {first.get('DesiredCount')}, later {later.get('DesiredCount')}"


def tasks_are_added_above_70_cpu_or_80_memory_for_3_minutes(s: Stacks) -> Iterator[str]:
    for name, metric, threshold in (("BusyCpu", "CPUUtilization", 70), ("BusyMemory", "MemoryUtilization", 80)):
        alarm = s.one("service", name)
        found = (
            alarm["MetricName"],
            alarm["ComparisonOperator"],
            alarm["Threshold"],
            alarm["Period"],
            alarm["EvaluationPeriods"],
        )
        if found != (metric, "GreaterThanThreshold", threshold, 60, 3) or alarm["DatapointsToAlarm"] != 3:
            yield f"{name}: {found}"
        if alarm["TreatMissingData"] != "missing":
            yield f"{name} takes missing data for {alarm['TreatMissingData']}"
        if alarm["AlarmActions"] != [s.one("service", "ScaleOut").ref] or alarm["Namespace"] != "AWS/ECS":
            yield f"{name} does {alarm['AlarmActions']}"
        yield from _is_of_the_service(s, name, alarm["Dimensions"])
    policy = s.one("service", "ScaleOut")["StepScalingPolicyConfiguration"]
    few = {"MetricIntervalLowerBound": 0, "MetricIntervalUpperBound": 15, "ScalingAdjustment": 1}
    many = {"MetricIntervalLowerBound": 15, "ScalingAdjustment": 3}
    if policy["StepAdjustments"] != [few, many] or policy["AdjustmentType"] != "ChangeInCapacity":
        yield f"adds {policy}"


def tasks_are_taken_away_by_one_alarm_below_30_cpu_and_40_memory_for_10_minutes(s: Stacks) -> Iterator[str]:
    alarm, removal = s.one("service", "Idle"), s.one("service", "ScaleIn").ref
    math = {entry["Id"]: entry for entry in alarm["Metrics"]}
    if math["idle"]["Expression"] != "IF(cpu < 30 AND memory < 40, 1, 0)":
        yield math["idle"]["Expression"]
    found = [
        alarm[name] for name in ("EvaluationPeriods", "DatapointsToAlarm", "Threshold", "ComparisonOperator", "TreatMissingData")
    ]
    if found != [10, 10, 1, "GreaterThanOrEqualToThreshold", "missing"]:
        yield f"{found}"
    for name, metric in (("cpu", "CPUUtilization"), ("memory", "MemoryUtilization")):
        stat = math[name]["MetricStat"]
        if (stat["Metric"]["MetricName"], stat["Period"], stat["Stat"]) != (metric, 60, "Average"):
            yield f"{name}: {stat}"
        yield from _is_of_the_service(s, name, stat["Metric"]["Dimensions"])
    takers = [other.name for other in s.all("AWS::CloudWatch::Alarm") if removal in other["AlarmActions"]]
    steps = s.one("service", "ScaleIn")["StepScalingPolicyConfiguration"]["StepAdjustments"]
    if takers != ["Idle"] or [step["ScalingAdjustment"] for step in steps] != [-1]:
        yield f"{takers} take away by {steps}"


def expressions_use_the_metrics_there_are(s: Stacks) -> Iterator[str]:
    for alarm in s.all("AWS::CloudWatch::Alarm"):
        entries = alarm.get("Metrics", [])
        ids = {entry["Id"] for entry in entries}
        used = {name for entry in entries for name in re.findall(r"\b[a-z]\w*\b", entry.get("Expression", ""))}
        yield from (f"{alarm.name} uses {name}" for name in used - ids)
        yield from (f"{alarm.name} does not use {entry['Id']}" for entry in entries if _is_idle(entry, used))
        if entries and sum(entry["ReturnData"] is True for entry in entries) != 1:
            yield f"{alarm.name} has not one result"


def _is_idle(entry: dict[str, Any], used: set[str]) -> bool:
    return "MetricStat" in entry and entry["Id"] not in used


def _is_of_the_service(s: Stacks, name: str, dimensions: list[dict[str, str]]) -> Iterator[str]:
    wanted = {"ClusterName": "${tasks.Cluster}", "ServiceName": "${service.Service.Name}"}
    if {dimension["Name"]: dimension["Value"] for dimension in dimensions} != wanted:
        yield f"{name} is of {dimensions}"


def _differences(attributes: list[dict[str, str]], wanted: dict[str, str]) -> Iterator[str]:
    found = {attribute["Key"]: attribute["Value"] for attribute in attributes}
    yield from (
        f"{key} is {found.get(key)}, not {wanted.get(key)}"
        for key in sorted(found.keys() | wanted)
        if found.get(key) != wanted.get(key)
    )
