"""A port that is held is ours, whether somebody listens there or not."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.client import Sandbox
from sandbox.held_port import HOST, hold_port, port_of
from sandbox.product import Product


@pytest.fixture
def held() -> Iterator[socket.socket]:
    with hold_port() as held:
        yield held


def taken_by_another(port: int) -> bool:
    with socket.socket() as other:
        try:
            other.bind((HOST, port))
        except OSError:
            return False
    return True


def is_listened_to(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex((HOST, port)) == 0


def test_nobody_else_gets_it_and_who_connects_is_refused(held: socket.socket) -> None:
    assert (taken_by_another(port_of(held)), is_listened_to(port_of(held))) == (False, False)


def test_a_server_that_allows_reuse_listens_there_again_and_again(held: socket.socket) -> None:
    seen = []
    with socket.create_server((HOST, port_of(held))):
        seen.append(is_listened_to(port_of(held)))
    seen.append(is_listened_to(port_of(held)))
    with socket.create_server((HOST, port_of(held))):
        seen.append(is_listened_to(port_of(held)))
    assert seen == [True, False, True]


def test_a_port_where_somebody_listens_cannot_be_held() -> None:
    with socket.create_server((HOST, 0)) as somebody, pytest.raises(OSError, match="in use"):
        hold_port(somebody.getsockname()[1])


def test_a_product_that_does_not_run_keeps_its_port_until_it_is_closed(tmp_path: Path) -> None:
    with Product(tmp_path, {}) as product:
        assert not taken_by_another(product.port)
    assert taken_by_another(product.port)


def test_a_stand_in_that_is_shut_keeps_its_port() -> None:
    with Sandbox("anthropic") as sandbox:
        sandbox.listen(False)
        assert (taken_by_another(sandbox.port), is_listened_to(sandbox.port)) == (False, False)
        sandbox.listen(True)
        assert is_listened_to(sandbox.port)
