"""Who may open which address of the administration: by the operation that a page performs, else by the one table here.

Knows addresses and roles, no page. Each page asks for its role itself; this is what it is held against. Invariant: an address
without a declaration is not served, and one that changes something has its role from an operation, unless it is an admin's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from admin_app.operation import Operation
from core.actor import Role

# Pages that only show something.
READERS: Mapping[str, Role] = MappingProxyType(
    {
        "/admin": Role.VIEWER,
        "/admin/admins": Role.OWNER,
        "/admin/admins/{admin_id}": Role.OWNER,
        "/admin/api": Role.VIEWER,
        "/admin/audit": Role.VIEWER,
        "/admin/circuits": Role.VIEWER,
        "/admin/keys": Role.VIEWER,
        "/admin/keys.csv": Role.VIEWER,
        "/admin/keys/{key_id}": Role.VIEWER,
        "/admin/models": Role.VIEWER,
        "/admin/models/repairs/export.json": Role.VIEWER,
        "/admin/prices": Role.VIEWER,
        "/admin/requests": Role.VIEWER,
        "/admin/requests/{request_id}": Role.VIEWER,
        "/admin/sessions": Role.VIEWER,
        "/admin/sessions.csv": Role.VIEWER,
        "/admin/sessions/{session_id}": Role.VIEWER,
        "/admin/system": Role.VIEWER,
        "/admin/usage": Role.VIEWER,
        "/admin/usage.csv": Role.VIEWER,
        "/admin/users": Role.VIEWER,
        "/admin/users.csv": Role.VIEWER,
        "/admin/users/{user_id}": Role.VIEWER,
    }
)
# Whoever is signed in, and their own account alone: no operation could be of somebody else's.
OWN = frozenset(
    {
        "/admin/account",
        "/admin/account/password",
        "/admin/account/sessions",
        "/admin/account/tokens",
        "/admin/account/tokens/revoke",
        "/admin/account/totp",
        "/admin/account/totp/off",
        "/admin/confirm",
    }
)
# Also who is not signed in. Links are for developers, from anywhere.
OPEN = frozenset({"/admin/login", "/admin/logout", "/claim/{token}"})
_CHANGING = ("on_post", "on_put", "on_patch", "on_delete")


class Undeclared(Exception):
    """A defect: nobody said who may open this address."""


def declared(routes: Mapping[str, Any]) -> Mapping[str, Any]:
    """The routes, once it is known of each who may. Raises Undeclared."""
    for path, resource in routes.items():
        least_role(path, resource)
    return MappingProxyType(dict(routes))


def least_role(path: str, resource: Any) -> Role | None:
    """Of every method of it. None: no role is needed. Raises Undeclared."""
    operation: Operation | None = getattr(resource, "performs", None)
    if operation is not None:
        return operation.role
    if path in OPEN or getattr(resource, "is_open", False):
        return None
    if path in OWN:
        return Role.VIEWER
    if path not in READERS or any(hasattr(resource, name) for name in _CHANGING):
        raise Undeclared(f"{path} is in no declaration of who may open it")
    return READERS[path]
