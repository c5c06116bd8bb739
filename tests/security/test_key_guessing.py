"""Whether the time of a refusal tells a guesser how near they are: keys that nobody has, with and without the first characters of
one that somebody has (their hash is what is looked up, so nearness means nothing).

Both kinds are asked in pairs over one connection, in random order within each, so that whatever else the machine does falls on
both alike: of two that came right after each other the difference is their own, also where the machine is busy half of the time.
"""

from __future__ import annotations

import http.client
import random
import statistics
import string
import time
from collections.abc import Iterator
from math import exp, sqrt
from typing import Any
from urllib.parse import urlsplit

import pytest

from core.crypto import _checksum, new_access_key
from tests.browser.town import Town, open_town

EACH = 1000
_ALPHABET = string.ascii_letters + string.digits


@pytest.fixture(scope="module")
def town(upstreams: Any) -> Iterator[Town]:
    with open_town(*upstreams) as opened:
        opened.furnish()
        yield opened


def near(real: str) -> str:
    """Right in form and checksum, with the first nine characters that administrators see of the real one."""
    body = real[:9] + "".join(random.choices(_ALPHABET, k=32))
    return body + _checksum(body)


def refused(connection: http.client.HTTPConnection, key: str) -> tuple[float, bytes]:
    """Seconds, and the answer with what is random taken out."""
    began = time.perf_counter()
    connection.request("GET", f"/ak/{key}/v1/models", headers={"authorization": "Bearer x"})
    answer = connection.getresponse()
    body, took = answer.read(), time.perf_counter() - began
    request_id = answer.headers["x-proxy-request-id"].encode()
    fields = sorted((name, value) for name, value in answer.getheaders() if name.lower() not in ("date",))
    return took, f"{answer.status} {fields} {body!r}".encode().replace(request_id, b"").replace(key.encode(), b"")


def kolmogorov_smirnov(first: list[float], second: list[float]) -> tuple[float, float]:
    """The greatest distance between both distributions, and how likely one at least as great is by chance."""
    both = sorted((value, kind) for kind, values in ((0, first), (1, second)) for value in values)
    seen, distance = [0, 0], 0.0
    for _, kind in both:
        seen[kind] += 1
        distance = max(distance, abs(seen[0] / len(first) - seen[1] / len(second)))
    scale = distance * sqrt(len(first) * len(second) / (len(first) + len(second)))
    chance = 2 * sum((-1) ** (k - 1) * exp(-2 * (k * scale) ** 2) for k in range(1, 101)) if scale > 0.2 else 1.0
    return distance, max(0.0, min(1.0, chance))


def measured(town: Town) -> tuple[dict[str, list[float]], set[bytes]]:
    real, address = town.secrets["access key"], urlsplit(town.url)
    kinds = [kind for _ in range(EACH) for kind in random.sample(["near", "far"], 2)]
    times: dict[str, list[float]] = {"near": [], "far": []}
    answers: set[bytes] = set()
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=60)
    for number, kind in enumerate(kinds):
        took, answer = refused(connection, near(real) if kind == "near" else new_access_key())
        answers.add(answer)
        if number >= 50:  # the first ones warm up
            times[kind].append(took)
    connection.close()
    return times, answers


def test_a_key_near_a_real_one_is_refused_like_any_other_and_as_fast(town: Town) -> None:
    times, answers = measured(town)

    medians = {kind: statistics.median(values) for kind, values in times.items()}
    apart = statistics.median(near - far for near, far in zip(times["near"], times["far"], strict=True))
    distance, chance = kolmogorov_smirnov(times["near"], times["far"])
    shown = {kind: round(value * 1000, 3) for kind, value in medians.items()}
    print(f"medians {shown} ms of {EACH} each, {apart * 1000:.3f} ms apart; Kolmogorov-Smirnov D {distance:.4f}, p {chance:.3f}")
    assert len(answers) == 1
    assert abs(apart) < 0.1 * min(medians.values())
    assert chance > 1e-4


def test_the_measure_sees_a_difference_that_is_there() -> None:
    """A tenth more for half of the near ones, on times that spread as much as they do."""
    dice = random.Random(7)
    far = [dice.gauss(1.0, 0.1) for _ in range(EACH)]
    slower = [dice.gauss(1.0, 0.1) + (0.1 if number % 2 else 0.0) for number in range(EACH)]
    same = [dice.gauss(1.0, 0.1) for _ in range(EACH)]

    assert kolmogorov_smirnov(far, slower)[1] < 1e-4
    assert kolmogorov_smirnov(far, same)[1] > 0.01
