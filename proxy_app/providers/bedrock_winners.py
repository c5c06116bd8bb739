"""Which of a model's Bedrock ids worked last time, so that a request does not pay again for what the one before found out.

One a worker; it knows no HTTP. Remembered is only what will be the same next time, for a day (a policy may be lifted, a
profile may be opened, and `global.` costs less), and for so many names. Invariant: it changes the order of the routes of a
request, never which they are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from core.cache import Cache
from proxy_app.bedrock.errors import Kind
from proxy_app.bedrock.models import Route
from proxy_app.providers.bedrock_refusals import LASTING, Refusal, will_be_the_same

_UNKNOWN = frozenset({Kind.INVALID_IDENTIFIER, Kind.ON_DEMAND})
_REMEMBERED_S = 86_400.0
_MOST_REMEMBERED = 10_000


class Winners:
    """A model is known here by its first route: a name comes from the client and may have any length."""

    def __init__(self, clock: Callable[[], float], most: int = _MOST_REMEMBERED) -> None:
        self._winners = Cache[tuple[str, str], str](most, clock)

    def ordered(self, key_id: str, routes: tuple[Route, ...]) -> tuple[Route, ...]:
        """The winner first; when that is another model, all of that model's routes before the ids that do not exist."""
        winner = self._winners.get((key_id, routes[0].id)) if routes else None
        found = next((route for route in routes if route.id == winner), None)
        if found is None:
            return routes
        return tuple(sorted(routes, key=lambda route: (route is not found, route.instead != found.instead)))

    def remember(self, key_id: str, routes: tuple[Route, ...], winner: Route, refusals: Sequence[Refusal]) -> None:
        """`routes` as the catalogue gave them. A throttled profile is the first choice again (`global.` costs less)."""
        if will_be_the_same(refusals):
            self._winners.put((key_id, routes[0].id), winner.id, _REMEMBERED_S)


def may_try(route: Route, ordered: tuple[Route, ...], refusals: Sequence[Refusal]) -> bool:
    """Another model stands in only for one that Bedrock does not know: every id of it refused for good, one as no id at all."""
    if not route.instead or ordered[0].instead:
        return True
    own = [each for each in ordered if not each.instead]
    kinds = [refusal.kind for refusal in refusals[: len(own)]]
    return len(kinds) == len(own) and all(kind in LASTING for kind in kinds) and any(kind in _UNKNOWN for kind in kinds)
