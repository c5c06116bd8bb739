"""Which of the two apps a request is for: `/admin`, all below it and all below `/claim/`, or the proxy. Knows addresses, no app.

Invariant: nothing that is not exactly `/admin` or below `/admin/` or `/claim/` reaches the admin app, and `HEAD` of anything
stays the proxy's (it answers 200 at once: Claude Code warms its connections so).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from admin_app.claim_operations import CLAIMS
from admin_app.doorkeeper import HOME

Wsgi = Callable[[dict[str, Any], Any], Iterable[bytes]]


def mounted(admin: Wsgi, proxy: Wsgi) -> Wsgi:
    """Both behind one door."""

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        return (admin if _is_admins(environ) else proxy)(environ, start_response)

    return app


def _is_admins(environ: Mapping[str, Any]) -> bool:
    path: str = environ.get("PATH_INFO", "")
    return (path == HOME or path.startswith((f"{HOME}/", f"{CLAIMS}/"))) and environ.get("REQUEST_METHOD") != "HEAD"
