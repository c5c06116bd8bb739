"""The admin's addresses as the app itself has them, so that a proof about all of them cannot miss one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from admin_app.app import AdminApp

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_PART = re.compile(r"\{(\w+)\}")
_FILE = re.compile(r"/(admin|claim)/[\w-]+\.(css|js|svg)")


@dataclass(frozen=True)
class Route:
    path: str
    methods: tuple[str, ...]
    resource: Any

    def at(self, ids: Mapping[str, str]) -> str:
        """The address with ids in it. A KeyError names what `tests/furnished.py` has to learn to make."""
        return _PART.sub(lambda part: ids[part[1]], self.path)

    def is_known(self, ids: Mapping[str, str]) -> bool:
        return set(_PART.findall(self.path)) <= ids.keys()

    @property
    def is_file(self) -> bool:
        """A style sheet and the like, beside the pages."""
        return _FILE.fullmatch(self.path) is not None

    @property
    def changes(self) -> tuple[str, ...]:
        return tuple(method for method in self.methods if method != "GET")


def routes_of(app: AdminApp) -> list[Route]:
    return [Route(path, methods_of(resource), resource) for path, resource in sorted(app.routes.items())]


def methods_of(resource: Any) -> tuple[str, ...]:
    return tuple(method for method in METHODS if hasattr(resource, f"on_{method.lower()}"))
