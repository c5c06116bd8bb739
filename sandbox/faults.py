"""Faults by name, as scripts: those that either upstream can play.

Knows how an answer goes wrong on the wire; refuses to know which requests are hit (orders.py) and sockets.
A fault gets a `Scene` and its arguments and returns steps; one that only changes an honest answer leaves refusals as
they are. Invariant: a fault with an unknown name or argument is refused before anything is sent.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from sandbox.http import Request
from sandbox.script import LAST_CHUNK, Answer, Part, Pause, Script, Send, Step, chunk, framed, head_bytes, opening, script_of
from sandbox.upstream import Asked, Upstream

FOREVER_S = 600.0


class UnknownFault(Exception):
    """No such fault, or no such argument; the message lists what there is."""


@dataclass(frozen=True, slots=True)
class Arguments:
    given: dict[str, str]

    def text(self, name: str, default: str) -> str:
        return self.given.get(name, default)

    def number(self, name: str, default: float) -> float:
        return float(self.given.get(name, default))

    def count(self, name: str, default: int) -> int:
        return int(self.number(name, default))


@dataclass(frozen=True, slots=True)
class Scene:
    """What a fault plays with. `now` is the wall clock, for headers that name a time."""

    asked: Asked
    upstream: Upstream
    now: float

    @property
    def request(self) -> Request:
        return self.asked.request

    def honest(self, deltas: int = 0) -> Answer:
        return self.upstream.answer(self.asked, deltas)


Play = Callable[[Scene, Arguments], Script]


@dataclass(frozen=True, slots=True)
class Fault:
    play: Play
    arguments: tuple[str, ...] = ()


def http_error(status: int, kind: str, message: str) -> Fault:
    """An error in the upstream's own shape. Arguments: message, retry_after, should_retry."""

    def play(scene: Scene, args: Arguments) -> Script:
        answer = scene.upstream.refusal(status, kind, args.text("message", message))
        return script_of(retry_advice(answer, args))

    return Fault(play, ("message", "retry_after", "should_retry"))


def retry_advice(answer: Answer, args: Arguments) -> Answer:
    """The same answer with `retry-after` and `x-should-retry` as the arguments ask."""
    pairs = (("retry-after", args.text("retry_after", "")), ("x-should-retry", args.text("should_retry", "")))
    return answer.with_headers(*(pair for pair in pairs if pair[1]))


def edge_error(status: int, title: str) -> Fault:
    """What the network in front of an upstream says: HTML."""

    def play(scene: Scene, args: Arguments) -> Script:
        page = f"<html><head><title>{status} {title}</title></head><body><center><h1>{status} {title}</h1></center></body></html>"
        return script_of(Answer(status, (("Content-Type", "text/html"), ("Server", "cloudflare")), (Send(page.encode()),)))

    return Fault(play)


def _ok(scene: Scene, args: Arguments) -> Script:
    return script_of(scene.honest())


def _reset_before_headers(scene: Scene, args: Arguments) -> Script:
    return (Part("rst"),)


def _eof_before_headers(scene: Scene, args: Arguments) -> Script:
    return (Part("fin"),)


def _hang(scene: Scene, args: Arguments) -> Script:
    return (Pause(args.number("s", FOREVER_S)), Part("fin"))


def _slow_first_byte(scene: Scene, args: Arguments) -> Script:
    yield Pause(args.number("s", 5))
    yield from script_of(scene.honest())


def _headers_then_hang(scene: Scene, args: Arguments) -> Script:
    yield Send(opening(scene.honest()))
    yield Pause(args.number("s", FOREVER_S))
    yield Part("fin")


def _first_event_error(scene: Scene, args: Arguments) -> Script:
    """A stream whose only event is an error; a request that wants no stream gets that error as its answer."""
    honest, kind = scene.honest(), args.text("type", "overloaded_error")
    if honest.status == 200 and honest.streamed:
        return script_of(scene.upstream.stream_of(scene.asked, (scene.upstream.broken(kind, "Overloaded"),)))
    return script_of(scene.upstream.refusal(0, kind, "Overloaded"))


def _cut_midstream(scene: Scene, args: Arguments) -> Script:
    yield from _begun(scene.honest(), args.count("after", 3))
    yield Part("rst" if args.text("how", "fin") == "rst" else "fin")


def _error_midstream(scene: Scene, args: Arguments) -> Script:
    honest, kind = scene.honest(), args.text("type", "overloaded_error")
    if not honest.streamed:
        yield from script_of(scene.upstream.refusal(0, kind, "Overloaded"))
        return
    yield from _begun(honest, args.count("after", 3))
    yield Send(chunk(scene.upstream.broken(kind, "Overloaded").content) + LAST_CHUNK)


def _silent_midstream(scene: Scene, args: Arguments) -> Script:
    """Silence after some events; when it ends within `s`, the rest follows."""
    honest, after = scene.honest(), args.count("after", 3)
    yield from _begun(honest, after)
    yield Pause(args.number("s", FOREVER_S))
    yield from list(framed(honest))[after:] if honest.streamed else ()


def _ends_early(scene: Scene, args: Arguments) -> Script:
    """A stream that ends in good order before its message does."""
    yield from _begun(scene.honest(), args.count("after", 3))
    yield Send(LAST_CHUNK)


def _begun(honest: Answer, after: int) -> Iterator[Step]:
    """The head and the first events of a stream; of any other answer the head and half the body."""
    yield Send(opening(honest))
    if honest.streamed:
        for piece in honest.pieces[:after]:
            yield replace(piece, content=chunk(piece.content))
        return
    yield Send(honest.body[: len(honest.body) // 2])


def _empty_200(scene: Scene, args: Arguments) -> Script:
    return script_of(Answer(200, scene.honest().headers, ()))


def _html_200(scene: Scene, args: Arguments) -> Script:
    page = b"<!DOCTYPE html><html><body>Sign in to the guest network</body></html>"
    return script_of(Answer(200, (("Content-Type", "text/html; charset=utf-8"),), (Send(page),)))


def _gzip(scene: Scene, args: Arguments) -> Script:
    """A compressed answer, event by event, for clients that take one."""
    honest = scene.honest()
    if not honest.pieces or "gzip" not in scene.request.fields.get("accept-encoding", ""):
        return script_of(honest)
    packer = zlib.compressobj(wbits=31)
    pieces = [
        replace(piece, content=packer.compress(piece.content) + packer.flush(zlib.Z_SYNC_FLUSH)) for piece in honest.pieces[:-1]
    ]
    last = honest.pieces[-1]
    pieces.append(replace(last, content=packer.compress(last.content) + packer.flush()))
    return script_of(replace(honest, pieces=tuple(pieces)).with_headers(("Content-Encoding", "gzip")))


def _slow_stream(scene: Scene, args: Arguments) -> Script:
    """`events` text events, each after `delay` seconds."""
    delay = args.number("delay", 0.05)
    for number, step in enumerate(script_of(scene.honest(args.count("events", 20)))):
        if number > 1:
            yield Pause(delay)
        yield step


def _one_byte_writes(scene: Scene, args: Arguments) -> Script:
    for step in script_of(scene.honest()):
        if isinstance(step, Send):
            for index in range(len(step.content) - 1):
                yield Send(step.content[index : index + 1])
                yield Pause(0)
            yield replace(step, content=step.content[-1:])
        else:
            yield step


def _close_after_response(scene: Scene, args: Arguments) -> Script:
    """Closes without having said so: the next request on this connection meets its end."""
    yield from script_of(scene.honest())
    yield Part("fin")


def _dribbled_headers(scene: Scene, args: Arguments) -> Script:
    """The head line by line, `delay` seconds apart."""
    honest = scene.honest()
    for line in head_bytes(honest.status, honest.headers)[:-2].splitlines(keepends=True):
        yield Send(line)
        yield Pause(args.number("delay", 0.01))
    yield Send(opening(honest).removeprefix(head_bytes(honest.status, honest.headers)[:-2]))
    yield from framed(honest)


COMMON: dict[str, Fault] = {
    "ok": Fault(_ok),
    "error_500": http_error(500, "api_error", "Internal server error"),
    "error_502": edge_error(502, "Bad Gateway"),
    "error_503": http_error(503, "api_error", "Service temporarily unavailable"),
    "error_504": edge_error(504, "Gateway Time-out"),
    "error_520": edge_error(520, "Web server is returning an unknown error"),
    "http_400": http_error(400, "invalid_request_error", "Error"),
    "http_401": http_error(401, "authentication_error", "Invalid bearer token"),
    "http_402": http_error(402, "billing_error", "Your credit balance is too low to access the API."),
    "http_403": http_error(403, "permission_error", "Your organization does not have access to this resource."),
    "http_404": http_error(404, "not_found_error", "Not Found"),
    "http_408": http_error(408, "timeout_error", "Request timed out"),
    "http_413": http_error(413, "request_too_large", "Request exceeds the maximum size"),
    "reset_before_headers": Fault(_reset_before_headers),
    "eof_before_headers": Fault(_eof_before_headers),
    "hang": Fault(_hang, ("s",)),
    "slow_first_byte": Fault(_slow_first_byte, ("s",)),
    "dribbled_headers": Fault(_dribbled_headers, ("delay",)),
    "headers_then_hang": Fault(_headers_then_hang, ("s",)),
    "first_event_error": Fault(_first_event_error, ("type",)),
    "cut_midstream": Fault(_cut_midstream, ("after", "how")),
    "error_midstream": Fault(_error_midstream, ("type", "after")),
    "silent_midstream": Fault(_silent_midstream, ("after", "s")),
    "ends_early": Fault(_ends_early, ("after",)),
    "empty_200": Fault(_empty_200),
    "html_200": Fault(_html_200),
    "gzip": Fault(_gzip),
    "slow_stream": Fault(_slow_stream, ("delay", "events")),
    "one_byte_writes": Fault(_one_byte_writes),
    "close_after_response": Fault(_close_after_response),
}
