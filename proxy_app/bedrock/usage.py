"""Token counts of one answer, wherever Bedrock says them, merged as the client and the ledger must see them.

Pure: parsed events in, parsed events out. Counts are in `message_start`, in `message_delta`, or only with `message_stop`, in
Anthropic's names or in AWS's metrics (facts on Bedrock section 1.5). Invariant: of each count the largest is told, which is
what the meter records; nothing is changed where there is nothing to add, and metrics never stay.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

METRICS = "amazon-bedrock-invocationMetrics"
# Where the four counts are, in the order in which a client's `message_delta` has them, and AWS's names for them.
_COUNTS = {
    "input_tokens": "inputTokenCount",
    "cache_creation_input_tokens": "cacheWriteInputTokenCount",
    "cache_read_input_tokens": "cacheReadInputTokenCount",
    "output_tokens": "outputTokenCount",
}
_SPLIT = ("ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens")
_HEADERS = {
    "input_tokens": "x-amzn-bedrock-input-token-count",
    "cache_creation_input_tokens": "x-amzn-bedrock-cache-write-input-token-count",
    "cache_read_input_tokens": "x-amzn-bedrock-cache-read-input-token-count",
    "output_tokens": "x-amzn-bedrock-output-token-count",
}


def usage_of(holder: Mapping[str, Any]) -> dict[str, Any]:
    usage = holder.get("usage")
    return usage if isinstance(usage, dict) else {}


def with_counts(event: dict[str, Any], counts: Mapping[str, Any]) -> dict[str, Any]:
    """The event with the largest of each count in its usage; the same object when there is nothing to change."""
    usage = usage_of(event)
    merged = largest(usage, counts)
    return event if merged == usage else {**event, "usage": merged}


def largest(usage: Mapping[str, Any], counts: Mapping[str, Any]) -> dict[str, Any]:
    """`usage` with the largest of each count: reports are cumulative, and one that was left out may read 0."""
    known = {name: counts[name] for name in _COUNTS if _is_count(counts.get(name))}
    larger = {name: count for name, count in known.items() if not _is_count(usage.get(name)) or usage[name] < count}
    return {**usage, **larger}


def with_split(event: dict[str, Any], stop: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """The split of cache writes by lifetime, where `message_stop` knows more of it than what the client has seen."""
    said, seen = stop.get("cache_creation"), before.get("cache_creation")
    if not isinstance(said, dict):
        return event
    seen = seen if isinstance(seen, dict) else {}
    pairs = ((name, [part[name] for part in (said, seen) if _is_count(part.get(name))]) for name in _SPLIT)
    merged = {**said, **{name: max(counts) for name, counts in pairs if counts}}
    return event if merged == seen else {**event, "usage": {**usage_of(event), "cache_creation": merged}}


def counts_of_stop(event: Mapping[str, Any]) -> dict[str, Any]:
    """What `message_stop` says of usage, in Anthropic's names and in AWS's metrics."""
    return largest(usage_of(event), counts_of_metrics(event))


def counts_of_metrics(holder: Mapping[str, Any]) -> dict[str, Any]:
    metrics = holder.get(METRICS)
    return {name: metrics.get(aws) for name, aws in _COUNTS.items()} if isinstance(metrics, dict) else {}


def counts_of_headers(headers: Mapping[str, str]) -> dict[str, int]:
    said = {name: headers.get(header, "") for name, header in _HEADERS.items()}
    return {name: int(text) for name, text in said.items() if text.isdecimal() and len(text) < 13}


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


def without_metrics(event: dict[str, Any]) -> dict[str, Any]:
    """Without AWS's metrics, also in the message that an event holds; the same object when there are none."""
    message = event.get("message")
    if isinstance(message, dict) and METRICS in message:
        event = {**event, "message": {name: part for name, part in message.items() if name != METRICS}}
    return {name: part for name, part in event.items() if name != METRICS} if METRICS in event else event
