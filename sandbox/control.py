"""The control endpoint: tests and the demo give orders here and ask what happened.

Knows the paths under /_sandbox/ and their JSON; refuses to know how orders are carried out.
Invariant: an order that cannot be understood changes nothing and is answered with 400 and the reason.

    POST   /_sandbox/faults       {"fault", "args", "times", "match": {"path", "credential", "model"}}; `refuse` shuts the port
    DELETE /_sandbox/faults       forget all orders, open the port again
    POST   /_sandbox/listen       {"open": bool}
    POST   /_sandbox/answers      {"status", "headers", "body_b64", "chunks", "framing", "times"} -> {"id"}
    DELETE /_sandbox/answers      forget recorded answers
    GET    /_sandbox/requests?since=N    GET /_sandbox/totals    POST /_sandbox/reset    POST /_sandbox/close-idle
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import parse_qs

from sandbox.faults import UnknownFault
from sandbox.http import Request
from sandbox.journal import Journal
from sandbox.orders import Orders
from sandbox.recorded import Answers, BadAnswer
from sandbox.script import Answer
from sandbox.stage import CONTROL_PATH
from sandbox.upstream import json_answer, json_object

REFUSE = "refuse"


class Shutter(Protocol):
    """The main port."""

    def open(self) -> None: ...

    def shut(self) -> None: ...

    def close_idle(self) -> int: ...


class NotPossible(Exception):
    """The order is understood, and cannot be carried out."""


@dataclass(slots=True)
class Control:
    """`door` is set once the main port is open; `apart`: there is a control port of its own."""

    orders: Orders
    answers: Answers
    journal: Journal
    apart: bool
    door: Shutter | None = None

    def answer(self, request: Request) -> Answer:
        route = (request.method, request.path.removeprefix(CONTROL_PATH))
        act = self._routes().get(route)
        if act is None:
            return json_answer(404, (), {"error": f"sandbox: no control at {route[0]} {request.path}"})
        try:
            return json_answer(200, (), act(request))
        except (UnknownFault, BadAnswer, NotPossible, ValueError, TypeError) as error:
            return json_answer(400, (), {"error": f"sandbox: {error}"})

    def listen(self, is_open: bool) -> None:
        """Shut or open the main port. Raises NotPossible without a control port: nothing could open it again."""
        if self.door is None or not self.apart:
            raise NotPossible("start with --control-port to close the main port")
        if is_open:
            self.door.open()
        else:
            self.door.shut()

    def _routes(self) -> dict[tuple[str, str], Callable[[Request], Any]]:
        return {
            ("POST", "faults"): self._order_fault,
            ("DELETE", "faults"): self._clear_faults,
            ("POST", "listen"): self._listen,
            ("POST", "answers"): lambda request: {"id": self.answers.add(_sent(request))},
            ("DELETE", "answers"): self._clear_answers,
            ("GET", "requests"): lambda request: self.journal.since(_since(request)),
            ("GET", "totals"): lambda request: self.journal.totals(),
            ("POST", "reset"): self._reset,
            ("POST", "close-idle"): lambda request: {"closed": self.door.close_idle() if self.door else 0},
        }

    def _order_fault(self, request: Request) -> Any:
        wanted = _sent(request)
        if wanted.get("fault") == REFUSE:
            self.listen(False)
        else:
            self.orders.add(wanted)
        return wanted

    def _clear_faults(self, request: Request) -> Any:
        self.orders.clear()
        if self.door is not None:
            self.door.open()
        return {}

    def _clear_answers(self, request: Request) -> Any:
        self.answers.clear()
        return {}

    def _listen(self, request: Request) -> Any:
        wanted = _sent(request)
        if not isinstance(wanted.get("open"), bool):
            raise NotPossible('say {"open": true} or {"open": false}')
        self.listen(wanted["open"])
        return wanted

    def _reset(self, request: Request) -> Any:
        """Forget orders, answers, requests and totals."""
        self._clear_faults(request)
        self.answers.clear()
        self.journal.reset()
        return {}


def _sent(request: Request) -> dict[str, Any]:
    body = json_object(request.body)
    if body is None:
        raise NotPossible("a JSON object is expected")
    return body


def _since(request: Request) -> int:
    return int(parse_qs(request.query).get("since", ["0"])[0])
