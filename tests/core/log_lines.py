"""Log lines to write and a pipe to read them from: what the tests of the log begin with."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from typing import Any

import pytest

from core.log import MOST_LINE_BYTES, JsonFormatter


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    yield reader, writer
    for fd in (reader, writer):
        try:
            os.close(fd)
        except OSError:
            continue


def line(made: logging.LogRecord) -> dict[str, Any]:
    text = JsonFormatter().format(made)
    assert "\n" not in text and len(text.encode()) < MOST_LINE_BYTES
    entry: dict[str, Any] = json.loads(text)
    return entry
