"""How we connect to PostgreSQL: address, time limits, and what counts as "away".

Knows the driver (psycopg2) and nothing of our tables. Invariant: every wait has an end, also inside libpq, and a connection
to a server that cannot write any more (a failover) is never used twice.

The limits, all well below what a developer would notice, and each shorter than the wait of our own that surrounds it.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from typing import Any

import psycopg2
import psycopg2.extensions
from sqlalchemy import URL, Engine, QueuePool, create_engine, event
from sqlalchemy.engine.interfaces import Dialect, ExceptionContext
from sqlalchemy.exc import DBAPIError

from core.secrets import SecretText, SecretUnavailable
from core.threads import is_cooperative

CONNECT_TIMEOUT_S = 3
STATEMENT_TIMEOUT_S = 5
LOCK_TIMEOUT_S = 2
_SECRET_EVERY_S = 5.0

_CONNECT: dict[str, Any] = {
    "application_name": "claude-code-proxy",
    "connect_timeout": CONNECT_TIMEOUT_S,
    # Aurora keeps a demoted writer reachable: refuse it at once instead of at the first write.
    "target_session_attrs": "read-write",
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
    "options": f"-c statement_timeout={STATEMENT_TIMEOUT_S}s -c lock_timeout={LOCK_TIMEOUT_S}s"
    " -c idle_in_transaction_session_timeout=10s -c timezone=UTC",
}

# Read-only transaction after a failover; shut down by an administrator; crash; starting up.
_GONE = frozenset({"25006", "57P01", "57P02", "57P03"})
# Of those that leave the connection usable: locked too long, cancelled by a time limit, deadlock, serialization.
_BUSY = frozenset({"55P03", "57014", "40P01", "40001"})
# Connection exceptions, refused logins, insufficient resources (disk, memory, connections), system errors.
_AWAY_CLASSES = frozenset({"08", "28", "53", "58"})


class Login:
    """User and password from a JSON secret; one of Secrets Manager is read again when the server refuses them (SPEC section 14).

    Begins with the newest text that a worker of this server has read, else with the one that the start read; raises
    SecretUnavailable when that has another shape. Reads again at most once in 5 s, so that a wrong secret is no storm; what
    another worker has read meanwhile costs nothing, and is there also while Secrets Manager is away.
    """

    def __init__(self, secret: str, fetch: Callable[[str], str], clock: Callable[[], float]) -> None:
        self._address = secret.address if isinstance(secret, SecretText) else ""
        self._newest = secret.newest if isinstance(secret, SecretText) else None
        self._parameters = _login_in(self._told() or secret)
        self._fetch = fetch
        self._clock = clock
        self._read_at = float("-inf")

    def parameters(self) -> dict[str, str]:
        """`user` and `password`."""
        return self._parameters

    def read_again(self) -> bool:
        """Whether there are other values than before. Blocks on Secrets Manager. Raises SecretUnavailable, and keeps the old."""
        before = self._parameters
        if told := self._told():
            self._parameters = _login_in(told)
        if self._parameters != before:
            return True
        if not self._address or self._clock() - self._read_at < _SECRET_EVERY_S:
            return False
        self._read_at = self._clock()
        read = self._fetch(self._address)
        self._parameters = _login_in(read)
        if self._parameters != before and self._newest is not None:
            self._newest.write(read)
        return self._parameters != before

    def _told(self) -> str:
        """What another worker has read; empty where there is nothing."""
        return self._newest.read() if self._newest is not None else ""


def _login_in(text: str) -> dict[str, str]:
    try:
        secret = json.loads(text)
        return {"user": str(secret["username"]), "password": str(secret["password"])}
    except (ValueError, TypeError, KeyError):
        raise SecretUnavailable('the database secret must be JSON {"username": ..., "password": ...}') from None


def host_url(host: str, name: str) -> URL:
    address, _, port = host.rpartition(":") if host.rpartition(":")[2].isdigit() else (host, "", "5432")
    return URL.create("postgresql+psycopg2", host=address, port=int(port), database=name)


def open_engine(url: URL, pool_size: int, login: Login | None = None, patience_s: float = 2.0) -> Engine:
    """An engine that connects when it is first used; `patience_s` is how long a caller waits for a free connection.

    What the URL's query says wins over our limits.
    """
    given = {name: value for name, value in _CONNECT.items() if name not in url.query}
    engine = create_engine(
        url.set(drivername="postgresql+psycopg2"),
        connect_args=given,
        poolclass=QueuePool,
        pool_size=pool_size,
        max_overflow=0,  # the setting is the limit: workers times (proxy + 1 for reports) stays at 10 a task
        pool_timeout=patience_s,
        pool_recycle=300,
        pool_pre_ping=True,
        hide_parameters=True,
    )
    event.listen(engine, "do_connect", _connector(login))
    event.listen(engine, "handle_error", _drop_what_is_gone)
    return engine


def is_away(error: DBAPIError) -> bool:
    """Whether the database could not serve, as against: refused what we asked."""
    code = getattr(error.orig, "pgcode", None)
    if code:
        return code in _GONE or code in _BUSY or code[:2] in _AWAY_CLASSES
    return error.connection_invalidated or isinstance(error.orig, psycopg2.OperationalError | psycopg2.InterfaceError)


def cooperate_with_gevent() -> None:
    """Make psycopg2 wait on the hub, with time limits. The server's start calls it, in a patched process only."""
    if not is_cooperative():
        raise RuntimeError("gevent has not patched this process")
    psycopg2.extensions.set_wait_callback(wait_on_hub)


def wait_on_hub(connection: Any) -> None:
    """psycopg2's wait callback. With one, libpq ignores connect_timeout, so both limits are kept here.

    Raises the driver's OperationalError: a plain TimeoutError would pass SQLAlchemy by and the dead connection be kept.
    """
    from gevent.socket import wait_read, wait_write

    connecting = connection.status == psycopg2.extensions.STATUS_SETUP
    limit_s = CONNECT_TIMEOUT_S if connecting else STATEMENT_TIMEOUT_S + LOCK_TIMEOUT_S
    deadline = time.monotonic() + limit_s
    state = connection.poll()
    while state != psycopg2.extensions.POLL_OK:
        left_s = deadline - time.monotonic()
        wait = wait_write if state == psycopg2.extensions.POLL_WRITE else wait_read
        try:
            if left_s <= 0:
                raise TimeoutError
            wait(connection.fileno(), timeout=left_s, timeout_exc=TimeoutError())
        except TimeoutError:
            raise psycopg2.OperationalError(f"the database was silent for {limit_s} s") from None
        state = connection.poll()


def _connector(login: Login | None) -> Callable[[Dialect, Any, Any, dict[str, Any]], Any]:
    def connect(dialect: Dialect, _: Any, arguments: Any, parameters: dict[str, Any]) -> Any:
        wanted = {**parameters, **_looked_up(parameters)}
        if login is None:
            return dialect.connect(*arguments, **wanted)
        try:
            return dialect.connect(*arguments, **{**wanted, **login.parameters()})
        except psycopg2.OperationalError as error:
            if not _is_login_refused(error) or not login.read_again():
                raise
        return dialect.connect(*arguments, **{**wanted, **login.parameters()})

    return connect


def _is_login_refused(error: psycopg2.OperationalError) -> bool:
    """SQLSTATE 28P01 or 28000. psycopg2 gives no SQLSTATE for a failed connection, only libpq's text."""
    text = str(error)
    return error.pgcode in ("28P01", "28000") or "authentication failed" in text or "no pg_hba.conf entry" in text


def _looked_up(parameters: dict[str, Any]) -> dict[str, str]:
    """libpq looks names up inside C and would freeze the hub (seconds, in a failover): look up with gevent's resolver."""
    host = parameters.get("host", "")
    if not is_cooperative() or not host or host.startswith("/") or "hostaddr" in parameters or "," in host:
        return {}
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise psycopg2.OperationalError(f"the database's name cannot be looked up ({error})") from None
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    return {"host": ",".join([host] * len(addresses)), "hostaddr": ",".join(addresses)}


def _drop_what_is_gone(context: ExceptionContext) -> None:
    """SQLAlchemy would keep such a connection, and with it a demoted writer, for ever."""
    if getattr(context.original_exception, "pgcode", None) in _GONE:
        context.is_disconnect = True
