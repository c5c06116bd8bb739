"""Sessions of Claude Code: the latest of a user or a key, and the tree of agents in one, with what each cost (SPEC section 11).

A session's id is what a client says it is, so it is looked for among the requests of one user or one key alone. Invariant:
money is exact to the micro-dollar; an agent's `with_below` holds all that it began, down to the last.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated

from msgspec import Meta

from admin_app.cursors import after_of, next_cursor
from admin_app.fields import Cursor, Limit, Text, usd
from admin_app.operation import BadFields, Doing, Offer, Operation, Shape, Shown, asks
from core.access import NotFound
from core.access_keys import find_key
from core.actor import Role
from core.session_report import SESSIONS_A_PAGE, AgentLine, SessionLine, Span, Whose, last_user_of, session_tree, sessions_behind
from core.types import ProviderName
from core.users import find_user

SessionId = Annotated[str, Meta(min_length=1, max_length=80, description="a session's id as Claude Code sends it")]


class FiguresShown(Shown, frozen=True, kw_only=True):
    """Requests summed up. `cost_usd` is Bedrock's; `list_value_usd` what all of it would cost by Anthropic's list. `plan` and
    `bedrock` say how many each answered, `nobody` how many none did; `seconds` lie between the first and the last."""

    requests: int
    errors: int
    fallbacks: int
    input_tokens: int
    output_tokens: int
    cost_usd: Decimal
    list_value_usd: Decimal
    plan: int
    bedrock: int
    nobody: int
    first_at: datetime
    last_at: datetime
    seconds: int


class ClaudeSessionShown(Shown, frozen=True, kw_only=True):
    """`agents` counts the main agent, too."""

    session_id: str
    agents: int
    figures: FiguresShown


class WhoseShown(Shown, frozen=True, kw_only=True):
    """Whose requests were looked through: a user's, or one key's. `access_key_id` is empty for all keys of the user."""

    user_id: str
    user_name: str
    access_key_id: str
    key_prefix: str


class ClaudeSessionsShown(Shown, frozen=True, kw_only=True):
    """The latest used first. `total`: how many there are among the latest requests."""

    data: list[ClaudeSessionShown]
    next_cursor: str | None
    total: int
    whose: WhoseShown


class AgentShown(Shown, frozen=True, kw_only=True):
    """`depth` 0 is the main agent, whose id is empty. `own` is null where no request of the agent itself is known."""

    agent_id: str
    depth: int
    own: FiguresShown | None
    with_below: FiguresShown


class ClaudeTreeShown(Shown, frozen=True, kw_only=True):
    """Agents in the order of the tree: each behind the one that began it. Not `is_whole`: its latest requests alone."""

    session_id: str
    is_whole: bool
    figures: FiguresShown
    agents: list[AgentShown]
    whose: WhoseShown


class FindSessions(Shape, frozen=True, kw_only=True):
    """Of one user, or of one access key: exactly one of the two is given."""

    user_id: Text = ""
    access_key_id: Text = ""
    limit: Limit = SESSIONS_A_PAGE
    cursor: Cursor = ""


class TheSession(Shape, frozen=True, kw_only=True):
    """Of one user, or of one access key; where neither is given, of whoever used it last."""

    session_id: SessionId
    user_id: Text = ""
    access_key_id: Text = ""


def _find(doing: Doing, taken: FindSessions) -> ClaudeSessionsShown:
    try:
        whose, told = _whose(doing, taken.user_id, taken.access_key_id)
    except NotFound as missing:  # the address is right, what its query asks for is not
        raise BadFields({"user_id" if taken.user_id else "access_key_id": str(missing)}) from None
    page, total = sessions_behind(doing.connection, whose, taken.limit, after_of(doing, taken))
    following = next_cursor(doing, taken, page.last)
    return ClaudeSessionsShown(data=[_line(each) for each in page.lines], next_cursor=following, total=total, whose=told)


def _get(doing: Doing, taken: TheSession) -> ClaudeTreeShown:
    user_id = taken.user_id
    if not user_id and not taken.access_key_id:
        user_id = last_user_of(doing.connection, taken.session_id)
        if not user_id:
            raise _no_such_session()
    whose, told = _whose(doing, user_id, taken.access_key_id)
    tree = session_tree(doing.connection, whose, taken.session_id)
    if tree is None:
        raise _no_such_session()
    agents = [_agent(each) for each in tree.agents]
    return ClaudeTreeShown(
        session_id=tree.session_id, is_whole=tree.is_whole, figures=_figures(tree.span), agents=agents, whose=told
    )


def _no_such_session() -> NotFound:
    return NotFound("there is no such session of theirs, or its requests are no longer kept")


def _whose(doing: Doing, user_id: str, access_key_id: str) -> tuple[Whose, WhoseShown]:
    """Raises NotFound, BadFields."""
    if bool(user_id) == bool(access_key_id):
        raise BadFields({"user_id": "give a user or an access key, one of the two"})
    if user_id:
        user = find_user(doing.connection, user_id)
        told = WhoseShown(user_id=user.id, user_name=user.name, access_key_id="", key_prefix="")
        return Whose(user_id=user.id), told
    key = find_key(doing.connection, access_key_id)
    told = WhoseShown(user_id=key.user_id, user_name=key.user_name, access_key_id=key.id, key_prefix=key.prefix)
    return Whose(access_key_id=key.id), told


def _line(line: SessionLine) -> ClaudeSessionShown:
    return ClaudeSessionShown(session_id=line.session_id, agents=line.agents, figures=_figures(line.span))


def _agent(line: AgentLine) -> AgentShown:
    own = _figures(line.own) if line.own is not None else None
    return AgentShown(agent_id=line.agent_id, depth=line.depth, own=own, with_below=_figures(line.below))


def _figures(span: Span) -> FiguresShown:
    total = span.total
    by = {sums.provider: sums.requests for sums in span.by_provider}
    return FiguresShown(
        requests=total.requests,
        errors=total.errors,
        fallbacks=total.fallbacks,
        input_tokens=total.input_tokens,
        output_tokens=total.output_tokens,
        cost_usd=usd(total.cost_micros) or Decimal(0),
        list_value_usd=usd(total.list_value_micros) or Decimal(0),
        plan=by.get(ProviderName.PLAN, 0),
        bedrock=by.get(ProviderName.BEDROCK, 0),
        nobody=by.get("", 0),
        first_at=span.first_at,
        last_at=span.last_at,
        seconds=int((span.last_at - span.first_at).total_seconds()),
    )


LIST = Operation(
    "listClaudeSessions", "The latest sessions of Claude Code", Role.VIEWER, FindSessions, ClaudeSessionsShown, asks(_find)
)
GET = Operation("getClaudeSession", "The agents of one session", Role.VIEWER, TheSession, ClaudeTreeShown, asks(_get))

OFFERS = (
    Offer("GET", "/claude-sessions", LIST, tag="Claude Code sessions"),
    Offer("GET", "/claude-sessions/{session_id}", GET, tag="Claude Code sessions"),
)
