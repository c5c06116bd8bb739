"""Sessions of Claude Code: the latest of all, of a user or of a key, and the tree of agents in one, with what each cost (SPEC
section 11).

A session's id is what a client says it is, so a session is one of one access key, and its tree is looked for among the requests
of one user or one key alone. Invariant: money is exact to the micro-dollar; an agent's `with_below` holds all that it began,
down to the last.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated

from msgspec import Meta

from admin_app.cursors import after_of, listed
from admin_app.fields import Cursor, Limit, Moment, Text, usd, utc
from admin_app.operation import BadFields, Doing, Offer, Operation, Shape, Shown, asks
from core.access import NotFound
from core.access_keys import find_key
from core.actor import Role
from core.reports import Sums
from core.session_list import SESSIONS_A_PAGE, Answered, SessionFilter, SessionLine, count_sessions, find_sessions
from core.session_report import AgentLine, Span, Whose, last_user_of, session_tree
from core.types import ProviderName
from core.users import find_user

AnsweredBy = Annotated[
    str, Meta(pattern="^(plan|bedrock|fallback|errors)?$", description="plan (alone), bedrock, fallback, or errors")
]
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
    """`agents` counts the main agent, too. `fault`: why Bedrock answered instead of the plan the last time, at `fell_back_at`;
    empty and null where it never did. Names are empty where the user or the key is gone."""

    session_id: str
    user_id: str
    user_name: str
    access_key_id: str
    key_prefix: str
    key_name: str
    agents: int
    figures: FiguresShown
    fault: str
    fell_back_at: datetime | None


class WhoseShown(Shown, frozen=True, kw_only=True):
    """Whose requests were looked through: a user's, or one key's. `access_key_id` is empty for all keys of the user."""

    user_id: str
    user_name: str
    access_key_id: str
    key_prefix: str


class ClaudeSessionsShown(Shown, frozen=True, kw_only=True):
    """The latest used first. `total`: how many there are; 10,001 means more than 10,000. `whose` is null for all users."""

    data: list[ClaudeSessionShown]
    next_cursor: str | None
    total: int
    whose: WhoseShown | None


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
    """Of all users, unless one is given, or an access key. `user_id` is an id, or the exact name.

    `answered`: by the plan alone; some by Bedrock; some by Bedrock because the plan did not; or with errors. `since` and `until`
    are about the last request.
    """

    user_id: Text = ""
    access_key_id: Text = ""
    answered: AnsweredBy = ""
    since: Moment | None = None
    until: Moment | None = None
    limit: Limit = SESSIONS_A_PAGE
    cursor: Cursor = ""


class TheSession(Shape, frozen=True, kw_only=True):
    """Of one user, or of one access key; where neither is given, of whoever used it last."""

    session_id: SessionId
    user_id: Text = ""
    access_key_id: Text = ""


def _find(doing: Doing, taken: FindSessions) -> ClaudeSessionsShown:
    wanted, told = filter_of(doing, taken)
    page = find_sessions(doing.connection, wanted, taken.limit, after_of(doing, taken))
    shown = listed(doing, taken, page, _line)
    total = count_sessions(doing.connection, wanted)
    return ClaudeSessionsShown(data=shown.data, next_cursor=shown.next_cursor, total=total, whose=told)


def filter_of(doing: Doing, taken: FindSessions) -> tuple[SessionFilter, WhoseShown | None]:
    """Raises BadFields: the address is right, what its query asks for is not."""
    told: WhoseShown | None = None
    if taken.access_key_id:
        try:
            _, told = _whose(doing, "", taken.access_key_id)
        except NotFound as missing:
            raise BadFields({"access_key_id": str(missing)}) from None
    user_id = ""
    if taken.user_id:
        try:
            user = find_user(doing.connection, taken.user_id)
        except NotFound:
            raise BadFields({"user_id": "nobody is called so"}) from None
        user_id = user.id
        told = told or WhoseShown(user_id=user.id, user_name=user.name, access_key_id="", key_prefix="")
    answered = Answered(taken.answered) if taken.answered else None
    return SessionFilter(user_id, taken.access_key_id, answered, utc(taken.since), utc(taken.until)), told


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
        session_id=tree.session_id, is_whole=tree.is_whole, figures=_figures_of_span(tree.span), agents=agents, whose=told
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
    return ClaudeSessionShown(
        session_id=line.session_id,
        user_id=line.user_id,
        user_name=line.user_name,
        access_key_id=line.access_key_id,
        key_prefix=line.prefix,
        key_name=line.key_name,
        agents=line.agents,
        figures=_figures(line, (line.plan, line.bedrock, line.nobody), line),
        fault=line.fault,
        fell_back_at=line.fell_back_at,
    )


def _agent(line: AgentLine) -> AgentShown:
    own = _figures_of_span(line.own) if line.own is not None else None
    return AgentShown(agent_id=line.agent_id, depth=line.depth, own=own, with_below=_figures_of_span(line.below))


def _figures_of_span(span: Span) -> FiguresShown:
    by = {sums.provider: sums.requests for sums in span.by_provider}
    answered = (by.get(ProviderName.PLAN, 0), by.get(ProviderName.BEDROCK, 0), by.get("", 0))
    return _figures(span.total, answered, span)


def _figures(sums: Sums | SessionLine, answered: tuple[int, int, int], span: Span | SessionLine) -> FiguresShown:
    """`answered`: by the plan, by Bedrock, by nobody."""
    plan, bedrock, nobody = answered
    return FiguresShown(
        requests=sums.requests,
        errors=sums.errors,
        fallbacks=sums.fallbacks,
        input_tokens=sums.input_tokens,
        output_tokens=sums.output_tokens,
        cost_usd=usd(sums.cost_micros) or Decimal(0),
        list_value_usd=usd(sums.list_value_micros) or Decimal(0),
        plan=plan,
        bedrock=bedrock,
        nobody=nobody,
        first_at=span.first_at,
        last_at=span.last_at,
        seconds=int((span.last_at - span.first_at).total_seconds()),
    )


LIST = Operation(
    "listClaudeSessions",
    "The latest sessions of Claude Code, of all users or of one",
    Role.VIEWER,
    FindSessions,
    ClaudeSessionsShown,
    asks(_find),
)
GET = Operation("getClaudeSession", "The agents of one session", Role.VIEWER, TheSession, ClaudeTreeShown, asks(_get))

OFFERS = (
    Offer("GET", "/claude-sessions", LIST, tag="Claude Code sessions"),
    Offer("GET", "/claude-sessions/{session_id}", GET, tag="Claude Code sessions"),
)
