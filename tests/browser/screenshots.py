"""Pictures of every page for docs/screenshots: `python -m tests.browser.screenshots [folder]`, or `make screenshots`.

Furnishes a product with a team at work, and takes each page light and dark, wide and narrow, as WebP of at most 120 KB. Pages
come from the app's own route table: of forms that differ in nothing but whose they are, one.
"""

from __future__ import annotations

import base64
import random
import re
import shutil
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright
from sqlalchemy import Connection

from core.ledger import write_batch
from core.plan_window_rows import write_windows
from core.plan_windows import PlanWindow, PlanWindows
from core.record import RequestRecord
from sandbox.client import Sandbox
from tests.browser.at_work import ask
from tests.browser.chromium import FLAGS, NARROW, WIDE, Visitor, visiting
from tests.browser.town import Town, open_town
from tests.furnished import utc_now

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "screenshots"
MOST_BYTES = 120_000
_MOST_HEIGHT = 2000
_BASE_URL = re.compile(r"http://[\w.:]+/ak/ak_\w+")
_KEY = re.compile(r"/admin/keys/(key_\w+)")
_TEAM = (
    "Grace Example",
    "Linus Example",
    "Hedy Example",
    "Alan Example",
    "Barbara Example",
    "Katherine Example",
    "Edsger Example",
)
_MODELS = (("claude-opus-5-5", 5.0), ("claude-sonnet-5-5", 2.0), ("claude-haiku-5-5", 0.6))
_FAULTS = ("plan_exhausted", "plan_exhausted", "plan_overloaded", "plan_timeout")


def main(folder: Path) -> int:
    """How many pictures are larger than they may be."""
    folder.mkdir(parents=True, exist_ok=True)
    too_large = 0
    with Sandbox("anthropic") as anthropic, Sandbox("bedrock") as bedrock, open_town(anthropic, bedrock) as town:
        furnish(town)
        for name, scheme, width, page in pictures(town):
            picture = taken(page)
            too_large += len(picture) > MOST_BYTES
            (folder / f"{name}-{scheme}-{width}.webp").write_bytes(picture)
            print(f"{name}-{scheme}-{width}.webp {len(picture) // 1000} KB", flush=True)
    return too_large


def furnish(town: Town) -> None:
    """A team with two weeks of work behind it; `town.furnished` is the first of them."""
    town.furnish()
    first, dice = town.furnished, random.Random(5)
    people = [first.ids]
    for name in _TEAM:
        client = town.client()
        client.get("/admin/users/new")
        mail = f"{name.split()[0].lower()}@example.com"
        added = client.post("/admin/users/new", name=name, email=mail, monthly_budget_usd=str(dice.choice((50, 100, 250))))
        user_id = added.headers["location"].rpartition("/")[2].partition("?")[0]
        client.get(f"/admin/users/{user_id}/keys/new")
        issued = client.post(f"/admin/users/{user_id}/keys/new", name=dice.choice(("laptop", "desktop", "build server")))
        client.get(f"/admin/users/{user_id}/bedrock-keys/new")
        client.post(f"/admin/users/{user_id}/bedrock-keys/new", secret="bedrock-sandbox", region="us-east-1", residency="global")
        people.append({"user_id": user_id, "key_id": _KEY.findall(issued.text)[0]})
        ask(_BASE_URL.findall(issued.text)[0])
    town.database.run(lambda c: plan_history(c, first.ids["key_id"]))
    records = [record(number, dice.choice(people), dice) for number in range(3000)]
    for start in range(0, len(records), 500):
        town.database.run(lambda c, start=start: write_batch(c, records[start : start + 500]))  # type: ignore[misc]


def plan_history(connection: Connection, key_id: str) -> None:
    """A week of a plan that is used in the day and rests at night."""
    now, used = utc_now(), 0.02
    for quarter in range(7 * 96, -1, -1):
        at = now - timedelta(minutes=15 * quarter)
        used += 0.0018 if 8 <= at.hour < 19 else 0.0002
        of_five_hours = 0.08 + 0.13 * ((quarter // 4) % 5) if 8 <= at.hour < 19 else 0.03
        reset = now.timestamp()
        windows = (
            PlanWindow("5h", "allowed", of_five_hours, reset + 9000),
            PlanWindow("7d", "allowed", min(used, 0.99), reset + 2e5),
        )
        write_windows(connection, {key_id: PlanWindows(at.timestamp(), "allowed", "five_hour", windows=windows)})


def record(number: int, whose: Any, dice: random.Random) -> RequestRecord:
    now, (model, price) = utc_now(), dice.choices(_MODELS, (5, 8, 4))[0]
    at = now - timedelta(minutes=dice.triangular(1, 20_000, 1)) if number > 40 else now - timedelta(minutes=number)
    fell_back, failed = dice.random() < 0.22, dice.random() < 0.01
    read, fresh, out = int(dice.expovariate(1 / 60_000)), int(dice.expovariate(1 / 3000)), int(dice.expovariate(1 / 900))
    cost = int((read * 0.1 + fresh + out * 5) * price)
    given: dict[str, Any] = {
        "session_id": f"{dice.randrange(60):08x}-2222-4333-8444-555555555555",
        "agent_id": dice.choice(("", "", "explorer", "reviewer")),
        "provider": "bedrock" if fell_back else "plan",
        "fault": dice.choice(_FAULTS) if fell_back else "",
        "trace": "plan:plan_exhausted; bedrock:ok" if fell_back else "plan:ok",
        "model_asked": model,
        "model_served": f"global.anthropic.{model}" if fell_back else model,
        "streamed": True,
        "status": 529 if failed else 200,
        "input_tokens": fresh,
        "output_tokens": out,
        "cache_read_tokens": read,
        "cost_micros": cost if fell_back else 0,
        "list_value_micros": cost,
        "first_byte_ms": dice.lognormvariate(6.2, 0.5),
        "total_ms": dice.lognormvariate(8.6, 0.8),
        "overhead_ms": dice.uniform(1, 3),
    }
    return RequestRecord(f"req_{number:026d}", at.timestamp(), whose["user_id"], whose["key_id"], **given)


def pictures(town: Town) -> Iterator[tuple[str, str, str, Page]]:
    """(name, scheme, width, the page as it is to be taken)."""
    executable = shutil.which("chromium") or shutil.which("chromium-browser")
    if executable is None:
        raise SystemExit("there is no chromium on this machine")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=list(FLAGS))
        for width, viewport in (("wide", WIDE), ("narrow", NARROW)):
            with visiting(browser, town.url, viewport=viewport) as visitor:
                for name, path in named(town):
                    yield from both(visitor, town, width, name, path)
        browser.close()


def both(visitor: Visitor, town: Town, width: str, name: str, path: str) -> Iterator[tuple[str, str, str, Page]]:
    if path.startswith("/admin/login"):
        visitor.page.context.clear_cookies()
    elif not visitor.page.context.cookies():
        town.enter(visitor)
    visitor.go(path)
    visitor.page.wait_for_timeout(200)
    for scheme in ("light", "dark"):
        visitor.page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        yield name, scheme, width, visitor.page


def named(town: Town) -> list[tuple[str, str]]:
    """File name -> address; the sign-in last, for it signs out."""
    pages = [each for each in town.pages if not each.path.endswith((".csv", ".json"))]
    names = {
        "-".join(part for part in each.path.split("/")[2:] if "{" not in part) + ("-one" if each.path.endswith("}") else ""): each
        for each in pages
    }
    shown = [(name or "dashboard", route.at(town.furnished.ids)) for name, route in names.items()]
    return [*shown, ("claim", f"/claim/{town.furnished.ids['token']}"), ("login", "/admin/login")]


def taken(page: Page) -> bytes:
    """The whole page, down to a height that somebody still looks at, in the best quality that is small enough."""
    size = page.viewport_size or WIDE
    height = min(_MOST_HEIGHT, max(size["height"], page.evaluate("() => document.documentElement.scrollHeight")))
    clip = {"x": 0, "y": 0, "width": size["width"], "height": height, "scale": 1}
    session = page.context.new_cdp_session(page)
    picture = b""
    for quality in (70, 50, 30, 15, 5):
        given = {"format": "webp", "quality": quality, "clip": clip, "captureBeyondViewport": True}
        picture = base64.b64decode(session.send("Page.captureScreenshot", given)["data"])
        if len(picture) <= MOST_BYTES:
            break
    session.detach()
    return picture


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER))
