"""Who the demo's developers are: names out of the history of computing, what they may spend, what is the matter with them.

Sets them up through the product's command line, several at once. Invariant: all of it is marked as demo data, in their notes.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime

from sandbox.demo_history import Habit, lines_of
from sandbox.product import Product

_AT_ONCE = 3


@dataclass(frozen=True, slots=True)
class Member:
    """`used`: per cent of their plan's five hours. `bedrock_ends`: days until their Bedrock key does."""

    name: str
    team: str
    sessions_a_day: float
    fallbacks: float
    used: int
    budget: str = "none"
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
    Member("margaret", "platform", 2, 0.15, 88, budget="15"),
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


def set_up(product: Product, members: tuple[Member, ...]) -> dict[str, str]:
    """Users, keys, Bedrock keys and thirty days of requests; each one's first access key."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        team = list(pool.map(lambda each: _set_up(product, each), members))
    lines = "\n".join(lines_of([each.habit for each in team], datetime.now(UTC)))
    product.cli("ledger", "import", given=lines)
    return {each.member.name: each.access_key for each in team}


def _set_up(product: Product, each: Member) -> Set:
    email = f"{each.name}@example.com"
    said = ("--email", email, "--note", f"Demo data. Team {each.team}.", "--strategy", each.strategy, "--budget", each.budget)
    user_id: str = product.cli("user", "add", each.name, *said)["id"]
    ends = ("--expires-days", str(each.key_ends)) if each.key_ends else ()
    issued = [product.cli("key", "issue", "--user", each.name, "--name", name, *ends) for name in each.keys]
    if each.bedrock:
        ends = ("--expires-days", str(each.bedrock_ends)) if each.bedrock_ends else ()
        place = ("--user", each.name, "--region", "us-east-1", "--key-stdin")
        product.cli("bedrock-key", "add", *place, *ends, given=each.bedrock, check=False)
    return Set(each, user_id, tuple(key["id"] for key in issued), issued[0]["access_key"])
