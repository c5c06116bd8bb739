"""What the dashboard shows: charts, and in words what needs somebody's attention.

Pure. Invariant: whatever is said leads to the page on which something can be done about it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType

from admin_app.bars import Bars
from admin_app.dashboard_operations import DashboardShown
from admin_app.usage_operations import UsageSeries, UsageShown
from admin_app.usage_view import chart_of
from core.dashboard import Attention
from core.heartbeat import WorkerSeen
from core.numerals import count
from core.pages import ahead, day_and_time, duration, words

SLOW_MS = 250.0
_KINDS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "circuit": ("open circuits", "/admin/circuits"),
        "bedrock_health": ("Bedrock keys that are refused", "/admin/users"),
        "bedrock_expiry": ("Bedrock keys that expire", "/admin/users"),
        "key_expiry": ("access keys that expire", "/admin/keys?sort=expiry"),
        "user_budget": ("users near or over their budget", "/admin/users?sort=spend"),
        "key_budget": ("keys near or over their budget", "/admin/keys?sort=spend"),
    }
)


@dataclass(frozen=True, slots=True)
class Note:
    """`tone` is bad (something does not work) or warn (it may not soon); `word` says how it stands."""

    tone: str
    text: str
    href: str
    word: str = "now"


def charts_of(dashboard: DashboardShown, label: Callable[[datetime], str]) -> tuple[Bars | None, Bars | None]:
    """Requests by who answered, and what Bedrock cost."""
    return _chart(dashboard, dashboard.series, "requests", label), _chart(
        dashboard, [each for each in dashboard.series if each.id == "bedrock"], "cost", label
    )


def notes_of(attention: Sequence[Attention], workers: Sequence[WorkerSeen], took_ms: float, now: datetime) -> list[Note]:
    """What does not work first."""
    notes = [*_of_workers(workers, now), *(_note(each, now) for each in attention)]
    if took_ms >= SLOW_MS:
        notes.append(Note("warn", f"The database takes {duration(took_ms)} to answer this page", "/admin/system", "slow"))
    return sorted(_cut_off(notes, attention), key=lambda note: note.tone != "bad")


def _of_workers(workers: Iterable[WorkerSeen], now: datetime) -> list[Note]:
    notes = list[Note]()
    for each in workers:
        name = f"Worker {each.worker.pid} on {each.worker.host}"
        if each.load.lost:
            notes.append(Note("bad", f"{name} lost {count(each.load.lost)} records", "/admin/system"))
        if each.is_silent(now):
            notes.append(Note("bad", f"{name} is silent", "/admin/system"))
        elif each.load.plan != "closed":
            notes.append(Note("bad", f"{name} cannot reach the Plan's upstream", "/admin/system"))
    return notes


def _note(each: Attention, now: datetime) -> Note:
    user, whose = f"/admin/users/{each.user_id}", each.user_name or "somebody who is gone"
    if each.kind == "circuit":
        text = f"Circuit of {whose} is open: {words(each.what) or 'no reason told'}, tried again {_when(each.at, now)}"
        return Note("warn", text, "/admin/circuits", "open")
    if each.kind == "bedrock_health":
        return Note("bad", f"A Bedrock key of {whose} is refused: {each.what or 'no reason told'}", user)
    if each.kind in ("bedrock_expiry", "key_expiry"):
        kind = "Bedrock key" if each.kind == "bedrock_expiry" else "Access key"
        href = user if each.kind == "bedrock_expiry" else f"/admin/keys/{each.id}"
        ends = "has expired" if each.at <= now else f"expires {_when(each.at, now)}"
        tone, word = ("bad", "over") if each.at <= now else ("warn", "soon")
        return Note(tone, f"{kind} of {whose} ({each.what}) {ends}", href, word)
    budget = f"The budget of {whose}" if each.kind == "user_budget" else f"The budget of key {each.what} of {whose}"
    is_spent = each.percent >= 100
    said = "is used up: Bedrock answers them no more" if is_spent else f"is used by {each.percent} %"
    tone, word = ("bad", "spent") if is_spent else ("warn", "soon")
    return Note(tone, f"{budget} {said}", user if each.kind == "user_budget" else f"/admin/keys/{each.id}", word)


def _cut_off(notes: list[Note], attention: Sequence[Attention]) -> list[Note]:
    """With how many of a kind are not listed."""
    more = {each.kind: each.total - sum(other.kind == each.kind for other in attention) for each in attention}
    hidden = [(kind, number) for kind, number in more.items() if number > 0]
    return [
        *notes,
        *(Note("warn", f"{count(number)} more: {_KINDS[kind][0]}", _KINDS[kind][1], "more") for kind, number in hidden),
    ]


def _when(moment: datetime, now: datetime) -> str:
    return ahead(moment, now) if moment - now < timedelta(days=30) else day_and_time(moment)


def _chart(dashboard: DashboardShown, series: list[UsageSeries], measure: str, label: Callable[[datetime], str]) -> Bars | None:
    usage = UsageShown(
        since=dashboard.since,
        until=dashboard.until,
        bucket=dashboard.bucket,
        zone=dashboard.zone,
        group="provider",
        begins=dashboard.begins,
        series=series,
        groups=[],
        group_count=len(series),
        total=dashboard.total,
    )
    return chart_of(usage, measure, label)
