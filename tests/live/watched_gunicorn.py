"""gunicorn's configuration of the product, and in each worker a greenlet that notes how long the event loop stands still."""

from gevent import monkey

monkey.patch_all()  # as the configuration itself does, before anything else

import sys  # noqa: E402
from pathlib import Path  # noqa: E402

_ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(_ROOT))
exec(compile((_ROOT / "gunicorn.conf.py").read_bytes(), "gunicorn.conf.py", "exec"))

import gevent  # noqa: E402

from tests.live.hub_gaps import watch  # noqa: E402

_begin = globals()["post_worker_init"]


def post_worker_init(worker):
    _begin(worker)
    gevent.spawn(watch)
