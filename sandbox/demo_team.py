"""Who the demo's developers and admins are: names out of the history of computing, what they may spend, what is the matter.

All of it is done over the product's API by admins of different roles, so that the audit log tells of people. Invariant: users
are marked as demo data, in their notes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sandbox.demo_desk import Desk
from sandbox.demo_history import Habit, lines_of
from sandbox.demo_windows import write_past
from sandbox.product import Product

_CHROME = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36"
_FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:152.0) Gecko/20100101 Firefox/152.0"
PASSWORD = "Seven quiet demo lanterns, all lit"
TEAM_MODEL = "claude-platform-team"


@dataclass(frozen=True, slots=True)
class Member:
    """`used`: per cent of their plan's five hours. `bedrock_ends`: days until their Bedrock key does."""

    name: str
    team: str
    sessions_a_day: float
    fallbacks: float
    used: int
    budget: str = ""
    strategy: str = "plan_first"
    keys: tuple[str, ...] = ("laptop",)
    key_ends: int = 0
    bedrock: str = "bedrock-sandbox"
    bedrock_ends: int = 0


STARS = (Member("ada", "platform", 4, 0.18, 64, budget="60", keys=("laptop", "build server")),)
OTHERS = (
    Member("grace", "compilers", 3, 0.3, 97, budget="15"),
    Member("linus", "kernel", 5, 0.1, 83, keys=("laptop", "workstation")),
    Member("barbara", "platform", 2, 0.08, 41, budget="25"),
    Member("dennis", "kernel", 2.5, 0.22, 91, key_ends=6),
    Member("edsger", "research", 1, 0.02, 12, strategy="plan_only", bedrock=""),
    Member("frances", "compilers", 1.5, 0.12, 58, bedrock_ends=9),
    Member("hedy", "research", 1, 0, 0, strategy="bedrock_only", budget="12", keys=("pipeline",)),
    Member("margaret", "platform", 2, 0.15, 100, budget="15"),
    Member("radia", "network", 1.5, 0.05, 33, bedrock="bedrock-sandbox-expired"),
)


@dataclass(frozen=True, slots=True)
class Set:
    """A member as the product knows them."""

    member: Member
    user_id: str
    access_key_ids: tuple[str, ...]
    access_key: str

    @property
    def habit(self) -> Habit:
        who = self.member
        ids = (who.name, self.user_id, self.access_key_ids)
        return Habit(*ids, who.sessions_a_day, who.fallbacks, who.strategy == "bedrock_only")


def hire_admins(owner: Desk, url: str) -> tuple[Desk, Desk]:
    """An owner, an editor, a viewer and one who has left; the first two at their desks."""
    for name, role in (("jean", "owner"), ("tim", "editor"), ("vint", "viewer"), ("niklaus", "editor")):
        owner.do("POST", "/admins", username=name, role=role, password=PASSWORD)
    jean, tim, vint = (
        Desk(url, name, PASSWORD, browser) for name, browser in (("jean", _CHROME), ("tim", _FIREFOX), ("vint", ""))
    )
    jean.do("GET", "/users?limit=1")
    jean.sign_in()
    tim.sign_in()
    vint.do("POST", "/api-tokens", name="nightly cost report", role="viewer", expires_at=_in_days(90))
    gone = next(each for each in owner.do("GET", "/admins")["data"] if each["username"] == "niklaus")
    owner.do("POST", f"/admins/{gone['id']}/disable")
    return jean, tim


def set_up(product: Product, desk: Desk, members: tuple[Member, ...]) -> list[Set]:
    """Users, keys, Bedrock keys and thirty days of requests."""
    team = [_set_up(desk, each) for each in members]
    now = datetime.now(UTC)
    lines = "\n".join(lines_of([each.habit for each in team], now))
    product.cli("ledger", "import", given=lines)
    full = {each.access_key_ids[0]: each.member.used for each in team if each.member.strategy != "bedrock_only"}
    write_past(product.data_dir / "var" / "proxy.sqlite", full, now)
    return team


def _set_up(desk: Desk, each: Member) -> Set:
    said: dict[str, Any] = {
        "email": f"{each.name}@example.com",
        "note": f"Demo data. Team {each.team}.",
        "strategy": each.strategy,
    }
    user_id = desk.do("POST", "/users", name=each.name, **said, monthly_budget_usd=each.budget or None)["id"]
    ends = {"expires_at": _in_days(each.key_ends)} if each.key_ends else {}
    issued = [desk.do("POST", "/access-keys", user_id=user_id, name=name, **ends) for name in each.keys]
    if each.bedrock:
        ends = {"expires_at": _in_days(each.bedrock_ends)} if each.bedrock_ends else {}
        desk.do("POST", "/bedrock-keys", user_id=user_id, region="us-east-1", secret=each.bedrock, **ends)
    return Set(each, user_id, tuple(key["id"] for key in issued), issued[0]["access_key"])


def change_things(owner: Desk, editor: Desk, team: dict[str, Set]) -> None:
    """What admins do on an ordinary day: a budget nearly used, a price, a model of the team's own, links, a key that leaked."""
    spent = {each["name"]: float(each["spent_this_month_usd"]) for each in editor.do("GET", "/users")["data"]}
    for name, share in (("grace", 0.86), ("hedy", 1.04), ("margaret", 0.62)):
        budget = f"{max(spent[name] / share, 1):.2f}"
        editor.do("PATCH", f"/users/{team[name].user_id}", monthly_budget_usd=budget)
    editor.do("PATCH", f"/users/{team['linus'].user_id}", note="Demo data. Team kernel. On leave until spring.")
    owner.do("POST", "/prices", model="claude-opus-5-5", input="3.60", output="18.00")
    profile = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/demo0platform"
    owner.do("POST", "/models", model=TEAM_MODEL, bedrock=profile, like="claude-opus-5-5")
    editor.do("POST", "/claims", user_id=team["barbara"].user_id, name="new laptop")
    link = editor.do("POST", "/claims", user_id=team["edsger"].user_id, name="desktop")
    editor.press(link["url"].partition("/claim/")[2].join(("/claim/", "")))
    rotated, leaked = (
        team["linus"].access_key_ids[1],
        editor.do("POST", "/access-keys", user_id=team["dennis"].user_id, name="leaked"),
    )
    editor.do("POST", f"/access-keys/{rotated}/rotate", grace_s=3600)
    editor.do("POST", f"/access-keys/{leaked['id']}/revoke")
    left = editor.do("POST", "/users", name="alan", email="alan@example.com", note="Demo data. Left the team.")
    editor.do("POST", f"/users/{left['id']}/deactivate")
    owner.turn_on_second_factor()  # the last: it ends what was signed in without one


def _in_days(days: int) -> str:
    return f"{datetime.now(UTC) + timedelta(days=days):%Y-%m-%dT%H:%M:%SZ}"
