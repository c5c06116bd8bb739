"""Where the product under test listens, and what tests read of its log while it writes."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from sandbox import product
from sandbox.product import Product

OUTGOING = Path("/proc/sys/net/ipv4/ip_local_port_range")


def test_no_outgoing_connection_can_get_a_servers_port() -> None:
    first, last = map(int, OUTGOING.read_text().split())

    assert not any(first <= product.free_port() <= last for _ in range(200))


def test_a_port_that_is_taken_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    free = product.free_port()
    with socket.create_server(("127.0.0.1", 0)) as other:
        monkeypatch.setattr(product, "_PORTS", (other.getsockname()[1], free))
        found = {product.free_port() for _ in range(20)}

    assert found == {free}


def test_a_line_that_is_being_written_is_read_when_it_is_whole(tmp_path: Path) -> None:
    with Product(tmp_path, {}) as running:
        running.log_path.write_text('a word of gunicorn\'s\n{"n": 1}\n{"n": "\u2028 is no line\'s end"}\n{"n": 3, "cont')
        seen = running.logs()
        running.log_path.write_text('{"n": 3}\n')
        assert (seen, running.logs()) == ([{"n": 1}, {"n": "\u2028 is no line's end"}], [{"n": 3}])
