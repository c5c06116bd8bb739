"""Mistakes that people make in templates, one function each, and what must catch it: rules of the contract, and linters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.ecs.stacks import Templates


@dataclass(frozen=True, slots=True)
class Fault:
    """`rule` of the contract reports it, and so does each of `linters`: (program, id of its check)."""

    name: str
    stack: str
    plant: Callable[[Templates], None]
    rule: str = ""
    linters: tuple[tuple[str, str], ...] = ()


def resource(t: Templates, stack: str, name: str) -> dict[str, Any]:
    return t[stack]["Resources"][name]


def properties(t: Templates, stack: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = resource(t, stack, name)["Properties"]
    return found


def container(t: Templates) -> dict[str, Any]:
    found: dict[str, Any] = properties(t, "tasks", "ProxyTask")["ContainerDefinitions"][0]
    return found


def set_to(stack: str, name: str, **values: Any) -> Callable[[Templates], None]:
    return lambda t: properties(t, stack, name).update(values)


def attribute(name: str, position: int, **values: str) -> Callable[[Templates], None]:
    """Of the load balancer or its targets."""
    kind = "LoadBalancerAttributes" if name == "LoadBalancer" else "TargetGroupAttributes"
    return lambda t: properties(t, "service", name)[kind][position].update(values)


def of_container(**values: Any) -> Callable[[Templates], None]:
    return lambda t: container(t).update(values)


def parameter(stack: str, name: str, **values: Any) -> Callable[[Templates], None]:
    return lambda t: t[stack]["Parameters"][name].update(values)


def misspelt_action(t: Templates) -> None:
    properties(t, "tasks", "ReadSecrets")["PolicyDocument"]["Statement"][0]["Action"] = "secretsmanager:GetSecretValues"


def circle(t: Templates) -> None:
    properties(t, "network", "LoadBalancerGroup")["SecurityGroupEgress"][0] = {
        "Description": "Tasks",
        "IpProtocol": "tcp",
        "FromPort": 8080,
        "ToPort": 8080,
        "DestinationSecurityGroupId": {"Ref": "TaskGroup"},
    }
    properties(t, "network", "TaskGroup")["SecurityGroupIngress"] = [
        {
            "Description": "Load balancer",
            "IpProtocol": "tcp",
            "FromPort": 8080,
            "ToPort": 8080,
            "SourceSecurityGroupId": {"Ref": "LoadBalancerGroup"},
        }
    ]


def no_secret_readable(t: Templates) -> None:
    properties(t, "tasks", "ProxyRole")["ManagedPolicyArns"].pop(0)


def other_math_id(t: Templates) -> None:
    properties(t, "service", "Idle")["Metrics"][2]["Id"] = "mem"


def no_execution_role(t: Templates) -> None:
    del properties(t, "tasks", "ProxyTask")["ExecutionRoleArn"]


def other_port(t: Templates) -> None:
    container(t)["PortMappings"][0]["ContainerPort"] = 8000


def no_waiting(t: Templates) -> None:
    del resource(t, "service", "Service")["DependsOn"]


def open_database(t: Templates) -> None:
    rule = properties(t, "network", "DatabaseFromTasks")
    del rule["SourceSecurityGroupId"]
    rule["CidrIp"] = "0.0.0.0/0"


def public_address(t: Templates) -> None:
    properties(t, "service", "Service")["NetworkConfiguration"]["AwsvpcConfiguration"]["AssignPublicIp"] = "ENABLED"


def misspelt_mode(t: Templates) -> None:
    container(t)["LogConfiguration"]["Options"]["mode"] = "nonblocking"


def forgotten_setting(t: Templates) -> None:
    for task in ("ProxyTask", "MigrationTask", "DeskTask"):
        only = properties(t, "tasks", task)["ContainerDefinitions"][0]
        only["Environment"] = [entry for entry in only["Environment"] if entry.get("Name") != "PROXY_JWT_SECRET"]


def reads_bodies(t: Templates) -> None:
    del properties(t, "service", "Firewall")["Rules"][2]["Statement"]["ManagedRuleGroupStatement"]["ScopeDownStatement"]


CFN_LINT, CHECKOV = "cfn-lint", "checkov"

# The 26 of facts that were planted before (most of which linters alone do not see), in that order.
PLANTED = (
    Fault("CPU that is not sold with that memory", "tasks",
          lambda t: t["tasks"]["Mappings"]["Sizes"]["medium"].update(Memory="16384"), "tasks_have_a_size_that_is_sold"),
    Fault("a property that does not exist", "service", set_to("service", "Service", HealthCheckGracePeriod=60),
          linters=((CFN_LINT, "E3002"),)),
    Fault("a name that does not exist", "service", set_to("service", "ScaleIn", ScalingTargetId={"Ref": "ScalableTask"}),
          "what_is_named_exists", ((CFN_LINT, "E1020"),)),
    Fault("logs for 31 days", "tasks", set_to("tasks", "Logs", RetentionInDays=31),
          "every_log_is_kept_30_days_and_sealed", ((CFN_LINT, "E3030"),)),
    Fault("an IAM action that does not exist", "tasks", misspelt_action,
          "roles_may_do_what_is_listed_and_no_more", ((CFN_LINT, "W3037"),)),
    Fault("an engine version that does not exist", "data", set_to("data", "Database", EngineVersion="18.99"),
          linters=((CFN_LINT, "E3690"),)),
    Fault("bridge network on Fargate", "tasks", set_to("tasks", "ProxyTask", NetworkMode="bridge"),
          "tasks_run_on_fargate_in_their_own_network", ((CFN_LINT, "E3048"),)),
    Fault("two groups that wait for each other", "network", circle, "nothing_waits_for_itself", ((CFN_LINT, "E3004"),)),
    Fault("a database in clear", "data", set_to("data", "Database", StorageEncrypted=False),
          "the_database_is_encrypted_with_our_key", ((CHECKOV, "CKV_AWS_96"),)),
    Fault("an idle timeout that is not possible", "service", attribute("LoadBalancer", 0, Value="5000"),
          "the_load_balancer_is_as_decided"),
    Fault("a misspelt attribute of the load balancer", "service",
          attribute("LoadBalancer", 1, Key="routing.http.drop_invalid_headers.enabled"), "the_load_balancer_is_as_decided"),
    Fault("a misspelt attribute of the targets", "service",
          attribute("Targets", 0, Key="deregistration_delay.timeout"), "streams_of_five_minutes_finish"),
    Fault("a stop timeout that Fargate refuses", "tasks", of_container(StopTimeout=300),
          "containers_may_take_two_minutes_to_stop"),
    Fault("0.3 capacity units", "data", parameter("data", "MinCapacity", Default=0.3, MinValue=0.3),
          "the_database_scales_from_half_a_unit_to_four"),
    Fault("a percentile p950", "observability", set_to("observability", "Overhead", ExtendedStatistic="p950"),
          "statistics_are_spelt_as_cloudwatch_does"),
    Fault("a misspelt TLS policy", "service", set_to("service", "Https", SslPolicy="ELBSecurityPolicy-TLS13-1-2-2021-60"),
          "only_tls_12_and_up_is_spoken"),
    Fault("a role that cannot read the secrets", "tasks", no_secret_readable, "tasks_may_read_the_four_secrets"),
    Fault("a misspelt id in an expression", "service", other_math_id, "expressions_use_the_metrics_there_are"),
    Fault("targets that are machines", "service", set_to("service", "Targets", TargetType="instance"),
          "targets_are_addresses_of_tasks"),
    Fault("no execution role", "tasks", no_execution_role, "tasks_have_both_roles"),
    Fault("another port in the container", "tasks", other_port, "the_port_is_the_same_everywhere"),
    Fault("a service that does not wait for its listener", "service", no_waiting, "the_service_waits_for_its_way_in"),
    Fault("two rules of one priority", "service", set_to("service", "ToTasks", Priority=10), "rules_have_different_priorities"),
    Fault("a database open to the world", "network", open_database, "only_the_load_balancer_is_open_to_clients"),
    Fault("tasks with public addresses", "service", public_address, "nothing_gets_a_public_address"),
    Fault("a misspelt log mode", "tasks", misspelt_mode, "log_lines_never_hold_the_proxy_up"),
)  # fmt: skip

# More, of the kind that this installation would suffer from.
MORE = (
    Fault("a setting that production needs is forgotten", "tasks", forgotten_setting, "production_starts_with_these_settings"),
    Fault("a setting that does not exist", "tasks",
          lambda t: container(t)["Environment"].append({"Name": "PROXY_WORKER", "Value": "2"}),
          "production_starts_with_these_settings"),
    Fault("three workers", "tasks", parameter("tasks", "Workers", Default=3, MaxValue=3),
          "a_task_opens_ten_database_connections_at_most"),
    Fault("a writable root", "tasks", of_container(ReadonlyRootFilesystem=False), "root_file_systems_are_read_only"),
    Fault("root in the container", "tasks", of_container(User="0:0"), "containers_are_not_root"),
    Fault("access logs on", "service", attribute("LoadBalancer", 5, Value="true"), "the_load_balancer_is_as_decided"),
    Fault("the firewall reads every body", "service",
          reads_bodies,
          "the_firewall_reads_no_body_of_developers"),
    Fault("a role that cannot read a restored database's secret", "tasks",
          lambda t: properties(t, "tasks", "ReadSecrets")["PolicyDocument"]["Statement"][0]["Resource"].pop(3),
          "after_a_restore_tasks_are_told_the_new_databases_secret"),
    Fault("a query that was never tried", "observability",
          set_to("observability", "Slowest", QueryString="sort context.total_ms desc"),
          "saved_queries_are_those_that_were_tried"),
    Fault("a database that pauses", "data",
          lambda t: properties(t, "data", "Database")["ServerlessV2ScalingConfiguration"].update(SecondsUntilAutoPause=300),
          "the_database_never_pauses"),
    Fault("no TLS to the database", "data",
          lambda t: properties(t, "data", "DatabaseParameters")["Parameters"].update({"rds.force_ssl": "0"}),
          "the_database_speaks_tls_alone"),
    Fault("two alarms that take tasks away", "service",
          set_to("service", "BusyCpu", AlarmActions=[{"Ref": "ScaleIn"}]),
          "tasks_are_taken_away_by_one_alarm_below_30_cpu_and_40_memory_for_10_minutes"),
    Fault("an alarm on a metric that is not sent without dimension", "observability",
          set_to("observability", "SpendRate", MetricName="TokensUsed"), "metrics_of_ours_exist"),
    Fault("a query for a field that lines do not have", "observability",
          set_to("observability", "Slowest", QueryString="sort context.duration_ms desc"), "queries_use_fields_that_lines_have"),
    Fault("sessions that are recorded", "tasks",
          set_to("tasks", "Cluster", Configuration={"ExecuteCommandConfiguration": {"Logging": "DEFAULT"}}),
          "what_is_typed_at_the_desk_is_not_recorded"),
    Fault("a key that opens everything", "tasks",
          lambda t: properties(t, "tasks", "SealBedrockKeys")["PolicyDocument"]["Statement"][0].pop("Condition"),
          "the_key_opens_bedrock_keys_alone"),
    Fault("a deployment that throws tasks away", "service", set_to("service", "Service", DesiredCount=2),
          "a_deployment_leaves_the_number_of_tasks_to_scaling"),
    Fault("a log that a stack which is rolled back leaves behind", "tasks",
          lambda t: resource(t, "tasks", "Logs").update(DeletionPolicy="Retain"),
          "what_failed_at_its_first_time_can_be_cleared_away"),
    Fault("a load balancer that is protected before its stack stands", "service", attribute("LoadBalancer", 4, Value="true"),
          "what_failed_at_its_first_time_can_be_cleared_away"),
    Fault("an instance in a zone of its own", "data", set_to("data", "DatabaseStandby", AvailabilityZone="eu-central-1c"),
          "instances_are_in_the_zones_of_their_subnets"),
    Fault("an alarm on another installation's metrics", "observability",
          set_to("observability", "Overhead", Namespace="ClaudeCodeProxy"), "two_installations_have_metrics_of_their_own"),
)  # fmt: skip
