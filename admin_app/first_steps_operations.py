"""The checklist of a new installation, as the dashboard shows it (SPEC section 11). Invariant: done, it is nothing."""

from __future__ import annotations

from dataclasses import dataclass

from admin_app.operation import Doing, Operation, Shape, asks
from core.actor import Role
from core.first_steps import FirstSteps, first_steps


@dataclass(frozen=True, slots=True)
class StepsShown:
    """`has_server_secret` is true wherever this runs: nothing is served without. `base_url` is the proxy's."""

    found: FirstSteps
    has_server_secret: bool
    base_url: str


class NoFields(Shape, frozen=True, kw_only=True):
    """Nothing is asked for."""


def steps_shown(doing: Doing, found: FirstSteps) -> StepsShown:
    return StepsShown(found, doing.tools.server_secret != "", doing.tools.settings.base_url)


def _get(doing: Doing, _: NoFields) -> StepsShown | None:
    found = first_steps(doing.connection)
    return None if found.are_done else steps_shown(doing, found)


GET_FIRST_STEPS = Operation("getFirstSteps", "What is left to set up", Role.VIEWER, NoFields, StepsShown, asks(_get))
