"""Commands are run by hand and by ECS, one process each: none waits for what only a server needs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from core.settings import Settings
from tests.installations import with_tables

PROJECT = Path(__file__).resolve().parents[2]
SERVERS = {"falcon", "gunicorn", "gevent", "jinja2", "urllib3", "requests", "boto3", "botocore", "zxcvbn", "wsgi"}
PROGRAM = """
import sys
from admin_app.__main__ import main
code = main()
print(code, *sorted({name.partition('.')[0] for name in sys.modules}))
"""


def test_a_command_imports_nothing_that_only_a_server_needs(tmp_path: Path, sqlite_template: Path) -> None:
    with_tables(Settings(data_dir=tmp_path), sqlite_template)
    environ = {"PATH": os.environ["PATH"], "PROXY_DATA_DIR": str(tmp_path)}
    words = [sys.executable, "-c", PROGRAM, "user", "add", "Eve"]
    done = subprocess.run(words, cwd=PROJECT, env=environ, capture_output=True, text=True, check=True)

    code, *imported = done.stdout.splitlines()[-1].split()
    assert (code, SERVERS & set(imported)) == ("0", set())
