"""The rules of the upstream sockets once more, in a process that gevent has patched before anything else, as the server's
workers are: sockets, plain and TLS, are others there (its TLS socket says 0 where the standard one raises)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.core.patched import in_patched_process

PROGRAM = """
import pytest
print(int(pytest.main(["-q", "-p", "no:cacheprovider", "--timeout=240", sys.argv[1]])))
"""


@pytest.mark.parametrize("rules", ["upstream_socket", "http_pool", "http_pool_ends", "http_pool_tls"])
def test_the_rules_hold_in_a_process_that_gevent_has_patched(rules: str) -> None:
    printed = in_patched_process(PROGRAM, str(Path(__file__).with_name(f"test_{rules}.py")))
    assert printed.splitlines()[-1] == "0" and " passed" in printed, printed
