"""What tasks and their roles must be: every public function is a rule, and yields what breaks it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tests.ecs.reading import TASKS, container, environment, listed, settings_of, statements
from tests.ecs.stacks import Stacks

DATA_FOLDER = "/var/lib/claude-code-proxy"
SECRETS = ("ServerSecret", "JwtSecret", "AdminPasswordHash", "Database.MasterUserSecret.SecretArn")
# What Fargate sells (ECS developer guide, "Task size", read 2026-11): CPU units -> MiB.
_SOLD = {
    "256": range(512, 2049, 512),
    "512": range(1024, 4097, 1024),
    "1024": range(2048, 8193, 1024),
    "2048": range(4096, 16385, 1024),
    "4096": range(8192, 30721, 1024),
}
_NO_RESOURCES = {  # actions that AWS offers for "*" alone (service authorization reference, read 2026-11)
    "ecr:GetAuthorizationToken",
    "ssmmessages:CreateControlChannel",
    "ssmmessages:CreateDataChannel",
    "ssmmessages:OpenControlChannel",
    "ssmmessages:OpenDataChannel",
    "cloudwatch:GetMetricData",
    "cloudwatch:ListMetrics",
}
_ALLOWED = {  # role -> everything that it may do
    "ExecutionRole": {
        "ecr:GetAuthorizationToken",
        "ecr:BatchCheckLayerAvailability",
        "ecr:BatchGetImage",
        "ecr:GetDownloadUrlForLayer",
        "logs:CreateLogStream",
        "logs:PutLogEvents",
    },
    "ProxyRole": {"secretsmanager:GetSecretValue", "kms:Decrypt", "kms:GenerateDataKey"},
    "MigrationRole": {"secretsmanager:GetSecretValue", "kms:Decrypt"},
    "DeskRole": {
        "logs:FilterLogEvents",
        "secretsmanager:GetSecretValue",
        "kms:Decrypt",
        "kms:GenerateDataKey",
        "ssmmessages:CreateControlChannel",
        "ssmmessages:CreateDataChannel",
        "ssmmessages:OpenControlChannel",
        "ssmmessages:OpenDataChannel",
    },
}


def tasks_run_on_fargate_in_their_own_network(s: Stacks) -> Iterator[str]:
    for name in TASKS:
        task = s.one("tasks", name)
        if task["RequiresCompatibilities"] != ["FARGATE"] or task["NetworkMode"] != "awsvpc":
            yield f"{name}: {task['RequiresCompatibilities']}, {task['NetworkMode']}"


def tasks_have_a_size_that_is_sold(s: Stacks) -> Iterator[str]:
    for size in s.templates["tasks"]["Parameters"]["TaskSize"]["AllowedValues"]:
        chosen = Stacks(s.templates, TaskSize=size)
        for name in TASKS:
            task = chosen.one("tasks", name)
            if int(task["Memory"]) not in _SOLD.get(task["Cpu"], ()):
                yield f"{name}, {size}: {task['Cpu']} with {task['Memory']} MiB"


def tasks_have_both_roles(s: Stacks) -> Iterator[str]:
    wanted = {"ProxyTask": "ProxyRole", "MigrationTask": "MigrationRole", "DeskTask": "DeskRole"}
    for name, role in wanted.items():
        task = s.one("tasks", name)
        if task.get("ExecutionRoleArn") != "${tasks.ExecutionRole.Arn}" or task.get("TaskRoleArn") != f"${{tasks.{role}.Arn}}":
            yield f"{name}: {task.get('ExecutionRoleArn')}, {task.get('TaskRoleArn')}"


def containers_may_take_two_minutes_to_stop(s: Stacks) -> Iterator[str]:
    """Fargate allows 120 s at most; the drain and the kill of what still runs come before."""
    settings = settings_of(s)
    for name in ("ProxyTask", "MigrationTask"):
        if container(s, name).get("StopTimeout") != 120:
            yield f"{name}: {container(s, name).get('StopTimeout')} s"
    if not settings.drain_s < settings.graceful_timeout_s < 120:
        yield f"drain {settings.drain_s} s, kill {settings.graceful_timeout_s} s"


def containers_are_not_root(s: Stacks) -> Iterator[str]:
    for name in TASKS:
        if not re.fullmatch(r"[1-9]\d*:[1-9]\d*", str(container(s, name).get("User", ""))):
            yield f"{name} runs as {container(s, name).get('User')}"


def root_file_systems_are_read_only(s: Stacks) -> Iterator[str]:
    """But for the desk's: the agent of an interactive session writes to it. It takes no traffic."""
    for name in ("ProxyTask", "MigrationTask"):
        if container(s, name).get("ReadonlyRootFilesystem") is not True:
            yield f"{name} can be written to"
        if container(s, name)["LinuxParameters"].get("Capabilities") != {"Drop": ["ALL"]}:
            yield f"{name} keeps capabilities"


def what_must_be_written_has_a_volume(s: Stacks) -> Iterator[str]:
    for name, folders in (("ProxyTask", {DATA_FOLDER, "/tmp"}), ("MigrationTask", {"/tmp"}), ("DeskTask", {DATA_FOLDER, "/tmp"})):
        mounts = container(s, name)["MountPoints"]
        volumes = {volume["Name"] for volume in s.one("tasks", name)["Volumes"]}
        if {mount["ContainerPath"] for mount in mounts if not mount["ReadOnly"]} != folders:
            yield f"{name} mounts {mounts}"
        if {mount["SourceVolume"] for mount in mounts} != volumes:
            yield f"{name} has the volumes {volumes}"
    if environment(s, "ProxyTask")["PROXY_DATA_DIR"] != DATA_FOLDER:
        yield "the spool is not on its volume"


def a_task_ends_with_its_container_and_may_hold_its_connections(s: Stacks) -> Iterator[str]:
    yield from (name for name in TASKS if container(s, name)["Essential"] is not True)
    if container(s, "ProxyTask")["Ulimits"] != [{"Name": "nofile", "SoftLimit": 65535, "HardLimit": 65535}]:
        yield f"{container(s, 'ProxyTask')['Ulimits']}"


def an_init_process_reaps_children(s: Stacks) -> Iterator[str]:
    yield from (name for name in TASKS if container(s, name)["LinuxParameters"].get("InitProcessEnabled") is not True)


def the_container_is_asked_for_its_health(s: Stacks) -> Iterator[str]:
    check = container(s, "ProxyTask")["HealthCheck"]
    if check["Command"][0] != "CMD" or "http://127.0.0.1:8080/health'" not in check["Command"][-1]:
        yield f"{check['Command']}"
    if (check["Interval"], check["Timeout"], check["Retries"], check["StartPeriod"]) != (30, 5, 3, 60):
        yield f"{check}"


def log_lines_never_hold_the_proxy_up(s: Stacks) -> Iterator[str]:
    for name in TASKS:
        log = container(s, name)["LogConfiguration"]
        options = log["Options"]
        if log["LogDriver"] != "awslogs" or options.get("mode") != "non-blocking" or options.get("max-buffer-size") != "25m":
            yield f"{name}: {log['LogDriver']}, {options.get('mode')}, {options.get('max-buffer-size')}"
        if options["awslogs-group"] != s.one("tasks", "Logs").ref or not options.get("awslogs-stream-prefix"):
            yield f"{name} logs to {options['awslogs-group']}"


def the_port_is_the_same_everywhere(s: Stacks) -> Iterator[str]:
    ports = {
        "container": container(s, "ProxyTask")["PortMappings"][0]["ContainerPort"],
        "service": s.one("service", "Service")["LoadBalancers"][0]["ContainerPort"],
        "targets": s.one("service", "Targets")["Port"],
        "setting": int(environment(s, "ProxyTask")["PROXY_BIND"].rpartition(":")[2]),
        "group": s.one("network", "TasksFromLoadBalancer")["ToPort"],
    }
    if len(set(ports.values())) != 1:
        yield f"{ports}"


def the_service_runs_the_container_there_is(s: Stacks) -> Iterator[str]:
    named = s.one("service", "Service")["LoadBalancers"][0]["ContainerName"]
    if named != container(s, "ProxyTask")["Name"]:
        yield f"there is no container {named}"


def roles_may_do_what_is_listed_and_no_more(s: Stacks) -> Iterator[str]:
    for role, allowed in _ALLOWED.items():
        granted = [statement for statement in statements(s, role) if statement["Effect"] == "Allow"]
        actions = {action for statement in granted for action in listed(statement["Action"])}
        yield from (f"{role} may not do {action}" for action in allowed - actions)
        yield from (f"{role} may do {action}" for action in actions - allowed)


def roles_name_their_resources(s: Stacks) -> Iterator[str]:
    for role in _ALLOWED:
        for statement in statements(Stacks(s.templates, BillReconciliation="yes"), role):
            everything = any("*" in resource for resource in listed(statement["Resource"]))
            if everything and not set(listed(statement["Action"])) <= _NO_RESOURCES:
                yield f"{role} may {statement['Action']} everywhere"


def tasks_may_read_the_four_secrets(s: Stacks) -> Iterator[str]:
    wanted = {f"${{data.{name}}}" for name in SECRETS}
    for role in ("ProxyRole", "MigrationRole", "DeskRole"):
        readable = {
            resource
            for statement in statements(s, role)
            if "secretsmanager:GetSecretValue" in listed(statement["Action"])
            for resource in listed(statement["Resource"])
        }
        if readable != wanted:
            yield f"{role} reads {sorted(readable)}"


def after_a_restore_tasks_are_told_the_new_databases_secret(s: Stacks) -> Iterator[str]:
    """RDS cannot give a restored database the secret of the old one, and an export that is in use cannot be changed."""
    address = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:rds!cluster-1"
    restored = Stacks(s.templates, DatabaseSecret=address)
    for name, role in (("ProxyTask", "ProxyRole"), ("MigrationTask", "MigrationRole"), ("DeskTask", "DeskRole")):
        if environment(restored, name)["PROXY_DATABASE_SECRET"] != address:
            yield f"{name} reads {environment(restored, name)['PROXY_DATABASE_SECRET']}"
        if address not in {resource for statement in statements(restored, role) for resource in listed(statement["Resource"])}:
            yield f"{role} may not read it"


def the_key_opens_bedrock_keys_alone(s: Stacks) -> Iterator[str]:
    """Each use of KMS is bound: to the encryption context of core.crypto, or to Secrets Manager."""
    bound = [
        {"kms:EncryptionContext:app": "claude-code-proxy", "kms:EncryptionContext:table": "bedrock_keys"},
        {"kms:ViaService": "secretsmanager.eu-central-1.amazonaws.com"},
    ]
    for role in ("ProxyRole", "MigrationRole", "DeskRole"):
        for statement in statements(s, role):
            uses_key = any(action.startswith("kms:") for action in listed(statement["Action"]))
            if uses_key and statement.get("Condition", {}).get("StringEquals") not in bound:
                yield f"{role}, {statement['Sid']}: {statement.get('Condition')}"


def roles_are_taken_by_their_service_in_this_account_alone(s: Stacks) -> Iterator[str]:
    services = {"data": "monitoring.rds", "tasks": "ecs-tasks", "observability": "vpc-flow-logs"}
    for role in s.all("AWS::IAM::Role"):
        (statement,) = role["AssumeRolePolicyDocument"]["Statement"]
        found = (statement["Effect"], statement["Action"], statement["Principal"], statement["Condition"]["StringEquals"])
        service = {"Service": f"{services[role.stack]}.amazonaws.com"}
        if found != ("Allow", "sts:AssumeRole", service, {"aws:SourceAccount": "111122223333"}):
            yield f"{role.name}: {found}"


def what_is_typed_at_the_desk_is_not_recorded(s: Stacks) -> Iterator[str]:
    if s.one("tasks", "Cluster")["Configuration"]["ExecuteCommandConfiguration"] != {"Logging": "NONE"}:
        yield "keys that are shown once would be in a log"
    if s.one("service", "Service")["EnableExecuteCommand"] is not False:
        yield "sessions into tasks that serve"


def the_migration_is_one_command(s: Stacks) -> Iterator[str]:
    task = container(s, "MigrationTask")
    if [*task["EntryPoint"], *task["Command"]] != ["python", "-m", "admin_app", "migrate"]:
        yield f"{task['EntryPoint']} {task['Command']}"
    if task["Image"] != container(s, "ProxyTask")["Image"]:
        yield "it is another image"


def old_revisions_stay_for_rolling_back(s: Stacks) -> Iterator[str]:
    if s.one("tasks", "ProxyTask").attributes.get("UpdateReplacePolicy") != "Retain":
        yield "the old revision is gone when the new one is registered"
