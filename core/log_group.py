"""The lines of requests out of a log group of CloudWatch Logs: the second copy of the ledger, where the first was lost.

The door to boto3 for it, imported when somebody asks, as in `core/secrets.py`. Knows where lines are, not what is in them.
Invariant: what was asked for comes whole or ends in `LogUnavailable`; memory holds one page at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

# Asked of CloudWatch, so that metrics and the application's own lines are not sent to us.
_REQUESTS = '{ $.context.log = "access" }'


class LogUnavailable(Exception):
    """CloudWatch Logs did not answer, or refused. The text names the group and AWS's reason."""


def request_lines(group: str, region: str | None, since: datetime, until: datetime) -> Iterator[bytes]:
    """Lines that were logged from `since` on and before `until`. Blocks on the network. Raises LogUnavailable."""
    try:
        pages = _client(region).get_paginator("filter_log_events")
        span = {"startTime": _ms(since), "endTime": _ms(until) - 1}
        for page in pages.paginate(logGroupName=group, filterPattern=_REQUESTS, **span):
            yield from (event["message"].encode("utf-8", "surrogateescape") for event in page["events"])
    except Exception as error:  # botocore raises classes made at run time
        response = getattr(error, "response", {})
        reason = response.get("Error", {}).get("Code") or type(error).__name__
        raise LogUnavailable(f"the log group {group} cannot be read ({reason})") from error


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def _client(region: str | None) -> Any:
    import boto3
    from botocore.config import Config

    timeouts = Config(connect_timeout=2, read_timeout=30, retries={"max_attempts": 4})
    return boto3.client("logs", region_name=region, config=timeouts)
