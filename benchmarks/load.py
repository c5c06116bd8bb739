"""The load generator: a process of its own that takes jobs on standard input and answers each with a tally.

One `asyncio` loop over plain sockets for concurrent loads, one blocking socket for sequential ones: cheap enough not to be
what is measured. Refuses to know what it talks to. Invariant: every request ends up in the tally exactly once, as done or as
a fault, also when the job's time limit cuts it off.
"""

from __future__ import annotations

import asyncio
import gc
import socket
import sys
import time
from collections import Counter

from benchmarks.answer import Answer
from benchmarks.conversations import conversation_bytes
from benchmarks.jobs import Job, Shape, Tally
from benchmarks.messages import bedrock_body, body_bytes, request_bytes

_ANSWER_S = 10.0
_EARLY_S = 0.0015  # epoll wakes up to a millisecond late; from here on the loop spins to the moment that is due


class Book:
    """What happened so far."""

    def __init__(self) -> None:
        self.first_byte_ns: list[int] = []
        self.delay_ns: list[int] = []
        self.faults: Counter[str] = Counter()
        self.done = 0
        self._began_ns = time.monotonic_ns()
        self._ended_ns = self._began_ns

    def enter(self, answer: Answer, first_byte_ns: int) -> None:
        self._ended_ns = time.monotonic_ns()
        if answer.fault:
            self.faults[answer.fault] += 1
            return
        self.done += 1
        self.first_byte_ns.append(first_byte_ns)
        self.delay_ns += answer.delays_ns

    def tally(self) -> Tally:
        return Tally(
            first_byte_us=[each / 1000 for each in self.first_byte_ns],
            delay_us=[each / 1000 for each in self.delay_ns],
            done=self.done,
            faults=dict(self.faults),
            seconds=(self._ended_ns - self._began_ns) / 1e9,
        )


class ClientConnection(asyncio.Protocol):
    """One keep-alive connection with at most one request under way; tells its load when it is free again."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._transport: asyncio.Transport | None = None
        self._answer: Answer | None = None
        self._asked_ns = 0
        self._first_byte_ns = 0

    @property
    def usable(self) -> bool:
        return self._transport is not None and self._answer is None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def ask(self, asked_ns: int) -> None:
        """Send a request that counts from `asked_ns`."""
        assert self._transport is not None
        self._asked_ns, self._first_byte_ns = asked_ns, 0
        self._answer = Answer(self._load.expect)
        self._transport.write(self._load.request)

    def data_received(self, data: bytes) -> None:
        now = time.monotonic_ns()
        answer = self._answer
        if answer is None:
            return
        if not self._first_byte_ns:
            self._first_byte_ns = now - self._asked_ns
        answer.feed(data, now)
        if answer.complete:
            self._answer = None
            self._load.book.enter(answer, self._first_byte_ns)
            self._load.freed(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._transport = None
        if self.give_up("the connection was closed"):
            self._load.freed(self)

    def give_up(self, fault: str) -> bool:
        """Whether there was a request to give up."""
        if self._answer is None:
            return False
        self._answer = None
        self._load.book.faults[fault] += 1
        return True

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


class Load:
    """A concurrent job under way. `_left`: connections still at work (CLOSED), requests not yet ended (OPEN)."""

    def __init__(self, job: Job, loop: asyncio.AbstractEventLoop) -> None:
        self.request = _request(job)
        self.expect = job.expect.encode()
        self.book = Book()
        self._job = job
        self._loop = loop
        self._idle: list[ClientConnection] = []
        self._left = 0
        self._last_start = 0.0
        self._ended = asyncio.Event()

    async def run(self) -> Tally:
        job = self._job
        connections = [await self._connect() for _ in range(job.concurrency)]
        self.book = Book()
        if job.shape is Shape.OPEN:
            self._schedule_open(connections)
        else:
            self._schedule_closed(connections)
        try:
            await asyncio.wait_for(self._ended.wait(), job.limit_s)
        except TimeoutError:
            for connection in connections:
                connection.give_up("cut off by the time limit")
        for connection in connections:
            connection.close()
        return self.book.tally()

    def freed(self, connection: ClientConnection) -> None:
        """The connection's request has ended, one way or the other."""
        if self._job.shape is Shape.OPEN:
            self._idle.append(connection)
        elif connection.usable and self._loop.time() < self._last_start:
            connection.ask(time.monotonic_ns())
            return
        self._one_less()

    async def _connect(self) -> ClientConnection:
        opening = self._loop.create_connection(lambda: ClientConnection(self), "127.0.0.1", self._job.port)
        _, connection = await asyncio.wait_for(opening, _ANSWER_S)
        return connection

    def _schedule_closed(self, connections: list[ClientConnection]) -> None:
        now = self._loop.time()
        self._left = len(connections)
        self._last_start = now + self._job.seconds
        for index, connection in enumerate(connections):
            self._loop.call_at(now + self._job.ramp_s * index / len(connections), self._start, connection)

    def _schedule_open(self, connections: list[ClientConnection]) -> None:
        self._idle = connections.copy()
        self._left = int(self._job.rate * self._job.seconds)
        now = self._loop.time()
        for index in range(self._left):
            due = now + index / self._job.rate
            self._loop.call_at(due - _EARLY_S, self._fire, int(due * 1e9))

    def _start(self, connection: ClientConnection) -> None:
        if connection.usable:
            connection.ask(time.monotonic_ns())
        else:
            self._missed("the connection was closed")

    def _fire(self, due_ns: int) -> None:
        """Latency counts from when the request was due, so that a stall is not left out of the figures."""
        if time.monotonic_ns() < due_ns:
            self._loop.call_soon(self._fire, due_ns)
            return
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                connection.ask(due_ns)
                return
        self._missed("no free connection")

    def _missed(self, fault: str) -> None:
        self.book.faults[fault] += 1
        self._one_less()

    def _one_less(self) -> None:
        self._left -= 1
        if self._left <= 0:
            self._ended.set()


def run_sequential(job: Job) -> Tally:
    """One blocking connection: no event loop between the request and its first byte."""
    request, expect, book = _request(job), job.expect.encode(), Book()
    must_end_ns = time.monotonic_ns() + int(job.limit_s * 1e9)
    with socket.create_connection(("127.0.0.1", job.port), timeout=_ANSWER_S) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for number in range(job.count):
            if time.monotonic_ns() > must_end_ns:
                book.faults["cut off by the time limit"] += job.count - number
                break
            try:
                _exchange(sock, request, Answer(expect), book)
            except OSError as error:
                book.faults[type(error).__name__] += job.count - number
                break
    return book.tally()


def _exchange(sock: socket.socket, request: bytes, answer: Answer, book: Book) -> None:
    began = time.monotonic_ns()
    first_byte_ns = 0
    sock.sendall(request)
    while not answer.complete:
        received = sock.recv(65_536)
        now = time.monotonic_ns()
        if not received:
            raise ConnectionResetError
        first_byte_ns = first_byte_ns or now - began
        answer.feed(received, now)
    book.enter(answer, first_byte_ns)


def _request(job: Job) -> bytes:
    return request_bytes(f"127.0.0.1:{job.port}", job.target, _body(job), job.headers)


def _body(job: Job) -> bytes:
    if job.messages:
        return conversation_bytes(job.body_bytes, job.messages, streamed=job.streamed, bedrock=job.bedrock)
    return bedrock_body(job.body_bytes) if job.bedrock else body_bytes(job.body_bytes, streamed=job.streamed)


def main() -> None:
    """A job a line in, a tally a line out, until standard input ends."""
    loop = asyncio.new_event_loop()
    gc.disable()  # a collection in the middle of a job would show as somebody's latency
    for line in sys.stdin.buffer:
        job = Job.from_json(line)
        try:
            tally = run_sequential(job) if job.shape is Shape.SEQUENTIAL else loop.run_until_complete(Load(job, loop).run())
        except OSError as error:
            faults = {f"cannot connect ({type(error).__name__})": 1}
            tally = Tally(first_byte_us=[], delay_us=[], done=0, faults=faults, seconds=0)
        sys.stdout.buffer.write(tally.to_json() + b"\n")
        sys.stdout.buffer.flush()
        gc.collect()


if __name__ == "__main__":
    main()
