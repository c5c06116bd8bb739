"""The door to gevent: greenlets, cooperative sleep, and native threads for what would freeze the hub.

Knows nothing of what it runs. Invariant: the same call works in a process that gevent has patched (the server) and in one
that it has not (command line, tests): there it is a plain call, a daemon thread, `time.sleep`.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar, cast

T = TypeVar("T")
_PAUSE_S = 0.001  # long enough for the loop to look at its sockets
_A_MOMENT_S, _PATIENCE_S = 0.001, 0.02


class Running(Protocol):
    """Something spawned."""

    def stop(self, timeout_s: float) -> None:
        """Wait for its end, at most so long; then it is cut off where it waits (a greenlet) or left (a thread)."""


def is_cooperative() -> bool:
    """Whether gevent has patched this process. Never imports gevent itself."""
    monkey = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched("threading"))


def sleep(seconds: float) -> None:
    """Sleep without holding others up. `time.sleep` is gevent's own in a patched process."""
    time.sleep(seconds)


def spawn(work: Callable[[], None]) -> Running:
    """Run `work` beside the caller, which goes on at once."""
    return _Greenlet(work) if is_cooperative() else _Thread(work)


class Turns:
    """Long work of many callers, one of them at a time, with a pause for everything else whenever a turn is over.

        with turns.take() as rest:  # waits for its turn; must not be nested, nor held across I/O
            first_piece()
            rest()  # between pieces of a few milliseconds: does nothing until the turn is over
            next_piece()

    A native thread would not do for work in Python: after each of its system calls the hub would wait 5 ms for the
    interpreter's lock. Nor would a sleep of 0: gevent looks at sockets only after many such.
    """

    def __init__(self, turn_s: float = 0.004, pause: Callable[[], None] = lambda: time.sleep(_PAUSE_S)) -> None:
        self._turn_s, self._sleep = turn_s, pause
        self._line = threading.Lock()
        self._ends = self._left = 0.0  # when the running turn is over; when somebody last left the line

    @contextmanager
    def take(self) -> Iterator[Callable[[], None]]:
        held = _Held(self._line)
        try:
            self._begin(held)
            yield lambda: self._rest(held)
        finally:
            self._left = time.monotonic()
            held.give_up()

    def _begin(self, held: _Held) -> None:
        """Whoever comes right behind another goes on with the same turn: a pause is due after all of their work."""
        held.wait()
        now = time.monotonic()
        if now - self._left >= _PAUSE_S:
            self._ends = now + self._turn_s
        elif now >= self._ends:
            self._pause()

    def _rest(self, held: _Held) -> None:
        if time.monotonic() < self._ends:
            return
        self._pause()
        held.give_up()
        time.sleep(0)  # the next in line goes first
        held.wait()

    def _pause(self) -> None:
        """While the line is held, so that nobody else's long work fills the pause."""
        self._sleep()
        self._ends = time.monotonic() + self._turn_s


class _Held:
    """Whether one caller holds the line: it may be cut off while it waits for it."""

    __slots__ = ("_held", "_line")

    def __init__(self, line: threading.Lock) -> None:
        self._line = line
        self._held = False

    def wait(self) -> None:
        self._held = self._line.acquire()

    def give_up(self) -> None:
        if self._held:
            self._held = False
            self._line.release()


def behind_others() -> Turns:
    """Turns for work that nobody's answer is made of: short ones, and a pause lasts until all that came meanwhile is served."""
    return Turns(_A_MOMENT_S, give_way)


def paced(items: Iterable[T]) -> Iterator[T]:
    """The items, giving way to everything else whenever the work on them has taken a moment. For long rows of small pieces."""
    ends = time.monotonic() + _A_MOMENT_S
    for item in items:
        yield item
        if time.monotonic() >= ends:
            give_way()
            ends = time.monotonic() + _A_MOMENT_S


def give_way() -> None:
    """Waits until the event loop has nothing else to do: some microseconds, or 20 ms where there always is something.

    Without gevent, and in a native thread, which nothing waits for, it does nothing.
    """
    if _holds_the_hub():
        import gevent

        with gevent.Timeout(_PATIENCE_S, False):
            gevent.idle()


def _holds_the_hub() -> bool:
    if not is_cooperative():
        return False
    import gevent

    return isinstance(gevent.getcurrent(), gevent.Greenlet)


class TookTooLong(Exception):
    """A block under `time_limit` did not end in time."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raises TookTooLong inside the block after `seconds`, at its next wait. Without gevent there is no limit."""
    if not is_cooperative():
        yield
        return
    from gevent import Timeout

    with Timeout(seconds, TookTooLong()):
        yield


def within(seconds: float, work: Callable[[], T]) -> T:
    """The work's result, or its exception. Raises TookTooLong after `seconds`: the work then goes on, and nobody waits for it.

    For what must not be interrupted where it waits, as a database call.
    """
    ended = threading.Event()
    result: list[Any] = []

    def carry_out() -> None:
        result.append(_caught(work))
        ended.set()

    spawn(carry_out)
    if not ended.wait(seconds):
        raise TookTooLong
    if isinstance(result[0], _Raised):
        raise result[0].error
    return cast(T, result[0])


class NativeThread:
    """One real thread for blocking native code (SQLite, bcrypt); calls queue up, in order of arrival.

    What runs there must not touch greenlets or sockets. A waiting greenlet that is killed leaves its call to finish alone.
    In a process without gevent the caller runs the work itself, one caller at a time.
    """

    def __init__(self) -> None:
        self._pool: Any = _native_pool() if is_cooperative() else None
        self._turn = threading.RLock()

    def run(self, work: Callable[[], T]) -> T:
        """The work's result, or its exception. Blocks only the calling greenlet. Must not be nested."""
        if self._pool is None:
            with self._turn:
                return work()
        done = self._pool.apply(_caught, (work,))
        if isinstance(done, _Raised):
            raise done.error
        return cast(T, done)

    def close(self) -> None:
        """Ends the thread after the work that is queued. Idempotent."""
        if self._pool is not None:
            self._pool.kill()


class _Raised:
    __slots__ = ("error",)

    def __init__(self, error: BaseException) -> None:
        self.error = error


def _caught(work: Callable[[], Any]) -> Any:
    """gevent prints a traceback of whatever escapes in its pool, before the caller can say that it was expected."""
    try:
        return work()
    except BaseException as error:
        return _Raised(error)


def _native_pool() -> Any:
    from gevent.threadpool import ThreadPool

    return ThreadPool(1)


class _Greenlet:
    def __init__(self, work: Callable[[], None]) -> None:
        import gevent

        self._greenlet = gevent.spawn(work)

    def stop(self, timeout_s: float) -> None:
        self._greenlet.join(timeout_s)
        self._greenlet.kill()


class _Thread:
    def __init__(self, work: Callable[[], None]) -> None:
        self._thread = threading.Thread(target=work, daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        self._thread.join(timeout_s)
