"""Which request meets which fault: by its own header, by an order given at the control endpoint, or by default.

Knows names, arguments and matching; refuses to know what a fault does. Invariant: an order with a number of times is
used exactly that often, in the order in which orders were given.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from sandbox.faults import Arguments, Fault, UnknownFault
from sandbox.upstream import Asked

NUMBER = re.compile(r"-?\d+(\.\d+)?")
HEADER = "x-sandbox-fault"
NUMBERS = frozenset({"s", "after", "delay", "events", "reset"})
MATCHES = frozenset({"path", "credential", "model"})


@dataclass(slots=True)
class Order:
    """`times` None: until cleared. `match`: texts that path, credential or model must contain."""

    fault: str
    args: dict[str, str] = field(default_factory=dict)
    times: int | None = None
    match: dict[str, str] = field(default_factory=dict)

    def hits(self, asked: Asked) -> bool:
        """Without a path to match, only requests that generate are hit: probes and token counts are left alone."""
        if self.times == 0 or not (asked.generates or "path" in self.match):
            return False
        seen = {"path": asked.request.target, "credential": asked.credential, "model": asked.model}
        return all(wanted in seen[name] for name, wanted in self.match.items())


class Orders:
    def __init__(self, catalogue: dict[str, Fault], default: str = "ok") -> None:
        self._catalogue = catalogue
        self._orders: list[Order] = []
        self._default = self._checked(_parsed(default))

    def add(self, wanted: dict[str, Any]) -> Order:
        """An order as the control endpoint takes it. Raises UnknownFault."""
        strange = set(wanted) - {"fault", "args", "times", "match"}
        match = wanted.get("match") or {}
        if strange or set(match) - MATCHES:
            raise UnknownFault(f"unknown keys: {sorted(strange | (set(match) - MATCHES))}")
        args = {name: str(value) for name, value in (wanted.get("args") or {}).items()}
        times = wanted.get("times")
        parsed = _parsed(str(wanted.get("fault", "")))
        order = self._checked(Order(parsed.fault, parsed.args | args, None if times is None else int(times), match))
        self._orders.append(order)
        return order

    def clear(self) -> None:
        self._orders.clear()

    def choose(self, asked: Asked) -> tuple[str, Fault, Arguments]:
        """The fault for this request; uses an order up. Raises UnknownFault for a wrong header."""
        order = self._chosen(asked)
        return order.fault, self._catalogue[order.fault], Arguments(order.args)

    def _chosen(self, asked: Asked) -> Order:
        header = asked.request.fields.get(HEADER)
        if header is not None:
            return self._checked(_parsed(header))
        for order in self._orders:
            if order.hits(asked):
                if order.times is not None:
                    order.times -= 1
                return order
        return self._default if asked.generates else Order("ok")

    def _checked(self, order: Order) -> Order:
        fault = self._catalogue.get(order.fault)
        if fault is None:
            raise UnknownFault(f"unknown fault {order.fault!r}; there are: {', '.join(sorted(self._catalogue))}")
        strange = set(order.args) - set(fault.arguments)
        if strange:
            raise UnknownFault(f"{order.fault} takes {fault.arguments}, not {sorted(strange)}")
        wrong = [name for name, value in order.args.items() if name in NUMBERS and not NUMBER.fullmatch(value)]
        if wrong:
            raise UnknownFault(f"{wrong[0]} must be a number")
        return order


def _parsed(written: str) -> Order:
    """`name;arg=value;arg=value`"""
    name, *pairs = (part.strip() for part in written.split(";"))
    args: dict[str, str] = {}
    for pair in pairs:
        key, _, value = pair.partition("=")
        args[key.strip()] = value.strip()
    return Order(name, args)
