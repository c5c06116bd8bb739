"""Promises of the worker, in a real gunicorn under the product's configuration, with a small application of the test's own,
asked in bare bytes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.product import free_port
from tests import machine
from tests.live.bare import RawClient, chunked, request_bytes, until

ROOT = Path(__file__).resolve().parents[2]
HOST = ("host", "h")


class Server:
    def __init__(self, log: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        command = [sys.executable, "-m", "gunicorn", "tests.core.worker_app:application"]
        environ = {"PATH": os.environ["PATH"], "PROXY_BIND": f"127.0.0.1:{self.port}", "PROXY_DATA_DIR": str(log.parent / "var")}
        with log.open("wb") as output:
            self.process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=output, stderr=output)
        assert until(self._answers, 20), log.read_text()

    def _answers(self) -> bool:
        try:
            with RawClient(self.url) as client:
                return client.ask("/hello", [HOST]).body == b"hello"
        except OSError:
            return False

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(30)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("gunicorn") / "log")
    yield server
    server.stop()


@pytest.fixture
def client(server: Server) -> Iterator[RawClient]:
    with RawClient(server.url) as client:
        yield client


def test_one_connection_serves_many_requests(client: RawClient) -> None:
    bodies = [client.ask("/echo", [HOST], b"%d" % number).body for number in range(50)]
    assert bodies == [b"%d" % number for number in range(50)]


def test_pipelined_requests_are_answered_in_order(client: RawClient) -> None:
    client.send(b"".join(request_bytes("/echo", [HOST], b"%d" % number) for number in range(30)))
    assert [client.receive().body for _ in range(30)] == [b"%d" % number for number in range(30)]


def test_a_request_that_comes_byte_by_byte_behind_another_is_answered(client: RawClient) -> None:
    client.send(request_bytes("/echo", [HOST], b"first") + b"POST /ec")
    assert client.receive().body == b"first"
    for byte in request_bytes("/echo", [HOST], b"second")[8:]:
        client.send(bytes([byte]))
    assert client.receive().body == b"second"


def test_a_body_that_the_app_did_not_read_is_not_taken_for_a_request(client: RawClient) -> None:
    client.send(request_bytes("/hello", [HOST], request_bytes("/short", [HOST])) + request_bytes("/echo", [HOST], b"mine"))
    assert [client.receive().body, client.receive().body] == [b"hello", b"mine"]


def test_a_chunked_answer_leaves_no_empty_chunk_before_its_end(client: RawClient) -> None:
    assert client.ask("/chunks", [HOST]).body == b"onetwo"
    assert client.ask("/hello", [HOST]).body == b"hello"


def test_request_headers_reach_the_app_apart_and_in_order(client: RawClient) -> None:
    sent = [HOST, ("x-b", "1"), ("x_b", "2"), ("x-b", "3"), ("cookie", "a"), ("cookie", "b")]
    seen = json.loads(client.ask("/headers-seen", sent, method="GET").body)
    assert seen == [[name.upper(), value] for name, value in sent]


def test_answer_headers_leave_in_the_apps_order_without_those_of_another_connection(client: RawClient) -> None:
    got = client.ask("/headers-sent", [HOST])
    sent = [("X-b", "1"), ("server", "theirs"), ("x-B", "2"), ("Date", "then"), ("X-b", "1"), ("Trailers", "kept")]
    assert (got.line, got.headers) == ("HTTP/1.1 200 Fine", [("Connection", "keep-alive"), *sent, ("content-length", "0")])


def test_an_answer_shorter_than_announced_ends_its_connection(client: RawClient) -> None:
    began = time.monotonic()
    got = client.ask("/short", [HOST])
    assert (got.whole, time.monotonic() - began < 10) == (False, True)


def test_an_answer_longer_than_announced_is_cut_and_harms_nobody(client: RawClient) -> None:
    assert client.ask("/long", [HOST]).body == b"four"
    assert client.ask("/hello", [HOST]).body == b"hello"


@pytest.mark.parametrize("path", ["/aborted", "/aborted-short", "/crashed-late"])
def test_an_answer_that_broke_off_cannot_be_taken_for_whole(client: RawClient, path: str) -> None:
    assert not client.ask(path, [HOST]).whole


def test_an_answer_that_broke_off_ends_in_a_reset_for_an_old_client(client: RawClient) -> None:
    """HTTP/1.0 knows no chunks: there a quiet end of the connection is the end of the answer."""
    client.send(b"GET /aborted HTTP/1.0\r\nhost: h\r\n\r\n")
    with pytest.raises(ConnectionResetError):
        client.stream.read()


def test_a_crash_before_the_answer_is_told(client: RawClient) -> None:
    got = client.ask("/crashed", [HOST])
    assert (got.status, got.body, client.at_end()) == (500, b"what", True)


def test_old_clients_are_answered_without_chunks_and_let_go(client: RawClient) -> None:
    client.send(b"GET /hello HTTP/1.0\r\nhost: h\r\n\r\n")
    got = client.receive()
    assert (got.body, got.first("transfer-encoding"), got.first("connection")) == (b"hello", "", "close")
    assert client.at_end()


def test_an_old_client_that_wishes_so_is_answered_again_over_its_connection(client: RawClient) -> None:
    client.send(b"GET /hello HTTP/1.0\r\nhost: h\r\nconnection: keep-alive\r\n\r\n" * 2)
    got = [client.receive() for _ in range(2)]
    told = [(each.body, each.first("transfer-encoding"), each.first("connection")) for each in got]
    assert (told, client.hears_within(0.2)) == ([(b"hello", "", "keep-alive")] * 2, False)


def test_an_old_client_gets_a_body_of_unknown_length_up_to_the_end_of_the_connection(client: RawClient) -> None:
    client.send(b"GET /chunks HTTP/1.0\r\nhost: h\r\n\r\n")
    got = client.receive()
    assert (got.body, got.first("connection"), got.first("transfer-encoding")) == (b"onetwo", "close", "")


def test_a_client_that_wants_the_connection_closed_sees_it_closed_after_the_answer(client: RawClient) -> None:
    got = client.ask("/hello", [HOST, ("connection", "close")])
    assert (got.body, got.first("connection"), client.at_end()) == (b"hello", "close", True)


def test_a_refusal_reaches_a_client_that_is_still_sending_ten_megabytes(client: RawClient) -> None:
    """Closing on unread bytes would reset the connection and take the answer with it."""
    client.send(request_bytes("/refused", [HOST, ("content-length", "10000000")], method="PUT"))
    for _ in range(100):
        client.send(bytes(100_000))
    got = client.receive()
    assert (got.status, got.body, client.at_end()) == (413, b"refused", True)


def test_what_is_no_request_is_told_so_though_its_sender_goes_on(client: RawClient) -> None:
    client.send(b"garbage\r\n\r\n")
    assert client.hears_within(20)
    for _ in range(400):
        client.send(bytes(50_000))
    got = client.receive()
    assert (got.status, got.body) == (400, b"what")


def test_a_refusal_does_not_wait_for_ever_for_a_client_that_neither_sends_nor_closes(server: Server) -> None:
    [worker] = _children(server.process.pid)
    before = _open_files(worker)
    with RawClient(server.url) as idle:
        idle.send(request_bytes("/refused", [HOST, ("content-length", "10000000")], method="PUT"))
        assert (idle.receive().status, idle.at_end()) == (413, True)
        assert until(lambda: _open_files(worker) <= before)


@pytest.mark.parametrize("expectation", ["100-continue", "100-Continue"])
def test_a_client_that_waits_for_the_invitation_gets_it_when_its_body_is_wanted(client: RawClient, expectation: str) -> None:
    client.send(request_bytes("/echo", [HOST, ("expect", expectation), ("content-length", "4")], method="PUT"))
    invited = client.receive()
    client.send(b"body")
    assert (invited.status, client.receive().body) == (100, b"body")
    assert client.ask("/hello", [HOST]).body == b"hello"


def test_an_invited_body_may_come_in_chunks(client: RawClient) -> None:
    client.send(request_bytes("/echo", [HOST, ("expect", "100-continue"), ("transfer-encoding", "chunked")], method="PUT"))
    invited = client.receive()
    client.send(chunked(b"bo", b"dy"))
    assert (invited.status, client.receive().body) == (100, b"body")


@pytest.mark.parametrize(("path", "status"), [("/refused", 413), ("/hello", 200)])
def test_a_client_whose_body_is_not_wanted_is_told_so_instead_of_invited(client: RawClient, path: str, status: int) -> None:
    client.send(request_bytes(path, [HOST, ("expect", "100-continue"), ("content-length", "10000000")], method="PUT"))
    got = client.receive()
    assert (got.status, got.first("connection"), client.at_end()) == (status, "close", True)


def test_a_head_that_does_not_end_holds_no_other_request_up(server: Server, client: RawClient) -> None:
    with RawClient(server.url) as slow:
        slow.send(b"GET /hello HTTP/1.1\r\nhost: h\r\nx-")
        assert client.ask("/hello", [HOST]).body == b"hello"
        slow.send(b"a: 1\r\n\r\n")
        assert slow.receive().body == b"hello"


def test_chunks_leave_as_they_come_and_others_are_served_meanwhile(server: Server, client: RawClient) -> None:
    with RawClient(server.url) as other:
        client.send(request_bytes("/stepwise", [HOST]))
        assert client.first_chunk() == b"begun"
        assert other.ask("/step", [HOST]).body == b"hello"
        assert (client.chunk(), client.chunk()) == (b"ended", b"")


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGHUP])
def test_an_ending_worker_finishes_what_runs_answers_what_comes_and_does_not_wait_for_idle_clients(
    tmp_path: Path, ending: signal.Signals
) -> None:
    server = Server(tmp_path / "log")
    [worker] = _children(server.process.pid)
    running, idle, late = (RawClient(server.url) for _ in range(3))
    assert [idle.ask("/hello", [HOST]).body, late.ask("/hello", [HOST]).body] == [b"hello"] * 2
    running.send(request_bytes("/stepwise", [HOST]))
    assert running.first_chunk() == b"begun"

    began = machine.now()
    os.kill(server.process.pid, ending)
    assert until(lambda: _refuses(server) or worker not in _children(server.process.pid) or ending == signal.SIGHUP)
    last = late.ask("/step", [HOST])

    assert (running.chunk(), running.chunk()) == (b"ended", b"")
    assert last.body == b"hello"
    assert idle.at_end()
    assert until(lambda: worker not in _children(server.process.pid))
    assert machine.now().since(began) < 15
    for each in (running, idle, late):
        each.close()
    server.stop()


def _refuses(server: Server) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", server.port)) != 0


def _open_files(pid: int) -> int:
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
