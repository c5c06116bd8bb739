"""What is measured: a place that takes requests, and the process whose CPU and memory count."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Name(StrEnum):
    DIRECT = "direct"
    NGINX = "nginx"
    PROXY = "proxy"


@dataclass(frozen=True, slots=True)
class Target:
    """`prefix` goes before every path. `worker` is 0 for a direct call, which has nothing in between."""

    name: Name
    port: int
    prefix: str = ""
    worker: int = 0
