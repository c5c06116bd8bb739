"""What Bedrock itself has counted, from its metrics in CloudWatch. The door to boto3 for it.

Knows CloudWatch's names, not the ledger. The account is that of the process's AWS credentials; CloudWatch tells apart regions and
model ids, and nothing of Bedrock keys. boto3 is imported when somebody asks, as in `core/secrets.py`. Invariant: a figure is the
sum over whole UTC days; a model without a data point on a day has no entry for it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import UTC, date, datetime
from itertools import islice
from types import MappingProxyType
from typing import Any

NAMESPACE = "AWS/Bedrock"
# Names in "Monitor bedrock-runtime inference using CloudWatch metrics" (Bedrock user guide, read 2026-11-27). For cache tokens
# two spellings are in use; both are asked, and the one that has data counts.
METRICS = MappingProxyType(
    {
        "invocations": ("Invocations",),
        "input_tokens": ("InputTokenCount",),
        "output_tokens": ("OutputTokenCount",),
        "cache_read_tokens": ("CacheReadInputTokenCount", "CacheReadInputTokens"),
        "cache_write_tokens": ("CacheWriteInputTokenCount", "CacheWriteInputTokens"),
    }
)
_DAY_S = 86_400
_MOST_QUERIES = 500  # of one GetMetricData
_OURS = ("anthropic", "claude")

Sums = dict[tuple[date, str], dict[str, int]]


class MetricsUnavailable(Exception):
    """CloudWatch did not answer, or refused. The text names the region and AWS's reason."""


def bedrock_sums(region: str, since: datetime, until: datetime, models: Collection[str]) -> Sums:
    """By day and model id, the figures of `METRICS`; of `models`, and of every other Claude that CloudWatch knows there.

    Blocks on the network. Raises MetricsUnavailable. `since` and `until` are midnights UTC.
    """
    try:
        client = _client(region)
        wanted = sorted({*models, *(model for model in _known(client) if any(word in model.lower() for word in _OURS))})
        found: Sums = {}
        for model, figure, values in _asked(client, wanted, since, until):
            for day, value in values:
                figures = found.setdefault((day, model), dict.fromkeys(METRICS, 0))
                figures[figure] = max(figures[figure], round(value))
        return found
    except Exception as error:  # botocore raises classes made at run time
        raise MetricsUnavailable(f"CloudWatch in {region} cannot be asked ({_reason(error)})") from error


def _known(client: Any) -> Iterator[str]:
    """Model ids with data of the last two weeks; CloudWatch lists no older ones."""
    for page in client.get_paginator("list_metrics").paginate(Namespace=NAMESPACE, MetricName="Invocations"):
        for metric in page["Metrics"]:
            if [dimension["Name"] for dimension in metric["Dimensions"]] == ["ModelId"]:
                yield metric["Dimensions"][0]["Value"]


def _asked(
    client: Any, models: list[str], since: datetime, until: datetime
) -> Iterator[tuple[str, str, list[tuple[date, float]]]]:
    every = [(model, figure, name) for model in models for figure, names in METRICS.items() for name in names]
    rest = iter(every)
    while batch := list(islice(rest, _MOST_QUERIES)):
        queries = [_query(f"q{number}", model, name) for number, (model, _, name) in enumerate(batch)]
        pages = client.get_paginator("get_metric_data").paginate(MetricDataQueries=queries, StartTime=since, EndTime=until)
        for result in (result for page in pages for result in page["MetricDataResults"]):
            model, figure, _ = batch[int(result["Id"][1:])]
            days = [moment.astimezone(UTC).date() for moment in result["Timestamps"]]
            yield model, figure, list(zip(days, result["Values"], strict=True))


def _query(query_id: str, model: str, name: str) -> dict[str, Any]:
    metric = {"Namespace": NAMESPACE, "MetricName": name, "Dimensions": [{"Name": "ModelId", "Value": model}]}
    return {"Id": query_id, "MetricStat": {"Metric": metric, "Period": _DAY_S, "Stat": "Sum"}}


def _client(region: str) -> Any:
    import boto3
    from botocore.config import Config

    timeouts = Config(connect_timeout=2, read_timeout=10, retries={"max_attempts": 2})
    return boto3.client("cloudwatch", region_name=region, config=timeouts)


def _reason(error: Exception) -> str:
    response = getattr(error, "response", {})
    return str(response.get("Error", {}).get("Code") or type(error).__name__)
