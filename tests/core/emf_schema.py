"""What an Embedded Metric Format document may be, written down from the published specification: "Specification: Embedded metric
format" in the Amazon CloudWatch user guide, section "Embedded metric format document structure" (read 2026-11-27).

The schema has the document's shape; what a schema cannot say (a reference must name a member of the root) is `assert_valid`'s.
"""

from __future__ import annotations

from typing import Any

from jsonschema import Draft202012Validator

_PREFIXES = ("", "Kilo", "Mega", "Giga", "Tera")
_AMOUNTS = [*(f"{prefix}{kind}".capitalize() for kind in ("bytes", "bits") for prefix in _PREFIXES), "Count"]
UNITS = ["Seconds", "Microseconds", "Milliseconds", "Percent", "None", *_AMOUNTS, *(f"{amount}/Second" for amount in _AMOUNTS)]
_NAME = {"type": "string", "minLength": 1, "maxLength": 255}
_METRIC = {
    "type": "object",
    "required": ["Name"],
    "additionalProperties": False,
    "properties": {"Name": _NAME, "Unit": {"enum": UNITS}, "StorageResolution": {"enum": [1, 60]}},
}
_DIRECTIVE = {
    "type": "object",
    "required": ["Namespace", "Dimensions", "Metrics"],
    "additionalProperties": False,
    "properties": {
        "Namespace": _NAME,
        "Dimensions": {"type": "array", "minItems": 1, "items": {"type": "array", "maxItems": 30, "items": _NAME}},
        "Metrics": {"type": "array", "maxItems": 100, "items": _METRIC},
    },
}
SCHEMA: Any = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "required": ["_aws"],
    "properties": {
        "_aws": {
            "type": "object",
            "required": ["Timestamp", "CloudWatchMetrics"],
            "additionalProperties": False,
            "properties": {
                "Timestamp": {"type": "integer", "minimum": 0},
                "CloudWatchMetrics": {"type": "array", "minItems": 1, "items": _DIRECTIVE},
            },
        }
    },
}
_VALUE = {"anyOf": [{"type": "number"}, {"type": "array", "minItems": 1, "maxItems": 100, "items": {"type": "number"}}]}
_DIMENSION_VALUE = {"type": "string", "minLength": 1, "maxLength": 1024}
_DOCUMENT, _MEMBER, _DIMENSION = map(Draft202012Validator, (SCHEMA, _VALUE, _DIMENSION_VALUE))


def assert_valid(document: Any) -> None:
    _DOCUMENT.validate(document)
    for directive in document["_aws"]["CloudWatchMetrics"]:
        for metric in directive["Metrics"]:
            _MEMBER.validate(document[metric["Name"]])
        for name in (name for names in directive["Dimensions"] for name in names):
            _DIMENSION.validate(document[name])
