"""nginx as a minimal streaming reverse proxy, the yardstick: one worker, no buffering of answers, upstream connections kept."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import time
from pathlib import Path

from benchmarks.processes import DidNotStart, Stage, worker_of
from benchmarks.targets import Name, Target
from sandbox.product import free_port

_START_S = 10.0
_CONFIGURATION = """
{user}
worker_processes 1;
worker_rlimit_nofile 16384;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    keepalive_timeout 340s;
    keepalive_requests 10000000;
    client_max_body_size 16m;
    client_body_buffer_size 256k;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    tcp_nodelay on;
    upstream bench {{ server 127.0.0.1:{upstream}; keepalive 4096; keepalive_requests 10000000; }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{
            proxy_pass http://bench;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
            proxy_read_timeout 300s;
        }}
    }}
}}
"""


def find_nginx(program: str = "nginx") -> str | None:
    """Where the program is, or None: its columns then say so. Debian keeps it off a plain user's PATH."""
    return shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/local/sbin")


def start_nginx(stage: Stage, program: str, folder: Path, upstream: int) -> Target:
    folder.mkdir()
    port = free_port()
    user = f"user {pwd.getpwuid(0).pw_name};" if os.geteuid() == 0 else ""  # else its worker may not enter our folder
    configuration = folder / "nginx.conf"
    configuration.write_text(_CONFIGURATION.format(user=user, folder=folder, upstream=upstream, port=port))
    errors = (folder / "stderr").open("wb")
    arguments = [program, "-p", str(folder), "-c", str(configuration), "-e", str(folder / "error.log")]
    with errors:
        process = stage.start(arguments, stage.measured, stdout=subprocess.DEVNULL, stderr=errors)
    return Target(Name.NGINX, port, worker=_wait_for_worker(process, folder))


def _wait_for_worker(process: subprocess.Popen[bytes], folder: Path) -> int:
    must_end = time.monotonic() + _START_S
    while time.monotonic() < must_end and process.poll() is None:
        worker = worker_of(process.pid)
        if worker != process.pid:
            return worker
        time.sleep(0.02)
    raise DidNotStart(f"nginx: {(folder / 'stderr').read_text()[-500:]}")
