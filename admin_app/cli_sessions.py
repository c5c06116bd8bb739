"""The command line's `usage sessions`: what sessions of Claude Code cost, and what each agent in one of them did.

Knows words and answers, no SQL; the sums are core.session_list's and core.session_report's. Invariant:
money is exact to the micro-dollar.
"""

from __future__ import annotations

from argparse import Namespace
from datetime import datetime
from typing import Any

from admin_app.cli_desk import Answer, Desk, Words
from admin_app.exports import Row, as_table
from admin_app.listings import of_sessions, usd
from core.access import NotFound
from core.access_keys import find_key
from core.session_list import SESSIONS_A_PAGE, Answered, SessionFilter, sessions_on
from core.session_report import AgentLine, SessionTree, Span, Whose, last_user_of, session_tree

_SHOWN = ("requests", "input_tokens", "output_tokens", "cost_usd", "list_value_usd", "first_at", "last_at", "plan", "bedrock")


def add_words(usage: Words) -> None:
    """Adds to the noun `usage`."""
    found = usage.verb("sessions", _sessions, "the latest sessions, of all users or of one, or the agents of one")
    whose = found.add_mutually_exclusive_group()
    whose.add_argument("--user", metavar="NAME_OR_ID")
    whose.add_argument("--key", metavar="ID", help="an access key's id")
    found.add_argument("--answered", choices=tuple(Answered), metavar="BY", help="plan (alone), bedrock, fallback, or errors")
    found.add_argument("--session", metavar="ID", help="this one, agent by agent")
    found.add_argument("--page", type=int, choices=range(1, 1001), default=1, metavar="NUMBER")


def _sessions(desk: Desk, arguments: Namespace) -> Answer:
    whose = _whose(desk, arguments)
    if arguments.session:
        return _tree(desk, _named(desk, whose, arguments.session), arguments.session)
    answered = Answered(arguments.answered) if arguments.answered else None
    return _list(desk, SessionFilter(whose.user_id, whose.access_key_id, answered), arguments.page)


def _whose(desk: Desk, arguments: Namespace) -> Whose:
    """Neither is given: of all."""
    if arguments.user is not None:
        return Whose(user_id=desk.user(arguments.user).id)
    if arguments.key is None:
        return Whose()
    return Whose(access_key_id=desk.database.read(lambda connection: find_key(connection, arguments.key)).id)


def _named(desk: Desk, whose: Whose, session_id: str) -> Whose:
    """Where nobody is given, whoever used it last."""
    if whose != Whose():
        return whose
    return Whose(user_id=desk.database.read(lambda connection: last_user_of(connection, session_id)))


def _list(desk: Desk, wanted: SessionFilter, page: int) -> Answer:
    found = desk.database.read(lambda connection: sessions_on(connection, wanted, page))
    listing = of_sessions(found.lines)
    pages = max(1, -(-found.total // SESSIONS_A_PAGE))
    more = f"\nPage {page} of {pages}." if pages > 1 and listing.rows else ""
    return Answer({"sessions": listing.rows, "total": found.total}, listing.table + more)


def _tree(desk: Desk, whose: Whose, session_id: str) -> Answer:
    found = desk.database.read(lambda connection: session_tree(connection, whose, session_id))
    if found is None:
        raise NotFound(f"there is no session {session_id} of theirs")
    rows = [_agent(line) for line in found.agents]
    shown = [{"agent": _indented(line), **_shown(_figures(line.below))} for line in found.agents]
    text = f"{as_table(shown, '')}\nAn agent's figures hold those of the agents that it began.{_warning(found)}"
    return Answer({"session_id": session_id, "whole": found.is_whole, "agents": rows}, text)


def _agent(line: AgentLine) -> Row:
    own = _figures(line.own) if line.own else None
    return {"agent_id": line.agent_id, "depth": line.depth, "own": own, "with_below": _figures(line.below)}


def _indented(line: AgentLine) -> str:
    return "  " * line.depth + (line.agent_id or "main")


def _warning(found: SessionTree) -> str:
    return "" if found.is_whole else "\nThe session is larger than what is summed up here: its latest requests."


def _shown(row: Row) -> Row:
    return {name: row[name] for name in _SHOWN}


def _figures(span: Span) -> dict[str, Any]:
    total = span.total
    requests_of = {sums.provider: sums.requests for sums in span.by_provider}
    return {
        "requests": total.requests,
        "errors": total.errors,
        "fallbacks": total.fallbacks,
        "input_tokens": total.input_tokens,
        "output_tokens": total.output_tokens,
        "cost_usd": usd(total.cost_micros),
        "list_value_usd": usd(total.list_value_micros),
        "plan": requests_of.get("plan", 0),
        "bedrock": requests_of.get("bedrock", 0),
        "first_at": _time(span.first_at),
        "last_at": _time(span.last_at),
    }


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
