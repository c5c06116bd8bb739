"""What a developer's own view says, as values for the page and as JSON for programs.

Pure. Knows no HTTP. Invariants: times in JSON are UTC in ISO 8601, money is whole micro-dollars, what is not known is null; no
name and no id of anybody else is in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from core.budget import Month
from core.own_report import OwnReport, OwnRequest
from core.plan_windows import PlanWindow, PlanWindows
from core.reports import Sums
from core.session_report import SessionSpan, SessionTree, Span
from core.types import Grant
from proxy_app.circuits import CircuitView
from proxy_app.own_state import OwnState, Purse, Serving


@dataclass(frozen=True, slots=True)
class Own:
    """One look. `report` is None while the database is away; `page` turns the list of sessions; `zone` is the budgets'."""

    key_shown: str
    grant: Grant
    now: datetime
    month: Month
    zone: str
    state: OwnState
    report: OwnReport | None
    page: int = 1

    @property
    def windows(self) -> PlanWindows | None:
        return self.state.windows or (self.report.windows if self.report else None)

    @property
    def of_user(self) -> Purse:
        """By the ledger where it can be asked, else what memory knows, with what is reserved."""
        return Purse(self.report.spent_by_user, self.state.of_user.budget) if self.report else self.state.of_user

    @property
    def of_key(self) -> Purse:
        return Purse(self.report.spent_by_key, self.state.of_key.budget) if self.report else self.state.of_key


def document_of(own: Own) -> dict[str, Any]:
    report = own.report
    return {
        "as_of": own.now,
        "access_key": own.key_shown,
        "strategy": own.grant.strategy.value,
        "database": "ok" if report else "away",
        "serving": [_serving(each) for each in own.state.serving],
        "plan": _plan(own.windows),
        "bedrock": {
            "month": own.month.name,
            "begins_anew": own.month.ends,
            "user": _purse(own.of_user),
            "key": _purse(own.of_key),
            "open_circuits": [_circuit(each) for each in own.state.troubles],
        },
        "requests": [_request(each) for each in report.requests] if report else None,
        "sessions": [session_line(each) for each in report.sessions.lines] if report else None,
        "sessions_total": report.sessions.total if report else None,
    }


def session_document(tree: SessionTree) -> dict[str, Any]:
    agents = [
        {"agent_id": line.agent_id, "depth": line.depth, "own": line.own and _span(line.own), "with_below": _span(line.below)}
        for line in tree.agents
    ]
    return {"session_id": tree.session_id, "whole": tree.is_whole, "agents": agents}


def session_line(line: SessionSpan) -> dict[str, Any]:
    return {"session_id": line.session_id, "agents": line.agents, **_span(line.span)}


def at(unix_s: float | None) -> datetime | None:
    return None if unix_s is None else datetime.fromtimestamp(round(unix_s), UTC)


def _serving(each: Serving) -> dict[str, Any]:
    return {
        "family": each.family,
        "provider": each.provider,
        "until": at(each.until),
        "fault": each.fault,
    }


def _plan(windows: PlanWindows | None) -> dict[str, Any] | None:
    if windows is None:
        return None
    return {
        "seen_at": at(windows.seen_at),
        "status": windows.status,
        "claim": windows.claim,
        "overage_in_use": windows.overage_in_use,
        "windows": [_window(each) for each in windows.windows],
    }


def _window(each: PlanWindow) -> dict[str, Any]:
    return {"name": each.name, "status": each.status, "utilization": each.utilization, "resets_at": at(each.resets_at)}


def _purse(purse: Purse) -> dict[str, int | None]:
    return {"spent_micros": purse.spent, "budget_micros": purse.budget}


def _circuit(view: CircuitView) -> dict[str, Any]:
    return {"where": view.name.family, "state": view.state, "fault": view.fault, "until": at(view.until)}


def _request(each: OwnRequest) -> dict[str, Any]:
    return {name: getattr(each, name) for name in OwnRequest.__slots__}


def _span(span: Span) -> dict[str, Any]:
    return {
        "first_at": span.first_at,
        "last_at": span.last_at,
        **_sums(span.total),
        "by_provider": {sums.provider or "none": _sums(sums) for sums in span.by_provider},
    }


def _sums(sums: Sums) -> dict[str, int]:
    return {name: getattr(sums, name) for name in Sums.__slots__ if name != "provider"}
