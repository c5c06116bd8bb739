"""Pictures of every page for docs/screenshots: `python -m tests.browser.screenshots [folder]`, or `make screenshots`.

Furnishes a product with the demo's team at work, and takes each page light and dark, wide and narrow, as WebP of at most 120 KB.
Pages come from the app's own route table: of forms that differ in nothing but whose they are, one.
"""

from __future__ import annotations

import base64
import random
import shutil
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

from sandbox.client import Sandbox
from sandbox.demo_desk import Desk
from sandbox.demo_team import OTHERS, STARS, Set, change_things, hire_admins, set_up
from sandbox.demo_work import BETAS_OF_BEDROCK, ask, turns_of
from tests.browser.chromium import FLAGS, NARROW, WIDE, Visitor, visiting
from tests.browser.town import OWNER, PASSWORD, Town, open_town
from tests.furnished import Furnished
from tests.live.admin_browser import eventually

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "screenshots"
MOST_BYTES = 120_000
_MOST_HEIGHT = 2000
_TURNS = 18
_OF_DEVELOPERS = ("status", "status-session")


def main(folder: Path) -> int:
    """How many pictures are larger than they may be."""
    folder.mkdir(parents=True, exist_ok=True)
    too_large = 0
    with (
        Sandbox("anthropic") as anthropic,
        Sandbox("bedrock", BETAS_OF_BEDROCK) as bedrock,
        open_town(anthropic, bedrock) as town,
    ):
        furnish(town)
        for name, scheme, width, page in pictures(town):
            picture = taken(page)
            too_large += len(picture) > MOST_BYTES
            (folder / f"{name}-{scheme}-{width}.webp").write_bytes(picture)
            print(f"{name}-{scheme}-{width}.webp {len(picture) // 1000} KB", flush=True)
    return too_large


def furnish(town: Town) -> None:
    """The demo's team, its admins and an hour of work; `town.furnished` names those whose pages are taken."""
    town.furnish("katherine")
    desk = Desk(town.url, OWNER, PASSWORD)
    owner, editor = hire_admins(desk, town.url)
    team = {each.member.name: each for each in set_up(town.product, editor, (*STARS, *OTHERS))}
    change_things(owner, editor, team)
    town.anthropic.fault("plan_exhausted", match={"credential": "used-100"}, reset=9000)
    for each in team.values():
        work(town, each)
    town.furnished = Furnished({**town.furnished.ids, **whose_pages(desk, team["ada"])}, town.furnished.secrets)


def work(town: Town, each: Set) -> None:
    turns = turns_of(random.Random(each.member.name), is_newer=each.member.used >= 100)
    for turn in islice(turns, _TURNS):
        ask(town.product.base_url(each.access_key), f"sk-ant-oat01-demo-used-{each.member.used}", turn)


def whose_pages(desk: Desk, ada: Set) -> dict[str, str]:
    """Where there is most to see: the session with most agents, a request that fell back, an owner with a second factor."""

    def sessions() -> Any:
        return desk.do("GET", f"/claude-sessions?user_id={ada.user_id}")["data"]

    eventually(lambda: any("demo" not in each["session_id"] for each in sessions()))
    fell_back = desk.do("GET", "/requests?provider=bedrock&fault=plan_exhausted")["data"][0]
    jean = next(each for each in desk.do("GET", "/admins")["data"] if each["username"] == "jean")
    ids = {"user_id": ada.user_id, "key_id": ada.access_key_ids[0], "access_key": ada.access_key, "admin_id": jean["id"]}
    ids["session_id"] = max(sessions(), key=lambda each: (each["agents"], each["figures"]["bedrock"]))["session_id"]
    return {**ids, "request_id": fell_back["request_id"]}


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
    whose = f"?user={town.furnished.ids['user_id']}"
    asked = {"sessions-one": whose}
    shown = [(name or "dashboard", route.at(town.furnished.ids) + asked.get(name, "")) for name, route in names.items()]
    ids = town.furnished.ids
    own = f"/ak/{ids['access_key']}/status"
    of_developers = zip(_OF_DEVELOPERS, (own, f"{own}?session={ids['session_id']}"), strict=True)
    apart = (("missing", "/admin/no-such-page"), ("claim", f"/claim/{ids['token']}"), ("login", "/admin/login"))
    return [*shown, *of_developers, *apart]


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
