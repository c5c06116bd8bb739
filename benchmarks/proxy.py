"""The real product, started as a user starts it, with everything on: key check, circuits, ledger, log.

Only its command line, its settings and `/ready` are used. Invariant: it lives in a temporary folder and talks to loopback.
"""

from __future__ import annotations

import http.client
import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from benchmarks.processes import DidNotStart, Stage, worker_of
from benchmarks.targets import Name, Target
from sandbox.product import free_port

_ROOT = Path(__file__).resolve().parent.parent
_COMMAND_S = 60.0
_READY_S = 30.0
_ACCESS_KEY = re.compile(rb"\bak_[0-9A-Za-z]{44}\b")
_BEDROCK_KEY = b"bench-bedrock-key"


def start_proxy(stage: Stage, folder: Path, upstream: int) -> Target:
    """Migrate, add a user with a key and a Bedrock key, serve, and wait until it is ready. Raises DidNotStart."""
    folder.mkdir()
    port = free_port()
    env = _environment(folder, port, upstream)
    _command(env, "migrate")
    _command(env, "user", "add", "bench", "--json")
    issued = _ACCESS_KEY.search(_command(env, "key", "issue", "--user", "bench", "--json"))
    if issued is None:
        raise DidNotStart("the product issued no access key")
    _command(env, "bedrock-key", "add", "--user", "bench", "--region", "us-east-1", "--key-stdin", "--json", given=_BEDROCK_KEY)
    output = folder / "output"
    with output.open("wb") as written:
        process = stage.start([*_PROGRAM, "serve"], stage.measured, env=env, cwd=_ROOT, stdout=written, stderr=subprocess.STDOUT)
    _wait_until_ready(process, port, output)
    return Target(Name.PROXY, port, f"/ak/{issued[0].decode('ascii')}", worker_of(process.pid))


_PROGRAM = (sys.executable, "-m", "admin_app")


def _environment(folder: Path, port: int, upstream: int) -> Mapping[str, str]:
    """Ours without any PROXY_ setting of the caller, who may run a proxy too."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("PROXY_")}
    return own | {
        "PROXY_DATA_DIR": str(folder / "var"),
        "PROXY_PLAN_URL": f"http://127.0.0.1:{upstream}",
        "PROXY_BEDROCK_URL": f"http://127.0.0.1:{upstream}",
        "PROXY_BIND": f"127.0.0.1:{port}",
        "PROXY_WORKERS": "1",
    }


def _command(env: Mapping[str, str], *arguments: str, given: bytes = b"") -> bytes:
    try:
        ran = subprocess.run(
            [*_PROGRAM, *arguments], env=env, cwd=_ROOT, input=given, capture_output=True, timeout=_COMMAND_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise DidNotStart(f"admin_app {arguments[0]} did not end within {_COMMAND_S:.0f} s") from error
    if ran.returncode != 0:
        raise DidNotStart(f"admin_app {' '.join(arguments[:2])} failed: {ran.stderr.decode(errors='replace')[-1500:]}")
    return ran.stdout


def _wait_until_ready(process: subprocess.Popen[bytes], port: int, output: Path) -> None:
    must_end = time.monotonic() + _READY_S
    while time.monotonic() < must_end and process.poll() is None:
        if _is_ready(port):
            return
        time.sleep(0.1)
    raise DidNotStart(f"the product did not get ready: {output.read_text(errors='replace')[-1500:]}")


def _is_ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2.0)
    try:
        connection.request("GET", "/ready")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
