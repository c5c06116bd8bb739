"""SIGHUP with settings that cannot be used: the workers go on with the old ones, and the log says why.

gunicorn would end the master in the middle of a reload, and when a new worker cannot be built. Knows gunicorn's arbiter and
application by what they are called with, no setting. Invariant: either the new configuration is in force as a whole, and a worker
was built with it once, or nothing has changed.
"""

from __future__ import annotations

import logging
import os
import select
import signal
import time
from contextlib import suppress
from types import SimpleNamespace
from typing import Any, NoReturn

_BUILT = b"\0"
_PATIENCE_S = 30.0
_MOST_BYTES = 16_384


class _Unusable(Exception):
    """What the new configuration was refused for."""


def survive_bad_settings(server: Any) -> None:
    """Called with the arbiter once, before its first worker."""
    application, reload_all, reload_configuration = server.app, server.reload, server.app.reload

    def read_again() -> None:
        """Here alone `SystemExit` is the configuration's own; further on it is how a forked worker ends."""
        before, found = server.cfg, None
        try:
            reload_configuration()
            if application.cfg.address != before.address:
                found = "PROXY_BIND: cannot change while the server runs; restart it"
        except SystemExit as refused:  # gunicorn's own is a number, behind what it printed
            told = isinstance(refused.code, str)
            found = str(refused.code) if told else "the configuration cannot be read (see the error output)"
        if found is None:
            found = _what_keeps_a_worker_from_starting(server)
        if found is not None:
            application.cfg = before
            raise _Unusable(found)

    def reload() -> None:
        try:
            reload_all()
        except _Unusable as problems:
            told = "; ".join(str(problems).splitlines())
            server.log.error("SIGHUP changed nothing, the workers go on with the settings they have: %s", told)

    application.reload, server.reload = read_again, reload


def _what_keeps_a_worker_from_starting(server: Any) -> str | None:
    """Tries it in a process of its own, as gunicorn would begin a worker, and waits; the workers in force serve meanwhile."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        _rehearse(server, writing)
    os.close(writing)
    said, deadline = b"", time.monotonic() + _PATIENCE_S
    with os.fdopen(reading, "rb", buffering=0) as pipe:
        while (left_s := deadline - time.monotonic()) > 0 and select.select([pipe], [], [], left_s)[0]:
            if not (more := pipe.read(_MOST_BYTES)):
                break
            said += more
    with suppress(OSError):
        os.kill(pid, signal.SIGKILL)  # it has said what it had to say; gunicorn takes note of its end
    if said.endswith(_BUILT):
        return None
    return said.decode(errors="replace") or f"no worker could be built within {_PATIENCE_S:.0f} s, or it ended without a word"


def _rehearse(server: Any, writing: int) -> NoReturn:
    """The child: builds the application and puts everything away. Never returns, and ends with 0 (gunicorn minds others)."""
    said = b""
    try:
        worker = SimpleNamespace(app=server.app, cfg=server.app.cfg, log=server.log, alive=False)
        server.app.cfg.post_fork(server, worker)
        worker.wsgi = server.app.wsgi()
        logging.disable()  # nothing has begun, so nothing is to be told of its end
        said = _BUILT
        os.write(writing, said)
        server.app.cfg.worker_exit(server, worker)
    except BaseException as error:
        if not said:
            name = type(error).__name__
            text = str(error) if name == "AppImportError" else f"a worker cannot be built: {name}: {str(error)[:500]}"
            os.write(writing, text.encode(errors="replace")[:_MOST_BYTES])
    finally:
        os._exit(0)
