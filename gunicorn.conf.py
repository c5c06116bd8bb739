"""gunicorn's configuration, the same for `make run`, the container and the tests. Every value with its reason."""

from gevent import monkey

monkey.patch_all()  # before anything else is imported: a TLS library imported first recurses at its first handshake

import gc  # noqa: E402
import os  # noqa: E402
import sys  # noqa: E402
from contextlib import contextmanager  # noqa: E402

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from gunicorn.errors import AppImportError  # noqa: E402

from core.reload import survive_bad_settings  # noqa: E402
from core.secrets import share_with_children  # noqa: E402
from core.server_lock import lock_database  # noqa: E402
from core.settings import BadSettings, load_settings  # noqa: E402

try:
    _settings = load_settings()
except BadSettings as bad:
    sys.exit("\n".join(["The settings cannot be used:", *bad.problems]))
share_with_children(_settings.database_secret)

bind = _settings.bind
workers = _settings.workers
worker_class = "core.worker.ProxyWorker"
worker_connections = _settings.worker_connections  # idle keep-alive clients count too; 1000 would be a few hundred developers
backlog = 2048
preload_app = False  # greenlets and pools made before the fork would run, or be shared, in every process
max_requests = 0  # a worker that restarts itself closes its listener before its successor has booted
timeout = 60  # seconds without a heartbeat of the event loop, not of a request; streams may last for ever
graceful_timeout = int(_settings.graceful_timeout_s)  # at its end workers are killed; the drain below comes before it
keepalive = 340  # must exceed the load balancer's idle time (330 s), or requests are lost in the race; also bounds headers
http_parser = "python"  # one parser in tests and production, whatever is installed beside
limit_request_line = 8190
limit_request_fields = 100
limit_request_field_size = 16_380  # `anthropic-beta` lists and custom headers grow
header_map = "dangerous"  # fields with underscores pass as they are; the app reads the raw list, never the joined environ
forwarded_allow_ips = ""  # the app itself decides whose forwarding headers it believes
control_socket_disable = True
accesslog = None  # it would print the URL, and with it the access key; the proxy writes its own line
errorlog = "-"
logconfig_dict = {  # gunicorn's own messages as our lines, redacted: it prints request lines, and keys stand in them
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "core.log.JsonFormatter"}},
    "handlers": {"stdout": {"class": "logging.StreamHandler", "formatter": "json", "stream": "ext://sys.stdout"}},
    "root": {"level": _settings.log_level, "handlers": ["stdout"]},
    "loggers": {"gunicorn.error": {"level": _settings.log_level, "handlers": ["stdout"], "propagate": False}},
}
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None  # a slow disk must not look like a hung worker


def on_starting(server):
    try:
        server.database_lock = lock_database(_settings)
    except BadSettings as bad:
        sys.exit("\n".join(bad.problems))
    survive_bad_settings(server)


def post_fork(server, worker):
    """A worker is built with what the master has read: one that is replaced while Secrets Manager is away comes up, too; its
    database password is the newest that any worker has learned."""
    server.database_lock.let_go()  # it is the master's, and ends with it
    with told_in_one_sentence():
        server.database_lock.check(_settings)
    if worker.app.app_uri == "wsgi:create_app()":
        worker.app.load = build_app


def build_app():
    from wsgi import create_app  # after the fork: the master needs none of it

    with told_in_one_sentence():
        return create_app(_settings)


@contextmanager
def told_in_one_sentence():
    """gunicorn prints what cannot be loaded as it is, and ends; anything else it would tell in a traceback."""
    try:
        yield
    except BadSettings as bad:
        raise AppImportError("\n".join(["The server cannot start:", *bad.problems])) from None


def post_worker_init(worker):
    """Greenlets start here: after the fork, with a hub of this process.

    The worker's own limit, at which it ends what did not end by itself, comes before its master's, who kills it.
    """
    reserve_s = min(5.0, (_settings.graceful_timeout_s - _settings.drain_s) / 2)
    worker.cfg.set("graceful_timeout", int(_settings.graceful_timeout_s - reserve_s))
    worker.wsgi.start(is_alive=lambda: worker.alive)
    quieten_garbage_collection()


def quieten_garbage_collection():
    """A parsed 100 KB prompt is a thousand containers: with Python's thresholds nearly every request walks the whole heap
    (a fifth of its CPU, and pauses of 70 ms for every stream with a thousand prompts in hand; docs/performance.md). What
    the statements of pages leave behind is cycles: of 20,000 objects at a time their end held the loop for 24 ms.
    What is loaded now stays for good, so it need not be looked at again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(5_000, 200, 100)


def worker_exit(server, worker):
    """Runs with a working hub when the last stream has ended or was ended by the drain: what is left goes to the ledger."""
    if hasattr(worker, "wsgi") and hasattr(worker.wsgi, "close"):
        worker.wsgi.close()
