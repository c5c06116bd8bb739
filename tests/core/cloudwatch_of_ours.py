"""What CloudWatch makes of our documents: a sum, and every value, for each metric and each of its dimension sets."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from tests.core.emf_schema import assert_valid

Series = tuple[str, tuple[tuple[str, str], ...]]


class CloudWatch:
    """Takes documents, checks each, and adds them up exactly."""

    def __init__(self, documents: Iterable[Any] = ()) -> None:
        self.values: dict[Series, list[Decimal]] = defaultdict(list)
        self.units: dict[str, str] = {}
        for document in documents:
            self.take(document)

    def take(self, document: Any) -> None:
        assert_valid(document)
        for directive in document["_aws"]["CloudWatchMetrics"]:
            for metric in directive["Metrics"]:
                found = document[metric["Name"]]
                self.units[metric["Name"]] = metric["Unit"]
                for names in directive["Dimensions"]:
                    key = metric["Name"], tuple((name, document[name]) for name in names)
                    self.values[key] += [Decimal(str(value)) for value in (found if isinstance(found, list) else [found])]

    def sum(self, name: str, **dimensions: str) -> Decimal:
        return sum(self.values.get((name, tuple(dimensions.items())), []), Decimal(0))

    def all(self, name: str, **dimensions: str) -> list[float]:
        return [float(value) for value in self.values.get((name, tuple(dimensions.items())), [])]

    def dimension_sets(self, name: str) -> set[tuple[str, ...]]:
        return {tuple(dimension for dimension, _ in key[1]) for key in self.values if key[0] == name}
