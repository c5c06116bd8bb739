"""How the rules read tasks and roles: the container, its environment, the settings they come to, what a role may do."""

from __future__ import annotations

import ast
from typing import Any

from core.settings import Settings, load_settings
from tests.ecs.stacks import FOLDER, Stacks

TASKS = ("ProxyTask", "MigrationTask", "DeskTask")


def container(s: Stacks, task: str) -> dict[str, Any]:
    (only,) = s.one("tasks", task)["ContainerDefinitions"]
    return dict(only)


def environment(s: Stacks, task: str) -> dict[str, str]:
    return {entry["Name"]: str(entry["Value"]) for entry in container(s, task)["Environment"]}


def settings_of(s: Stacks, task: str = "ProxyTask") -> Settings:
    """As the product reads them; in place of what AWS would know, something of the same shape."""
    known = {
        "${data.ServerSecret}": "s" * 64,
        "${data.JwtSecret}": "j" * 64,
        "${data.AdminPasswordHash}": "$2b$12$" + "h" * 53,
        "${data.Database.MasterUserSecret.SecretArn}": '{"username": "proxy", "password": "p"}',
    }
    return load_settings({name: known.get(value, value) for name, value in environment(s, task).items()})


def statements(s: Stacks, role: str) -> list[dict[str, Any]]:
    found = s.one("tasks", role)
    managed = [s.one("tasks", ref.split(".")[1].rstrip("}")) for ref in found.get("ManagedPolicyArns", [])]
    documents = [policy["PolicyDocument"] for policy in [*found.get("Policies", []), *managed]]
    return [statement for document in documents for statement in document["Statement"]]


def listed(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]


def pools_of_a_worker(settings: Settings) -> int:
    """Every pool that the composition root opens: its size is a number or the setting."""
    sizes = [
        keyword.value
        for node in ast.walk(ast.parse((FOLDER.parent / "wsgi.py").read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "open_database"
        for keyword in node.keywords
        if keyword.arg == "pool_size"
    ]
    assert len(sizes) >= 2, "the composition root opens its pools elsewhere now"
    return sum(size.value if isinstance(size, ast.Constant) else settings.database_pool_size for size in sizes)
