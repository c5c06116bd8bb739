"""gunicorn's configuration of the product, and each worker says at its end which modules it imported after its start."""

from gevent import monkey

monkey.patch_all()  # as the configuration itself does, before anything else

import os  # noqa: E402
import sys  # noqa: E402
from pathlib import Path  # noqa: E402

_ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(_ROOT))
exec(compile((_ROOT / "gunicorn.conf.py").read_bytes(), "gunicorn.conf.py", "exec"))

_begin, _end = globals()["post_worker_init"], globals()["worker_exit"]
_at_start = []


def post_worker_init(worker):
    _begin(worker)
    _at_start.extend(sys.modules)


def worker_exit(server, worker):
    later = sorted(sys.modules.keys() - set(_at_start))
    Path(os.environ["IMPORTS"], str(os.getpid())).write_text("\n".join(later))
    _end(server, worker)
