"""Generated requests, numbered, of all kinds of ends; run as a program, a worker's books of its share of them.

A request's number decides everything about it. The worker sends the answers' bytes through the real relay, meter, recorder,
spool and flusher; what comes of it is for the proof to judge.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from core.db import open_database
from core.log import AccessLog, LineWriter
from core.pricing import load_prices
from core.settings import Settings
from core.spool import open_spool
from core.types import Grant, ProviderName, Strategy
from proxy_app.call import Asked, Call, Endpoint, Outcome, Reply, StreamBroken
from proxy_app.faults import Fault
from proxy_app.gateway import Opened
from proxy_app.recorder import Recorder
from proxy_app.relay import Relay

FIRST_DAY = 1_795_500_000.0
SECONDS_APART = 2.6  # a hundred thousand of them are three days
KEYS = 50
MODELS = ("claude-opus-5", "claude-sonnet-5-5")
WHOLE, IN_PIECES, BROKEN, LEFT, REFUSED, UNSERVED, COUNTED, EARLY, ERROR_EVENT = range(9)
ENDS = (WHOLE, IN_PIECES, WHOLE, BROKEN, WHOLE, LEFT, REFUSED, WHOLE, UNSERVED, COUNTED, EARLY, ERROR_EVENT, WHOLE)
_FLUSH_EVERY = 250


@dataclass(frozen=True)
class Asking:
    """Request number `n`."""

    n: int

    @property
    def end(self) -> int:
        return ENDS[self.n % len(ENDS)]

    @property
    def on_bedrock(self) -> bool:
        return self.n % 5 < 2 and self.end not in (REFUSED, UNSERVED, COUNTED)

    @property
    def key(self) -> str:
        return f"key_{self.n * 31 % KEYS:03d}"

    @property
    def model(self) -> str:
        return MODELS[self.n % 2]

    @property
    def place(self) -> str:
        return ("global", "us")[self.n // 7 % 2]

    @property
    def started_at(self) -> float:
        return FIRST_DAY + self.n * SECONDS_APART

    @property
    def tokens(self) -> tuple[int, int, int, int, int]:
        """Input, output, cache writes of 5 minutes and of an hour, cache reads: as its upstream counts them."""
        n = self.n
        return n * 37 % 20_011, 1 + n * 17 % 4_001, n * 13 % 3_001 * (n % 3 == 0), n * 11 % 997 * (n % 4 == 0), n * 101 % 90_001


def usage_json(tokens: tuple[int, int, int, int, int], output: int) -> dict[str, Any]:
    written = {"ephemeral_5m_input_tokens": tokens[2], "ephemeral_1h_input_tokens": tokens[3]}
    told = {"input_tokens": tokens[0], "output_tokens": output, "cache_read_input_tokens": tokens[4]}
    return {**told, "cache_creation_input_tokens": tokens[2] + tokens[3], "cache_creation": written}


def _event(name: str, **payload: Any) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), orjson.dumps({"type": name, **payload}))


@dataclass
class Sent:
    """An answer's body as its upstream sends it."""

    asking: Asking

    def __iter__(self) -> Iterator[bytes]:
        end, tokens = self.asking.end, self.asking.tokens
        if end == REFUSED:
            yield orjson.dumps({"type": "error", "error": {"type": "invalid_request_error", "message": "no"}})
            return
        if end == COUNTED:
            yield b'{"input_tokens":12}'
            return
        if end == IN_PIECES:
            whole = orjson.dumps({"type": "message", "usage": usage_json(tokens, tokens[1])})
            yield whole[:40]
            yield whole[40:]
            return
        yield _event("message_start", message={"usage": usage_json(tokens, 1)})
        yield _event("content_block_delta", delta={"type": "text_delta", "text": "words"})
        if end == BROKEN:
            raise StreamBroken(Fault.STREAM_BROKEN, "reset")
        if end == ERROR_EVENT:
            yield _event("error", error={"type": "overloaded_error", "message": "no"})
            return
        yield _event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": tokens[1]})
        if end != EARLY:
            yield _event("message_stop")

    def close(self) -> None: ...


class Line:
    """A client that stays."""

    gone = draining = False

    def pause(self, seconds: float) -> None: ...
    def close(self) -> None: ...
    def hold(self, connection: Any) -> None: ...
    def release(self) -> None: ...


def answer(asking: Asking, recorder: Recorder) -> None:
    """The whole way of an answer to the client, who hangs up after the first event where that is the end."""
    streamed = asking.end not in (IN_PIECES, REFUSED, UNSERVED, COUNTED)
    relay = Relay(_call(asking, streamed), _opened(asking, streamed), recorder, lambda: 101.0)
    for _ in relay:
        if asking.end == LEFT:
            break
    relay.close()


def _call(asking: Asking, streamed: bool) -> Call:
    return Call(
        request_id=f"req_{asking.n:026d}",
        grant=Grant(f"usr_{asking.key[4:]}", asking.key, Strategy.PLAN_FIRST),
        endpoint=Endpoint.COUNT_TOKENS if asking.end == COUNTED else Endpoint.MESSAGES,
        method="POST",
        target="/v1/messages",
        headers=(),
        body=b"",
        asked=Asked(asking.model, stream=streamed),
        lifeline=Line(),
        started=100.0,
        received=100.0,
        started_at=asking.started_at,
    )


def _opened(asking: Asking, streamed: bool) -> Opened:
    status = {REFUSED: 400, UNSERVED: 529}.get(asking.end, 200)
    provider = None if asking.end == UNSERVED else ProviderName.BEDROCK if asking.on_bedrock else ProviderName.PLAN
    served = f"{asking.place}.anthropic.{asking.model}" if asking.on_bedrock else ""
    reply = Reply(status, (), Sent(asking), provider, streamed=streamed, model_served=served)
    fault = Fault.PLAN_EXHAUSTED if asking.on_bedrock else None
    return Opened(reply, Outcome(provider=provider, status=status, model_served=served, fault=fault))


def main(url: str, spool_dir: str, first: int, step: int, count: int) -> None:
    database = open_database(Settings(database_url=url), pool_size=1)
    quiet = AccessLog(LineWriter(os.open(os.devnull, os.O_WRONLY)))
    recorder = Recorder(open_spool(Path(spool_dir), f"worker-{first}"), database, load_prices(), quiet, Settings())
    for done, number in enumerate(range(first, count, step), 1):
        answer(Asking(number), recorder)
        if done % _FLUSH_EVERY == 0:
            recorder.flush()
    recorder.close()
    database.close()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:6]))
