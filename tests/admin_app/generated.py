"""Requests that nobody thought of, made from the API's own description by schemathesis."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import hypothesis
from hypothesis import HealthCheck, Phase
from schemathesis import Case, GenerationMode
from schemathesis.checks import load_all_checks
from schemathesis.core.failures import AcceptedNegativeData, FailureGroup
from schemathesis.openapi import from_wsgi
from schemathesis.schemas import BaseSchema
from schemathesis.specs.openapi import checks as of_openapi

from admin_app.api_routes import all_offers
from admin_app.openapi import describe
from admin_app.operation import Offer
from core.version import VERSION
from tests.admin_app.api_world import ApiWorld, KnownBearers

# What a request that fits the description may be answered depends on what is there; that it is accepted is no rule.
_OWNER = {"Authorization": "Bearer owner"}
EXCLUDED = ("positive_data_acceptance",)


@dataclass(frozen=True, slots=True)
class Effort:
    """`examples` for each operation, kind of data and seed."""

    examples: int
    seed: int = 0


def _is_about_headers_that_were_replaced(failure: BaseException) -> bool:
    """What was wrong with the request was in its headers alone, and those that count are not sent as they were generated."""
    return isinstance(failure, AcceptedNegativeData) and "in header" in f"{failure} {getattr(failure, 'message', '')}"


def _is_about_fields_that_were_left_empty(failure: BaseException, case: Case) -> bool:
    """A field of a query that is empty counts as one that is not there (docs/api.md)."""
    named = re.search(r"Invalid component: parameters? (.*) in query", f"{failure} {getattr(failure, 'message', '')}")
    if named is None or not isinstance(failure, AcceptedNegativeData):
        return False
    return all(case.query.get(name) in ("", [], [""]) for name in re.findall(r"`(\w+)`", named[1]))


def described(world: ApiWorld) -> BaseSchema:
    """Of this world's app. That it serves this very document is proven in test_api_table.py; here it is made once."""
    load_all_checks()
    document = _document(tuple(world.more))

    def serve(_: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        start_response("200 OK", [("content-type", "application/json")])
        return [document]

    loaded = from_wsgi("/openapi.json", serve)
    loaded.app = world.app
    return loaded


@cache
def _document(more: tuple[Offer, ...]) -> bytes:
    return describe((*all_offers(KnownBearers()), *more), VERSION)


def attack(world: ApiWorld, offer: Offer, mode: GenerationMode, effort: Effort, known: Mapping[str, str] | None = None) -> int:
    """Sends generated requests and checks each answer against the description; returns how many. `known`: values for
    parameters of the path, so that something is found. Raises schemathesis' failures."""
    operation = described(world)[offer.path][offer.method]
    found = {name: value for name, value in (known or {}).items() if f"{{{name}}}" in offer.path}
    sent: list[int] = []
    excluded = [getattr(of_openapi, name) for name in EXCLUDED]

    @hypothesis.seed(effort.seed)
    @hypothesis.settings(
        max_examples=effort.examples,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @hypothesis.given(case=operation.as_strategy(generation_mode=mode, path_parameters=found or None))
    def send(case: Case) -> None:
        world.bearers.renew()
        answer = case.call(headers=_OWNER)
        try:
            case.validate_response(answer, excluded_checks=excluded, headers=_OWNER)
        except FailureGroup as failed:
            if not all(
                _is_about_headers_that_were_replaced(each) or _is_about_fields_that_were_left_empty(each, case)
                for each in failed.exceptions
            ):
                raise
        sent.append(answer.status_code)

    send()
    return len(sent)
