"""What all workers of a machine have counted, as Prometheus reads it (text format 0.0.4).

Pure. Invariants: counters and histograms are those of the living and the dead, gauges those of the living alone; every line
of a family stands together, behind its HELP and TYPE; units are Prometheus's (seconds), whatever CloudWatch is told.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate

from core.metric_file import Numbers
from core.metrics import ACCESS_KEY, BUCKET, BUCKETS_MS, CATALOGUE, SUM, Kind, Metric, series
from core.version import VERSION

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_TYPES = {Kind.COUNTER: "counter", Kind.DISTRIBUTION: "histogram", Kind.SUM: "gauge", Kind.WORST: "gauge"}
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def exposition(all_numbers: Sequence[Numbers], open_keys: Sequence[str]) -> str:
    """`open_keys` are the access keys whose Plan circuit is not closed."""
    lines = [
        "# HELP claude_code_proxy_info The release that answers.",
        "# TYPE claude_code_proxy_info gauge",
        f'claude_code_proxy_info{{version="{VERSION.translate(_ESCAPES)}"}} 1',
        "# HELP claude_code_proxy_workers Workers that are running.",
        "# TYPE claude_code_proxy_workers gauge",
        f"claude_code_proxy_workers {sum(numbers.lives for numbers in all_numbers)}",
    ]
    for metric in CATALOGUE:
        lines.append(f"# HELP {metric.exposed} {metric.sentence}")
        lines.append(f"# TYPE {metric.exposed} {_TYPES[metric.kind]}")
        lines += _keys(metric, open_keys) if metric.dimension is ACCESS_KEY else _samples(metric, all_numbers)
    return "\n".join(lines) + "\n"


def _samples(metric: Metric, all_numbers: Sequence[Numbers]) -> Iterator[str]:
    for value in metric.dimension.values or ("",):
        label = f'{metric.dimension.name}="{value}"' if value else ""
        name = series(metric, value)
        if metric.kind is Kind.DISTRIBUTION:
            yield from _histogram(metric, label, name, all_numbers)
        else:
            yield f"{metric.exposed}{_braced(label)} {_number(_merged(metric, name, all_numbers) * metric.scale)}"


def _histogram(metric: Metric, label: str, name: str, all_numbers: Sequence[Numbers]) -> Iterator[str]:
    counts = [_total(f"{name}{BUCKET}{place}", all_numbers) for place in range(len(BUCKETS_MS) + 1)]
    bounds = [*(_number(bound * metric.scale) for bound in BUCKETS_MS), "+Inf"]
    for bound, count in zip(bounds, accumulate(counts), strict=True):
        yield f'{metric.exposed}_bucket{{{label},le="{bound}"}} {_number(count)}'
    yield f"{metric.exposed}_sum{_braced(label)} {_number(_total(f'{name}{SUM}', all_numbers) * metric.scale)}"
    yield f"{metric.exposed}_count{_braced(label)} {_number(sum(counts))}"


def _keys(metric: Metric, open_keys: Sequence[str]) -> Iterator[str]:
    for key in open_keys:
        yield f'{metric.exposed}{{{metric.dimension.name}="{key.translate(_ESCAPES)}"}} 1'


def _merged(metric: Metric, name: str, all_numbers: Sequence[Numbers]) -> float:
    if metric.kind is Kind.COUNTER:
        return _total(name, all_numbers)
    living = [numbers.values.get(name, 0.0) for numbers in all_numbers if numbers.lives]
    return max(living, default=0.0) if metric.kind is Kind.WORST else sum(living)


def _total(name: str, all_numbers: Sequence[Numbers]) -> float:
    return sum(numbers.values.get(name, 0.0) for numbers in all_numbers)


def _braced(label: str) -> str:
    return f"{{{label}}}" if label else ""


def _number(value: float) -> str:
    """Whole ones without a point; the others without the dust of binary fractions."""
    return str(int(value)) if value == int(value) else repr(round(value, 9))
