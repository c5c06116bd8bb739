"""What the settings of tasks come to: every public function is a rule, and yields what breaks it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from core.settings import BadSettings
from tests.ecs.reading import TASKS, environment, listed, pools_of_a_worker, settings_of, statements
from tests.ecs.stacks import Stacks, strings_of

MOST_CONNECTIONS = 10
# The figures of the requirements, as the product has them when it starts with what the template says.
_FIGURES = {
    "max_body_bytes": 10 * 1024 * 1024,
    "response_timeout_s": 300.0,
    "connect_timeout_s": 5.0,
    "retention_days": 30,
    "max_users": 1000,
    "max_keys_per_user": 10,
    "environment": "production",
}


def limits_are_those_of_the_requirements(s: Stacks) -> Iterator[str]:
    settings = settings_of(s)
    yield from (f"{name} is {getattr(settings, name)}" for name, value in _FIGURES.items() if getattr(settings, name) != value)


def limits_of_users_and_keys_are_configurable(s: Stacks) -> Iterator[str]:
    settings = settings_of(Stacks(s.templates, MaxUsers=2000, MaxKeysPerUser=3))
    if (settings.max_users, settings.max_keys_per_user) != (2000, 3):
        yield f"{settings.max_users} users, {settings.max_keys_per_user} keys"


def production_starts_with_these_settings(s: Stacks) -> Iterator[str]:
    """The product's own reader finds no problem: nothing missing, nothing unknown."""
    for name in TASKS:
        try:
            settings_of(s, name)
        except BadSettings as bad:
            yield from (f"{name}: {problem}" for problem in bad.problems)


def all_tasks_have_the_same_settings(s: Stacks) -> Iterator[str]:
    """The desk's sessions also need to find the code, wherever they begin."""
    own = {"DeskTask": {"PYTHONPATH": "/app"}}
    for name in TASKS:
        if environment(s, name) != environment(s, "ProxyTask") | own.get(name, {}):
            yield name


def no_secret_stands_in_the_environment(s: Stacks) -> Iterator[str]:
    """Secret settings are addresses, which the proxy itself turns into values: no console shows them."""
    found = environment(s, "ProxyTask")
    addresses = {
        "PROXY_SERVER_SECRET": "${data.ServerSecret}",
        "PROXY_JWT_SECRET": "${data.JwtSecret}",
        "PROXY_ADMIN_PASSWORD_HASH": "${data.AdminPasswordHash}",
        "PROXY_DATABASE_SECRET": "${data.Database.MasterUserSecret.SecretArn}",
        "PROXY_KMS_KEY_ID": "${data.Key.Arn}",
    }
    yield from (f"{name} is {found.get(name)}" for name, address in addresses.items() if found.get(name) != address)


def the_proxy_asks_the_database_for_tls(s: Stacks) -> Iterator[str]:
    if environment(s, "ProxyTask").get("PGSSLMODE") not in ("require", "verify-ca", "verify-full"):
        yield "libpq would also talk in clear"


def a_task_opens_ten_database_connections_at_most(s: Stacks) -> Iterator[str]:
    most = s.templates["tasks"]["Parameters"]["Workers"]["MaxValue"]
    settings = settings_of(Stacks(s.templates, Workers=most))
    pools = pools_of_a_worker(settings)
    if settings.workers * pools > MOST_CONNECTIONS:
        yield f"{settings.workers} workers of {pools} connections"


def forwarding_headers_are_believed_from_the_load_balancer_alone(s: Stacks) -> Iterator[str]:
    balancer = s.one("service", "LoadBalancer")["Subnets"]
    cidrs = [s.one("network", name.split(".")[1].rstrip("}"))["CidrBlock"] for name in balancer]
    if environment(s, "ProxyTask")["PROXY_TRUSTED_PROXIES"] != ",".join(cidrs):
        yield f"{environment(s, 'ProxyTask')['PROXY_TRUSTED_PROXIES']}, but the load balancer is in {cidrs}"


def admin_is_behind_an_allowlist(s: Stacks) -> Iterator[str]:
    for stack in ("tasks", "service"):
        if "Default" in s.templates[stack]["Parameters"]["AdminAllowedCidrs"]:
            yield f"{stack} has a default for who may reach /admin"
    if environment(s, "ProxyTask")["PROXY_ADMIN_ALLOWED_CIDRS"] != ",".join(s.parameter("tasks", "AdminAllowedCidrs")):
        yield "the proxy is told another list"


def two_installations_have_metrics_of_their_own(s: Stacks) -> Iterator[str]:
    """In one namespace the alarms of one would count the errors of the other."""
    other = Stacks(s.templates, MetricsNamespace="Staging")
    if settings_of(other).emf_namespace != "Staging":
        yield f"tasks send into {settings_of(other).emf_namespace}"
    for resource in other.all(stack="observability"):
        if any(re.search(r"\bClaudeCodeProxy\b", text) for text in strings_of(resource.properties)):
            yield f"{resource.name} looks into the namespace of another installation"


def the_bill_is_compared_by_choice(s: Stacks) -> Iterator[str]:
    wanted = {"cloudwatch:GetMetricData", "cloudwatch:ListMetrics"}
    for answer in ("yes", "no"):
        chosen = Stacks(s.templates, BillReconciliation=answer)
        allowed = {action for statement in statements(chosen, "ProxyRole") for action in listed(statement["Action"])}
        switch = environment(chosen, "ProxyTask").get("PROXY_BILL_CHECK", "off")
        if (wanted <= allowed, switch) != ((True, "on") if answer == "yes" else (False, "off")):
            yield f"{answer}: {switch}, {sorted(allowed)}"
