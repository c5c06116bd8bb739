"""SIGHUP with settings that cannot be used: the workers go on with the old ones, and the log says why.

gunicorn would end the master in the middle of a reload. Knows gunicorn's arbiter and application by what they are called with, no
setting. Invariant: either the new configuration is in force as a whole, or nothing has changed.
"""

from __future__ import annotations

from typing import Any


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
