"""The catalogue of metrics: every name, unit, dimension and sentence, in one table (SPEC section 13).

Pure; knows no value, no file and no format. `core/metric_counts.py` counts, `core/emf.py` and `core/prometheus.py` say it.
Invariant: the values of a dimension are a closed set, but for `access_key_id`; so no client can make us a new metric.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from itertools import chain

OTHER = "other"
SENT = "#sent"  # of a counter: how much of it CloudWatch has been told
BUCKET = "#bucket"  # of a distribution: values up to the bound of this place, and above the one before
SUM = "#sum"
NOBODY = "none"  # `provider` of an answer that no upstream gave


class Kind(Enum):
    """How a metric's values come together."""

    COUNTER = "counter"  # only ever more
    DISTRIBUTION = "histogram"  # each value counts: percentiles
    SUM = "gauge"  # as it is now; that of a machine is the sum over its workers
    WORST = "gauge, the greatest"  # as it is now; that of a machine is the greatest of its workers


@dataclass(frozen=True, slots=True)
class Dimension:
    """`values` is the closed set, empty for the open one. `rolled_up`: the sum over all values is sent, too, for alarms."""

    name: str
    values: tuple[str, ...] = ()
    rolled_up: bool = False


@dataclass(frozen=True, slots=True)
class Metric:
    """One row. `unit` is CloudWatch's word; `exposed` its name at /metrics, where `scale` times what is counted is shown.

    `sent_scale` does the same for CloudWatch; money is counted in whole micro-dollars.
    """

    name: str
    unit: str
    kind: Kind
    exposed: str
    sentence: str
    dimension: Dimension = Dimension("")
    scale: float = 1.0
    sent_scale: float = 1.0


PROVIDER = Dimension("provider", ("plan", "bedrock", NOBODY), rolled_up=True)
ERROR_TYPE = Dimension(
    "error_type",
    (
        "api_error",
        "authentication_error",
        "billing_error",
        "conflict_error",
        "invalid_request_error",
        "not_found_error",
        "overloaded_error",
        "permission_error",
        "rate_limit_error",
        "request_too_large",
        "timeout_error",
        "stream_broken",
        "worker_lost",
        OTHER,
    ),
    rolled_up=True,
)
REASON = Dimension(
    "reason",
    (
        "plan_exhausted",
        "plan_throttled",
        "plan_entitlement",
        "plan_overloaded",
        "plan_error",
        "plan_unreachable",
        "plan_timeout",
        "plan_auth",
        OTHER,
    ),
    rolled_up=True,
)
TOKEN_TYPE = Dimension("token_type", ("input", "output", "cache_write_5m", "cache_write_1h", "cache_read"))
ENDPOINT = Dimension("endpoint", ("count_tokens", "models", "passthrough"))
ACCESS_KEY = Dimension("access_key_id")

# Upper bounds of the histograms at /metrics, in milliseconds. CloudWatch gets every value.
BUCKETS_MS = (1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1e3, 2.5e3, 5e3, 1e4, 3e4, 6e4, 1.2e5, 3e5)

_PREFIX = "claude_code_proxy_"
_MS = "Milliseconds"


def _counted(name: str, exposed: str, sentence: str, dimension: Dimension = Dimension("")) -> Metric:
    return Metric(name, "Count", Kind.COUNTER, f"{_PREFIX}{exposed}_total", sentence, dimension)


def _timed(name: str, exposed: str, sentence: str) -> Metric:
    return Metric(name, _MS, Kind.DISTRIBUTION, f"{_PREFIX}{exposed}_seconds", sentence, PROVIDER, scale=0.001)


def _now(name: str, exposed: str, sentence: str, kind: Kind = Kind.SUM, dimension: Dimension = Dimension("")) -> Metric:
    return Metric(name, "Count", kind, f"{_PREFIX}{exposed}", sentence, dimension)


CATALOGUE = (
    _counted("RequestCount", "requests", "Requests for messages that ended, by who answered.", PROVIDER),
    _timed("RequestLatency", "request_latency", "From the first sight of a request for messages to the end of its answer."),
    _timed("ProxyOverhead", "proxy_overhead", "Our own share: request read to first byte out, less the wait for upstreams."),
    _timed("TimeToFirstByte", "time_to_first_byte", "From the first sight of a request to the first byte of its answer."),
    _counted("ErrorCount", "errors", "Answers to messages that are 5xx, broke off, or are an error of ours.", ERROR_TYPE),
    _counted("FallbackCount", "fallbacks", "Messages that Bedrock answered because the Plan did not, by why.", REASON),
    _counted("TokensUsed", "tokens", "Tokens of answers to messages, of both upstreams.", TOKEN_TYPE),
    Metric(
        "BedrockSpend",
        "None",
        Kind.COUNTER,
        f"{_PREFIX}bedrock_spend_dollars_total",
        "What Bedrock costs by the price list, in US dollars.",
        scale=0.000_001,
        sent_scale=0.000_001,
    ),
    _counted("SideRequestCount", "side_requests", "Requests beside messages that ended.", ENDPOINT),
    _counted("TurnedAwayCount", "turned_away", "Requests that were nobody's: a bad key, or no HTTP."),
    _now(
        "CircuitBreakerState",
        "circuit_breaker_state",
        "1 while the Plan circuit of an access key is open or half-open, 0 once when it has closed.",
        Kind.WORST,
        ACCESS_KEY,
    ),
    _now("OpenCircuits", "open_circuits", "Circuits that are not closed, of the Plan and of Bedrock.", Kind.WORST),
    _now("ActiveStreams", "active_streams", "Requests in flight."),
    _now("LedgerBacklog", "ledger_backlog", "Finished requests that the ledger does not have yet."),
    Metric(
        "LedgerBacklogAge",
        "Seconds",
        Kind.WORST,
        f"{_PREFIX}ledger_backlog_age_seconds",
        "Age of the oldest of them.",
    ),
    _counted("RecordsLost", "records_lost", "Records that neither disk nor memory had room for, or that were damaged."),
    _counted("RecordsSetAside", "records_set_aside", "Records that no database takes, in dead-letters.jsonl."),
    _counted("LogLinesDropped", "log_lines_dropped", "Log lines that nobody read in time."),
    _counted("KmsErrors", "kms_errors", "Bedrock keys that could not be sealed or opened."),
    _now("DatabaseConnections", "database_connections", "Database connections in use."),
    _now("DatabaseAway", "database_away", "1 while a worker cannot reach the database.", Kind.WORST),
    Metric(
        "HubLag",
        _MS,
        Kind.WORST,
        f"{_PREFIX}hub_lag_seconds",
        "The longest that the event loop of a worker stood still in the last 10 s.",
        scale=0.001,
    ),
    _counted("WorkerStarts", "worker_starts", "Workers that started: more than deployments explain means that some die."),
)


def cell_names() -> tuple[str, ...]:
    """What has to be remembered of all metrics, in a fixed order: a name for each number."""
    return tuple(chain.from_iterable(map(_cells_of, CATALOGUE)))


def series(metric: Metric, value: str = "") -> str:
    """The name of one number: `RequestCount|plan`."""
    return f"{metric.name}|{value}" if value else metric.name


def _cells_of(metric: Metric) -> list[str]:
    all_series = [series(metric, value) for value in metric.dimension.values] or [metric.name]
    if metric.kind is Kind.COUNTER:
        return [f"{name}{end}" for name in all_series for end in ("", SENT)]
    if metric.kind is Kind.DISTRIBUTION:
        ends = [*(f"{BUCKET}{place}" for place in range(len(BUCKETS_MS) + 1)), SUM]
        return [f"{name}{end}" for name in all_series for end in ends]
    return all_series
