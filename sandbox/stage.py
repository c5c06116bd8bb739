"""A connection's life on stage: read a request, choose what happens, play it, note what was delivered.

Knows the order of things; refuses to know what an upstream says and what a fault does.
Invariant: every request but those to the control endpoint has one journal entry, closed exactly once.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from sandbox.connection import ClientGone, Connection, Delivery
from sandbox.faults import Scene, UnknownFault
from sandbox.http import BadRequest, Request
from sandbox.journal import Entry, Journal
from sandbox.orders import Orders
from sandbox.recorded import Answers
from sandbox.script import Answer, Part, Script, Send, script_of
from sandbox.upstream import Asked, Upstream, json_answer

CONTROL_PATH = "/_sandbox/"
Control = Callable[[Request], Answer]


@dataclass(frozen=True, slots=True)
class Stage:
    upstream: Upstream
    orders: Orders
    answers: Answers
    journal: Journal
    control: Control
    idle_close_s: float | None = None

    def serve(self, connection: Connection) -> None:
        """All the requests of one connection, until either side ends it. It idles after an answer, not before the first
        request."""
        alive, idle_s = True, None
        while alive and not connection.last_answer:
            request = receive(connection, idle_s)
            idle_s = self.idle_close_s
            if request is None:
                return
            if request.path.startswith(CONTROL_PATH):
                alive = reply(connection, self.control(request)) and request.keep_alive
            else:
                alive = self._perform(connection, request) and request.keep_alive

    def _perform(self, connection: Connection, request: Request) -> bool:
        """Answer one request; whether the connection can go on."""
        asked = self.upstream.read(request)
        entry = self.journal.open(connection.number, request, asked.model)
        delivery = Delivery()
        try:
            connection.play(self._script(asked, entry), delivery)
        except ClientGone:
            self.journal.client_left(entry)
            return False
        finally:
            self.journal.close(entry, delivery)
        return not delivery.parted

    def _script(self, asked: Asked, entry: Entry) -> Script:
        recorded = self.answers.take(asked.request) if asked.generates else None
        if recorded is not None:
            entry.fault = recorded.name
            return recorded.script()
        try:
            entry.fault, fault, args = self.orders.choose(asked)
        except UnknownFault as error:
            return script_of(json_answer(400, (), {"error": f"sandbox: {error}"}))
        return fault.play(Scene(asked, self.upstream, time.time()), args)


def serve_control(connection: Connection, control: Control) -> None:
    """A connection to the control port: nothing but control."""
    alive = True
    while alive:
        request = receive(connection, None)
        if request is None:
            return
        alive = reply(connection, control(request)) and request.keep_alive


def receive(connection: Connection, idle_s: float | None) -> Request | None:
    """The next request; None when there will be no more. Answers what is no HTTP, and ends the connection."""
    try:
        return connection.receive(idle_s)
    except BadRequest as error:
        refusal = json_answer(400, (("Connection", "close"),), {"error": f"sandbox: {error}"})
        reply(connection, refusal, Part("fin"))
    except ClientGone:
        pass
    return None


def reply(connection: Connection, answer: Answer, *after: Part) -> bool:
    """An answer outside the journal; whether it went out and the connection is still there."""
    delivery = Delivery()
    steps: list[Send | Part] = [step for step in script_of(answer) if isinstance(step, Send)]
    try:
        connection.play([*steps, *after], delivery)
    except ClientGone:
        return False
    return not delivery.parted
