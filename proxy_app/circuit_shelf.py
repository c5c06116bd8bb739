"""Where the circuits of a worker are kept: the most recently used ones, at most `capacity` of them.

Knows no rules and no time. Invariant: `has_any(key)` is one look-up and true exactly while a circuit of that key is kept.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, ItemsView

from proxy_app.circuit_names import CircuitName
from proxy_app.circuit_state import Circuit


class CircuitShelf:
    """An LRU of circuits. An evicted one counts as closed: memory is worth more than a circuit nobody uses. Not locked."""

    __slots__ = ("_capacity", "_circuits", "_make", "_number_of")

    def __init__(self, capacity: int, make: Callable[[], Circuit]) -> None:
        self._capacity = capacity
        self._make = make
        self._circuits: OrderedDict[CircuitName, Circuit] = OrderedDict()
        self._number_of: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._circuits)

    def has_any(self, access_key_id: str) -> bool:
        return access_key_id in self._number_of

    def items(self) -> ItemsView[CircuitName, Circuit]:
        return self._circuits.items()

    def find(self, name: CircuitName) -> Circuit | None:
        circuit = self._circuits.get(name)
        if circuit is not None:
            self._circuits.move_to_end(name)
        return circuit

    def obtain(self, name: CircuitName) -> Circuit:
        circuit = self.find(name)
        if circuit is None:
            circuit = self._circuits[name] = self._make()
            self._number_of[name.access_key_id] = self._number_of.get(name.access_key_id, 0) + 1
            if len(self._circuits) > self._capacity:
                self.forget(next(iter(self._circuits)))
        return circuit

    def forget(self, name: CircuitName) -> None:
        del self._circuits[name]
        left = self._number_of[name.access_key_id] - 1
        if left:
            self._number_of[name.access_key_id] = left
        else:
            del self._number_of[name.access_key_id]
