"""Line ends and other bytes that would like to become a header of an answer, sent to every address that reads anything.

That hop-by-hop fields and what `Connection` names stay here is shown by tests/live/test_transparency.py and
tests/proxy_app/test_headers.py, framing by tests/live/test_bad_input.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser.town import Town, open_town
from tests.live.test_admin import dialogue
from tests.live.wire import CLOSE

INJECTED = "%0d%0aset-cookie:%20evil=1%0d%0a%0d%0a<h1>evil</h1>"
LINE_ENDS = (
    INJECTED,
    "%0aset-cookie:%20evil=1",
    "%0dset-cookie:%20evil=1",
    "%E5%98%8D%E5%98%8Aset-cookie:%20evil=1",
    "%u000aset-cookie:evil=1",
    "%00",
)


@pytest.fixture(scope="module")
def town(upstreams: Any) -> Iterator[Town]:
    with open_town(*upstreams) as opened:
        opened.furnish()
        yield opened


def answer(town: Town, target: str, cookie: str, more: str = "") -> bytes:
    line = f"GET {target} HTTP/1.1\r\nHost: x\r\nCookie: session={cookie}\r\n{more}"
    return dialogue(town.url, line.encode("latin-1") + CLOSE + b"\r\n")


def head_of(received: bytes) -> bytes:
    return received.partition(b"\r\n\r\n")[0].lower()


def targets(town: Town, injected: str) -> list[str]:
    """Each part of an address, each query that is sent on, and each list."""
    parts = [route.at(dict.fromkeys(town.furnished.ids, f"x{injected}")) for route in town.pages if "{" in route.path]
    plain = [
        f"{route.at(town.furnished.ids)}?notice={injected}&search={injected}&cursor={injected}"
        for route in town.pages
        if "{" not in route.path
    ]
    return [*parts, *plain, f"/admin/login?next=/admin/{injected}", f"/admin/requests?find=x{injected}", f"/claim/{injected}"]


@pytest.mark.parametrize("injected", LINE_ENDS)
def test_no_line_end_of_an_address_reaches_the_head_of_an_answer(town: Town, injected: str) -> None:
    cookie = town.session()

    answers = {target: answer(town, target, cookie) for target in targets(town, injected)}

    assert len(answers) >= 30
    assert {
        target for target, received in answers.items() if b"\nset-cookie: evil" in head_of(received).replace(b"\r", b"\n")
    } == set()
    assert {target: received[9:12] for target, received in answers.items() if received[9:10] not in (b"2", b"3", b"4")} == {}


@pytest.mark.parametrize(
    "field", ["hx-target", "hx-request", "user-agent", "sec-fetch-site", "x-proxy-request-id", "x-request-id", "accept-language"]
)
def test_no_field_of_a_request_is_repeated_in_the_head_of_an_answer(town: Town, field: str) -> None:
    received = answer(town, "/admin/users", town.session(), f"{field}: Quokka8value\r\nhx-request: true\r\n")

    assert received.startswith(b"HTTP/1.1 200")
    assert b"quokka8value" not in head_of(received)
