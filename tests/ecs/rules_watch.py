"""What alarms, dashboard, queries and all templates must be: every public function is a rule, and yields what breaks it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from core.record import RequestRecord
from tests.ecs.stacks import FOLDER, ORDER, Resource, Stacks, Unresolved, named_resources, strings_of

# SPEC section 13: name -> dimensions in which it is sent, "" without any.
CATALOGUE: dict[str, set[str]] = {
    "RequestCount": {"", "provider"},
    "RequestLatency": {"", "provider"},
    "ProxyOverhead": {"", "provider"},
    "TimeToFirstByte": {"", "provider"},
    "ErrorCount": {"", "error_type"},
    "FallbackCount": {"", "reason"},
    "CircuitBreakerState": {"", "access_key_id"},
    "TokensUsed": {"token_type"},
    "BedrockSpend": {""},
    "LedgerBacklog": {""},
    "LedgerBacklogAge": {""},
    "LogLinesDropped": {""},
    "ActiveStreams": {""},
    "HubLag": {""},
    "DatabaseAway": {""},
}
OURS, LINES = "ClaudeCodeProxy", "ClaudeCodeProxy/Log"
# The table of alarms: severity, metric, statistic, period x periods, comparison, threshold.
_ALARMS = {
    "FewTasks": ("Critical", "HealthyHostCount", "Minimum", 60, 2, "LessThanThreshold", 2),
    "RecordsLost": ("Critical", "RecordsLost", "Sum", 60, 1, "GreaterThanThreshold", 0),
    "Overhead": ("Warning", "ProxyOverhead", "p95", 300, 1, "GreaterThanThreshold", 1000),
    "DatabaseCpu": ("Warning", "CPUUtilization", "Average", 300, 1, "GreaterThanThreshold", 80),
    "DatabaseCapacity": ("Warning", "ACUUtilization", "Average", 300, 3, "GreaterThanThreshold", 90),
    "Backlog": ("Warning", "LedgerBacklog", "Maximum", 60, 3, "GreaterThanThreshold", 500),
    "BacklogAge": ("Warning", "LedgerBacklogAge", "Maximum", 60, 3, "GreaterThanThreshold", 120),
    "LinesDropped": ("Warning", "LogLinesDropped", "Sum", 300, 1, "GreaterThanThreshold", 0),
    "SpendRate": ("Warning", "BedrockSpend", "Sum", 3600, 1, "GreaterThanThreshold", 50),
    "SlowHub": ("Warning", "HubLag", "Maximum", 60, 3, "GreaterThanThreshold", 250),
    "BalancerErrors": ("Warning", "HTTPCode_ELB_5XX_Count", "Sum", 300, 1, "GreaterThanThreshold", 10),
    "KeyTrouble": ("Warning", "BedrockKeyTrouble", "Sum", 300, 1, "GreaterThanThreshold", 0),
    "DatabaseAway": ("Warning", "DatabaseAway", "Maximum", 60, 1, "GreaterThanOrEqualToThreshold", 1),
    "CircuitOpen": ("Info", "CircuitBreakerState", "Maximum", 60, 1, "GreaterThanOrEqualToThreshold", 1),
}
_OF_THE_LINE = {"log", "logger", "reason", "circuit"}  # in `context`, beside a record's fields
_AUTOMATIC = {"@timestamp", "@message", "timestamp", "request_id", "level", "message"}
_INSIGHTS_WORDS = {
    "fields", "filter", "stats", "sort", "limit", "by", "as", "and", "or", "asc", "desc",
    "count", "sum", "max", "pct", "not", "ispresent",
}  # fmt: skip


def each_alarm_is_as_decided(s: Stacks) -> Iterator[str]:
    for name, wanted in _ALARMS.items():
        alarm = s.one("observability", name)
        statistic = alarm.get("Statistic") or alarm.get("ExtendedStatistic")
        found = (
            _severity(alarm), alarm["MetricName"], statistic, alarm["Period"], alarm["EvaluationPeriods"],
            alarm["ComparisonOperator"], alarm["Threshold"],
        )  # fmt: skip
        if found != wanted or alarm["DatapointsToAlarm"] != alarm["EvaluationPeriods"]:
            yield f"{name} is {found}, not {wanted}"


def more_than_1_percent_of_errors_in_5_minutes_is_critical(s: Stacks) -> Iterator[str]:
    alarm = s.one("observability", "ErrorRate")
    math = {entry["Id"]: entry for entry in alarm["Metrics"]}
    if math["rate"]["Expression"] != "IF(requests > 20, 100 * FILL(errors, 0) / requests, 0)":
        yield math["rate"]["Expression"]
    for name, metric in (("errors", "ErrorCount"), ("requests", "RequestCount")):
        if math[name]["MetricStat"] != {"Stat": "Sum", "Period": 300, "Metric": {"Namespace": OURS, "MetricName": metric}}:
            yield f"{name}: {math[name]['MetricStat']}"
    if (_severity(alarm), alarm["EvaluationPeriods"], alarm["DatapointsToAlarm"], alarm["Threshold"]) != ("Critical", 1, 1, 1):
        yield f"{_severity(alarm)}, {alarm['EvaluationPeriods']} periods, {alarm['Threshold']} %"
    if alarm["ComparisonOperator"] != "GreaterThanThreshold":
        yield alarm["ComparisonOperator"]


def missing_tasks_are_as_bad_as_unhealthy_ones(s: Stacks) -> Iterator[str]:
    for alarm in s.all("AWS::CloudWatch::Alarm", "observability"):
        wanted = "breaching" if alarm.name == "FewTasks" else "notBreaching"
        if alarm["TreatMissingData"] != wanted:
            yield f"{alarm.name}: {alarm['TreatMissingData']}"


def every_alarm_has_its_line_here(s: Stacks) -> Iterator[str]:
    names = {alarm.name for alarm in s.all("AWS::CloudWatch::Alarm", "observability")}
    yield from sorted(names ^ {"ErrorRate", *_ALARMS})


def alarms_are_of_our_load_balancer_and_database(s: Stacks) -> Iterator[str]:
    balancer, database = "${service.LoadBalancer.LoadBalancerFullName}", "${data.Database}"
    wanted = {
        "FewTasks": {"TargetGroup": "${service.Targets.TargetGroupFullName}", "LoadBalancer": balancer},
        "BalancerErrors": {"LoadBalancer": balancer},
        "DatabaseCpu": {"DBClusterIdentifier": database, "Role": "WRITER"},
        "DatabaseCapacity": {"DBClusterIdentifier": database, "Role": "WRITER"},
    }
    for alarm in s.all("AWS::CloudWatch::Alarm", "observability"):
        found = {dimension["Name"]: dimension["Value"] for dimension in alarm.get("Dimensions", [])}
        if found != wanted.get(alarm.name, {}):
            yield f"{alarm.name} is of {found}"


def statistics_are_spelt_as_cloudwatch_does(s: Stacks) -> Iterator[str]:
    for alarm in s.all("AWS::CloudWatch::Alarm"):
        stats = [alarm.get("Statistic"), alarm.get("ExtendedStatistic")]
        stats += [entry["MetricStat"]["Stat"] for entry in alarm.get("Metrics", []) if "MetricStat" in entry]
        for stat in filter(None, stats):
            if not re.fullmatch(r"Average|Sum|Minimum|Maximum|SampleCount|p(100|\d\d?(\.\d+)?)", stat):
                yield f"{alarm.name}: {stat}"


def metrics_of_ours_exist(s: Stacks) -> Iterator[str]:
    """Alarms cannot search, so what they use must be sent without a dimension, too."""
    own = {filter_["MetricTransformations"][0]["MetricName"] for filter_ in s.all("AWS::Logs::MetricFilter")}
    for alarm in s.all("AWS::CloudWatch::Alarm"):
        metrics = [alarm.properties, *(e["MetricStat"]["Metric"] for e in alarm.get("Metrics", []) if "MetricStat" in e)]
        for metric in metrics:
            name, space = metric.get("MetricName"), metric.get("Namespace")
            if space not in (None, OURS, LINES, "AWS/ECS", "AWS/RDS", "AWS/ApplicationELB"):
                yield f"{alarm.name} uses {space}"
            if (space == OURS and "" not in CATALOGUE.get(name, set())) or (space == LINES and name not in own):
                yield f"{alarm.name} uses {space} {name}"


def topics_are_sealed_and_open_to_alarms_of_this_account(s: Stacks) -> Iterator[str]:
    topics = s.all("AWS::SNS::Topic")
    if {topic.name for topic in topics} != {"Critical", "Warning", "Info"}:
        yield f"{[topic.name for topic in topics]}"
    yield from (f"{topic.name} is not sealed" for topic in topics if topic.get("KmsMasterKeyId") != "${data.Key.Arn}")
    for policy in s.all("AWS::SNS::TopicPolicy"):
        (statement,) = policy["PolicyDocument"]["Statement"]
        allowed = (statement["Effect"], statement["Principal"], statement["Action"], statement.get("Condition"))
        ours = {"StringEquals": {"aws:SourceAccount": "111122223333"}}
        if allowed != ("Allow", {"Service": "cloudwatch.amazonaws.com"}, "sns:Publish", ours):
            yield f"{policy.name}: {allowed}"
    if len(s.all("AWS::SNS::TopicPolicy")) != len(topics):
        yield "a topic has no policy"


def mail_goes_to_whom_it_is_meant_for(s: Stacks) -> Iterator[str]:
    given = {f"{severity}Email": f"{severity.lower()}@example.com" for severity in ("Critical", "Warning", "Info")}
    for mail in Stacks(s.templates, **given).all("AWS::SNS::Subscription"):
        severity = mail.name.removesuffix("Mail")
        found = (mail["TopicArn"], mail["Protocol"], mail["Endpoint"])
        if found != (f"${{observability.{severity}}}", "email", f"{severity.lower()}@example.com"):
            yield f"{mail.name}: {found}"
    if s.all("AWS::SNS::Subscription"):
        yield "mails without an address"


def the_dashboard_is_json_and_shows_every_metric(s: Stacks) -> Iterator[str]:
    body = json.loads(s.one("observability", "Dashboard")["DashboardBody"])
    text = json.dumps(body)
    shown = {name for name in CATALOGUE if f'"{OURS}", "{name}"' in text or f'MetricName=\\"{name}\\"' in text}
    yield from (f"{name} is not shown" for name in CATALOGUE if name not in shown)
    for dimension, name in re.findall(r'\{ClaudeCodeProxy,(\w+)\} MetricName=\\"(\w+)\\"', text):
        if dimension not in CATALOGUE.get(name, set()):
            yield f"{name} has no dimension {dimension}"
    for name in re.findall(r'"ClaudeCodeProxy", "(\w+)"', text):
        if "" not in CATALOGUE.get(name, set()):
            yield f"{name} is not sent without a dimension"


def widgets_do_not_cover_each_other(s: Stacks) -> Iterator[str]:
    widgets = json.loads(s.one("observability", "Dashboard")["DashboardBody"])["widgets"]
    places = [(widget["x"], widget["y"]) for widget in widgets]
    if len(set(places)) != len(places) or any(widget["x"] + widget["width"] > 24 for widget in widgets):
        yield f"{places}"


def queries_use_fields_that_lines_have(s: Stacks) -> Iterator[str]:
    known = (
        {f"context.{field.name}" for field in fields(RequestRecord)} | {f"context.{name}" for name in _OF_THE_LINE} | _AUTOMATIC
    )
    for query in s.all("AWS::Logs::QueryDefinition"):
        text = re.sub(r'^#.*$|"[^"]*"', "", query["QueryString"], flags=re.MULTILINE)
        words = {re.sub(r"^(context\.trace)\.\d$", r"\1", word) for word in re.findall(r"@?[a-z][\w.]*", text)}
        named = set(re.findall(r"\bas (\w+)", text))
        yield from (f"{query.name}: {word}" for word in sorted(words - known - named - _INSIGHTS_WORDS))


def saved_queries_are_those_that_were_tried(s: Stacks) -> Iterator[str]:
    """Word for word the files that tests run over a real server's lines, each once."""
    files = {path.read_text().strip(): path.stem for path in (FOLDER / "queries").iterdir()}
    saved = [query["QueryString"].strip() for query in s.all("AWS::Logs::QueryDefinition")]
    yield from (f"{stem} is not saved" for text, stem in files.items() if text not in saved)
    yield from (f"never tried: {text.splitlines()[0]}" for text in saved if text not in files)
    if len(set(saved)) != len(saved):
        yield "one is saved twice"


def operators_questions_have_queries(s: Stacks) -> Iterator[str]:
    found = {query["Name"].partition("/")[2] for query in s.all("AWS::Logs::QueryDefinition")}
    asked = {"one request", "who is on Bedrock and why", "slowest", "errors by fault", "spend by user"}
    yield from (f"there is no query {name}" for name in asked - found)
    for query in s.all("AWS::Logs::QueryDefinition"):
        if query["LogGroupNames"] != ["${tasks.Logs}"]:
            yield f"{query.name} asks {query['LogGroupNames']}"


def lines_that_alarm_are_written_by_the_product(s: Stacks) -> Iterator[str]:
    sources = [path.read_text() for folder in ("core", "proxy_app") for path in (FOLDER.parent / folder).rglob("*.py")]
    written = "".join([*sources, (FOLDER.parent / "wsgi.py").read_text()])
    for lines in s.all("AWS::Logs::MetricFilter"):
        for message in re.findall(r'"([^"]+)"', lines["FilterPattern"]):
            text = f'"{message[:-1]}' if message.endswith("*") else f'"{message}"'
            if text not in written:
                yield f"{lines.name}: nobody writes {message}"
        (metric,) = lines["MetricTransformations"]
        if (metric["MetricNamespace"], metric["MetricValue"], metric["DefaultValue"]) != (LINES, "1", 0):
            yield f"{lines.name}: {metric}"


def what_is_named_exists(s: Stacks) -> Iterator[str]:
    """Every name resolves, under each answer to each choice."""
    answers: list[dict[str, str]] = [{}]
    answers += [{"NatGateways": "one"}, {"PrivateEndpoints": "yes"}, {"WebFirewall": "no"}, {"FlowLogs": "no"}]
    answers += [{"FirstDeployment": "no"}, {"BillReconciliation": "yes"}, {"CriticalEmail": "ops@example.com"}]
    for given in answers:
        chosen = Stacks(s.templates, **given)
        try:
            chosen.all()
            for stack in ORDER:
                yield from (f"{stack}: {name}" for name in chosen.templates[stack]["Outputs"] if not chosen.output(stack, name))
        except (Unresolved, KeyError, IndexError) as error:
            yield f"{given}: {error}"


def what_is_waited_for_exists(s: Stacks) -> Iterator[str]:
    for stack, template in s.templates.items():
        for name, raw in template["Resources"].items():
            waits = raw.get("DependsOn", [])
            missing = set([waits] if isinstance(waits, str) else waits) - template["Resources"].keys()
            yield from (f"{stack}: {name} waits for {other}" for other in missing)


def nothing_waits_for_itself(s: Stacks) -> Iterator[str]:
    for stack, template in s.templates.items():
        names = set(template["Resources"])
        waits = {name: named_resources(raw, names) | _depends_on(raw) for name, raw in template["Resources"].items()}
        while ready := [name for name, others in waits.items() if not others & waits.keys()]:
            waits = {name: others for name, others in waits.items() if name not in ready}
        if waits:
            yield f"{stack}: {sorted(waits)}"


def each_parameter_is_used_and_explained_where_it_is_asked_for(s: Stacks) -> Iterator[str]:
    for stack, template in s.templates.items():
        rest = {part: template[part] for part in template if part != "Parameters"}
        used = named_resources(rest, set(template["Parameters"]))
        for name, declared in template["Parameters"].items():
            if name not in used:
                yield f"{stack}: {name} is not used"
            if "Default" not in declared and not declared.get("Description"):
                yield f"{stack}: {name} is not explained"


def parameters_of_one_name_are_alike_everywhere(s: Stacks) -> Iterator[str]:
    seen: dict[str, tuple[Any, ...]] = {}
    for stack, template in s.templates.items():
        for name, declared in template["Parameters"].items():
            shape = tuple(declared.get(key) for key in ("Type", "Default", "AllowedPattern"))
            if seen.setdefault(name, shape) != shape:
                yield f"{stack}: {name}"


def templates_fit_into_a_request(s: Stacks) -> Iterator[str]:
    """51,200 bytes; larger ones would need a bucket."""
    for stack, template in s.templates.items():
        size = len(json.dumps(template))
        if size > 51_200:
            yield f"{stack}: {size} bytes"


def no_password_or_key_stands_in_a_template(s: Stacks) -> Iterator[str]:
    for stack, template in s.templates.items():
        for text in strings_of(template):
            if re.search(r"\$2[aby]\$|AKIA[0-9A-Z]{16}|-----BEGIN|ABSK", text):
                yield f"{stack}: {text[:12]}"


def _severity(alarm: Resource) -> str:
    (action,) = alarm["AlarmActions"]
    return str(action).removeprefix("${observability.").removesuffix("}")


def _depends_on(raw: dict[str, Any]) -> set[str]:
    waits = raw.get("DependsOn", [])
    return {waits} if isinstance(waits, str) else set(waits)
