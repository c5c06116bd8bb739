"""The command line's `usage sessions`: what sessions of Claude Code cost, and what each agent in one of them did.

Knows words and answers, no SQL; the sums are core.session_report's. Invariant: money is exact to the micro-dollar.
"""

from __future__ import annotations

from argparse import Namespace
from datetime import datetime
from typing import Any

from admin_app.cli_desk import Answer, Desk, Words
from admin_app.exports import Row, as_table
from admin_app.listings import usd
from core.access import NotFound
from core.access_keys import find_key
from core.session_report import SESSIONS_A_PAGE, AgentLine, SessionTree, Span, Whose, latest_sessions, session_tree

_SHOWN = ("requests", "input_tokens", "output_tokens", "cost_usd", "list_value_usd", "first_at", "last_at", "plan", "bedrock")


def add_words(usage: Words) -> None:
    """Adds to the noun `usage`."""
    listed = usage.verb("sessions", _sessions, "the latest sessions, or the agents of one")
    whose = listed.add_mutually_exclusive_group(required=True)
    whose.add_argument("--user", metavar="NAME_OR_ID")
    whose.add_argument("--key", metavar="ID", help="an access key's id")
    listed.add_argument("--session", metavar="ID", help="this one, agent by agent")
    listed.add_argument("--page", type=int, choices=range(1, 1001), default=1, metavar="NUMBER")


def _sessions(desk: Desk, arguments: Namespace) -> Answer:
    whose = _whose(desk, arguments)
    return _tree(desk, whose, arguments.session) if arguments.session else _list(desk, whose, arguments.page)


def _whose(desk: Desk, arguments: Namespace) -> Whose:
    if arguments.user is not None:
        return Whose(user_id=desk.user(arguments.user).id)
    return Whose(access_key_id=desk.database.read(lambda connection: find_key(connection, arguments.key)).id)


def _list(desk: Desk, whose: Whose, page: int) -> Answer:
    found = desk.database.read(lambda connection: latest_sessions(connection, whose, page))
    rows = [{"session_id": line.session_id, "agents": line.agents, **_figures(line.span)} for line in found.lines]
    table = as_table([_shown(row, ("session_id", "agents")) for row in rows], "There are no sessions.")
    pages = max(1, -(-found.total // SESSIONS_A_PAGE))
    more = f"\nPage {page} of {pages}." if pages > 1 and rows else ""
    return Answer({"sessions": rows, "total": found.total}, table + more)


def _tree(desk: Desk, whose: Whose, session_id: str) -> Answer:
    found = desk.database.read(lambda connection: session_tree(connection, whose, session_id))
    if found is None:
        raise NotFound(f"there is no session {session_id} of theirs")
    rows = [_agent(line) for line in found.agents]
    shown = [{"agent": _indented(line), **_shown(_figures(line.below), ())} for line in found.agents]
    text = f"{as_table(shown, '')}\nAn agent's figures hold those of the agents that it began.{_warning(found)}"
    return Answer({"session_id": session_id, "whole": found.is_whole, "agents": rows}, text)


def _agent(line: AgentLine) -> Row:
    own = _figures(line.own) if line.own else None
    return {"agent_id": line.agent_id, "depth": line.depth, "own": own, "with_below": _figures(line.below)}


def _indented(line: AgentLine) -> str:
    return "  " * line.depth + (line.agent_id or "main")


def _warning(found: SessionTree) -> str:
    return "" if found.is_whole else "\nThe session is larger than what is summed up here: its latest requests."


def _shown(row: Row, before: tuple[str, ...]) -> Row:
    return {name: row[name] for name in (*before, *_SHOWN)}


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
