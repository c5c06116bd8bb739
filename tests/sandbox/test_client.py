"""A stand-in ends with whoever started it."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys

import pytest

from sandbox.client import ROOT, Sandbox

ABANDON = "import os; from sandbox.client import Sandbox; print(Sandbox('anthropic').start().port, flush=True); os._exit(0)"


def test_the_process_ends_with_its_context() -> None:
    with Sandbox("bedrock") as sandbox:
        assert sandbox.totals()["requests"] == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", sandbox.port), timeout=2)
    sandbox.stop()


def test_the_process_ends_when_its_starter_dies() -> None:
    starter = subprocess.run([sys.executable, "-c", ABANDON], cwd=ROOT, stdout=subprocess.PIPE, env=os.environ, timeout=180)
    address = ("127.0.0.1", int(starter.stdout))
    with contextlib.suppress(ConnectionError), socket.create_connection(address, timeout=10) as connection:
        connection.recv(1)  # returns when the stand-in has closed its port
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address, timeout=2)
