"""What worked is remembered within bounds."""

from __future__ import annotations

from proxy_app.bedrock.errors import BedrockFault, Kind
from proxy_app.bedrock.models import Route, load_catalogue
from proxy_app.providers.bedrock_winners import Winners
from tests.proxy_app.scripted import Clock

ABLE = load_catalogue().capabilities("claude-opus-5-5")
ROUTES = (Route("global.x", ABLE), Route("us.x", ABLE))
REFUSED = [BedrockFault(Kind.INVALID_IDENTIFIER)]


def test_the_least_recently_used_is_forgotten_when_there_are_too_many() -> None:
    winners = Winners(Clock(), most=2)
    for key_id in ("a", "b"):
        winners.remember(key_id, ROUTES, ROUTES[1], REFUSED)
    winners.ordered("a", ROUTES)
    winners.remember("c", ROUTES, ROUTES[1], REFUSED)
    assert [winners.ordered(key_id, ROUTES)[0].id for key_id in ("a", "b", "c")] == ["us.x", "global.x", "us.x"]


def test_no_route_is_lost_or_added() -> None:
    winners = Winners(Clock())
    routes = (*ROUTES, Route("global.y", ABLE, "y"), Route("us.y", ABLE, "y"))
    winners.remember("a", routes, routes[3], REFUSED)
    assert [route.id for route in winners.ordered("a", routes)] == ["us.y", "global.y", "global.x", "us.x"]
    assert winners.ordered("a", ()) == ()
