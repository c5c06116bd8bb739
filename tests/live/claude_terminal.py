"""The real Claude Code CLI in a pseudo-terminal: what its screen says, and what is typed into it.

Knows terminals as far as it takes to read text off one; refuses to know the proxy. Invariants: nothing of the machine reaches
the CLI but PATH, and its home is the test's own; when closed, the CLI and everything it started are gone.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from pathlib import Path
from typing import Any

from tests.live.claude_cli import BUNDLED, scrubbed, work_in

ROWS, COLUMNS = 50, 160
ECHO_S = 60.0
_CONTROL = re.compile(r"\x1b\[[0-9;?<>=]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-Z\\-_=>78]|[\x00-\x1f\x7f]")


class ClaudeTerminal:
    """Started by its construction, past the questions of a first start. `settings` become the user's own."""

    def __init__(self, home: Path, base_url: str, settings: dict[str, Any]) -> None:
        work = work_in(home)
        answered = {"hasTrustDialogAccepted": True, "hasCompletedProjectOnboarding": True}
        start = {"hasCompletedOnboarding": True, "theme": "dark", "projects": {str(work): answered}}
        (home / ".claude.json").write_text(json.dumps(start))
        (home / ".claude").mkdir(exist_ok=True)
        (home / ".claude" / "settings.json").write_text(json.dumps(settings))
        environment = {**scrubbed(home, base_url, oauth=True), "TERM": "xterm-256color"}
        if not base_url:
            del environment["ANTHROPIC_BASE_URL"]
        self._terminal, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self._process = subprocess.Popen(
            [str(BUNDLED)], cwd=work, env=environment, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
        )
        os.close(theirs)
        self._said = b""

    def await_text(self, text: str, timeout_s: float) -> None:
        """Until this was written to the screen; fails with what was. Blanks do not count: many are jumps of the cursor."""
        deadline, wanted = time.monotonic() + timeout_s, "".join(text.split())
        while wanted not in self.text:
            left = deadline - time.monotonic()
            assert left > 0 and self._process.poll() is None, f"no {text!r} in:\n{self.text[-4000:]}"
            self._read(min(left, 0.5))

    @property
    def text(self) -> str:
        """All that was ever written, without colours, movements and blanks."""
        return "".join(_CONTROL.sub("", self._said.decode("utf-8", "replace")).split())

    def type(self, text: str) -> None:
        """As from a keyboard: the return key when what was typed is on the screen, or it would be taken for a pasted one."""
        for part in re.split(r"(\r)", text):
            os.write(self._terminal, part.encode())
            self.await_text(part, ECHO_S)

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(10)
        os.close(self._terminal)

    def _read(self, timeout_s: float) -> None:
        ready, _, _ = select.select([self._terminal], [], [], timeout_s)
        if ready:
            with contextlib.suppress(OSError):  # the other side is closed
                self._said += os.read(self._terminal, 65536)
