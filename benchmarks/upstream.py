"""A stand-in for Anthropic and Bedrock that costs next to nothing: what a benchmark's requests end at.

`python -m benchmarks.upstream` prints its port and serves on loopback until its standard input ends. Request headers choose
the answer: `x-bench-events` (a stream of so many deltas), `x-bench-interval-ms` between them, `x-bench-plan: refuse`; paths
under `/model/` answer as Bedrock. Refuses to judge what it is asked. Invariant: event number i leaves i intervals after
the request's last byte, however late the one before it was, and says in its text when that was.
"""

from __future__ import annotations

import asyncio
import gc
import re
import sys
import time

from benchmarks.messages import (
    EVENTS_HEADER,
    INTERVAL_HEADER,
    PLAN_HEADER,
    bedrock_json_answer,
    bedrock_stream_answer,
    json_answer,
    plan_refusal,
    stream_delta,
    stream_end,
    stream_opening,
)

_BACKLOG = 4096
_HEAD_END = b"\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_EVENTS = re.compile(rb"\r\n%b: *(\d+)" % EVENTS_HEADER.encode(), re.IGNORECASE)
_INTERVAL = re.compile(rb"\r\n%b: *(\d+)" % INTERVAL_HEADER.encode(), re.IGNORECASE)
_REFUSE = re.compile(rb"\r\n%b: *refuse" % PLAN_HEADER.encode(), re.IGNORECASE)
_OPENING = stream_opening()


class UpstreamConnection(asyncio.Protocol):
    """One keep-alive connection; requests one after the other, bodies of known length."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._head = b""
        self._buffer = b""
        self._body_left = 0
        self._in_body = False
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.set_write_buffer_limits(high=1 << 20)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        if not self._in_body:
            self._buffer += data
            end = self._buffer.find(_HEAD_END)
            if end < 0:
                return
            self._head, data = self._buffer[: end + 2], self._buffer[end + 4 :]
            self._buffer = b""
            length = _LENGTH.search(self._head)
            self._body_left = int(length[1]) if length else 0
            self._in_body = True
        self._body_left -= len(data)
        if self._body_left <= 0:
            self._in_body = False
            self._answer(self._head)

    def _answer(self, head: bytes) -> None:
        path = head.split(b" ", 2)[1]
        if path.startswith(b"/model/"):
            streamed = path.endswith(b"/invoke-with-response-stream")
            self._write(bedrock_stream_answer() if streamed else bedrock_json_answer())
        elif _REFUSE.search(head):
            self._write(plan_refusal())
        elif events := _EVENTS.search(head):
            interval = _INTERVAL.search(head)
            self._stream(int(events[1]), int(interval[1]) / 1000 if interval else 0.0)
        else:
            self._write(json_answer())

    def _stream(self, events: int, interval_s: float) -> None:
        if interval_s == 0:
            deltas = b"".join(stream_delta(time.monotonic_ns()) for _ in range(events))
            self._write(_OPENING + deltas + stream_end(events))
            return
        self._write(_OPENING)
        self._speak(self._loop.time(), interval_s, 1, events)

    def _speak(self, began: float, interval_s: float, number: int, events: int) -> None:
        """Wait for event `number`, say it, and so on to the end."""
        due = began + number * interval_s
        self._timer = self._loop.call_at(due, self._spoken, began, interval_s, number, events)

    def _spoken(self, began: float, interval_s: float, number: int, events: int) -> None:
        delta = stream_delta(time.monotonic_ns())
        if number < events:
            self._write(delta)
            self._speak(began, interval_s, number + 1, events)
        else:
            self._write(delta + stream_end(events))

    def _write(self, content: bytes) -> None:
        if self._transport is not None:
            self._transport.write(content)


async def serve() -> None:
    """Listen, print the port, and end when the parent closes our standard input."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: UpstreamConnection(loop), "127.0.0.1", 0, backlog=_BACKLOG)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.buffer.read)
    server.close()


if __name__ == "__main__":
    gc.disable()  # no cycles are made that matter within minutes, and a collection would show in the delays
    asyncio.run(serve())
